//! What the agent fetches from the controller besides its session, over the session's own connection.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tonic::{Streaming, transport::Channel};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
};
use wherry_proto::{
    CHUNK, MAX_FETCH,
    wire::{self, agent_service_client::AgentServiceClient},
};

use crate::{link, peer};

/// What one piece of a connector may take on the wire besides its bytes.
const WRAPPING: usize = 4 << 10;
/// Largest signed release on the wire.
const MAX_RELEASE: usize = 512 << 10;
/// Longest time of a whole download.
const DOWNLOAD: Duration = Duration::from_secs(600);

/// The controller, while there is a connection to it. Clones share it.
#[derive(Clone, Default)]
pub struct Controller {
    channel: Arc<ArcSwapOption<Channel>>,
}

impl Controller {
    /// There is a connection.
    pub fn connected(&self, channel: Channel) {
        self.channel.store(Some(Arc::new(channel)));
    }

    /// There is none any more.
    pub fn disconnected(&self) {
        self.channel.store(None);
    }

    /// A deployment's document and the envelope in which an operator signed it, neither of them verified yet.
    ///
    /// # Errors
    /// If there is no connection, or the controller refuses.
    pub async fn deployment(&self, digest: Digest) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let mut client = self.client()?.max_decoding_message_size(MAX_FETCH);
        let request = wire::FetchDeploymentRequest { digest: digest.to_string() };
        let answer = client.fetch_deployment(link::within(link::CALL, request)).await;
        let answer = answer.map_err(|status| failure(&status))?.into_inner();
        Ok((answer.document, answer.signature))
    }

    /// A connector's release and its bytes from `offset` on, not yet verified.
    ///
    /// # Errors
    /// If there is no connection, or the controller refuses.
    pub async fn connector(
        &self,
        digest: Digest,
        offset: u64,
    ) -> Result<Streaming<wire::FetchConnectorResponse>, Failure> {
        let mut client = self.client()?.max_decoding_message_size((CHUNK + WRAPPING).max(MAX_RELEASE));
        let request = wire::FetchConnectorRequest { digest: digest.to_string(), offset };
        let answer = client.fetch_connector(link::within(DOWNLOAD, request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| failure(&status))
    }

    fn client(&self) -> Result<AgentServiceClient<Channel>, Failure> {
        let channel = self.channel.load_full().ok_or_else(|| {
            Failure::retry(Code::new("controller.unavailable"), "the agent has no connection to the controller")
        })?;
        Ok(AgentServiceClient::new(channel.as_ref().clone()))
    }
}

/// A refused fetch, as the failure of the run that needed it.
pub(crate) fn failure(status: &tonic::Status) -> Failure {
    let refused = peer::refused(status);
    let stays =
        matches!(status.code(), tonic::Code::NotFound | tonic::Code::InvalidArgument | tonic::Code::PermissionDenied);
    if stays {
        Failure::permanent(refused.code, refused.message)
    } else {
        Failure::retry(refused.code, refused.message)
    }
}
