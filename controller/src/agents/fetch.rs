//! Handing out connectors and deployments to the agents that need them.

use std::{path::PathBuf, pin::Pin};

use bytes::Bytes;
use futures::Stream;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use wherry_domain::digest::Digest;
use wherry_proto::{
    CHUNK,
    wire::{self, fetch_connector_response::Part},
};
use wherry_trust::names::AgentIdentity;

use super::status;
use crate::engine::Ledger;

pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<wire::FetchConnectorResponse, Status>> + Send>>;

/// Pieces that wait for a slow reader.
const AHEAD: usize = 2;

/// The release, then the component from `offset` on.
pub(super) async fn connector(
    ledger: &Ledger,
    agent: &AgentIdentity,
    asked: wire::FetchConnectorRequest,
) -> Result<Parts, Status> {
    let digest = read_digest(&asked.digest)?;
    let connector = ledger.connector_for(agent.clone(), digest).await.map_err(|refusal| status::of(&refusal))?;
    if asked.offset > connector.length {
        return Err(status::invalid("connector.offset_invalid", "the offset is behind the end of the component"));
    }
    let path = ledger.files.path(&connector.digest);
    let (parts, stream) = mpsc::channel(AHEAD);
    let release = Bytes::from(connector.envelope.into_bytes());
    let reader = async move {
        if parts.send(Ok(part(Part::Release(release)))).await.is_ok()
            && let Err(error) = send_file(path, asked.offset, &parts).await
        {
            // The reader may be gone, which is its right.
            let _ = parts.send(Err(Status::unavailable(format!("the component cannot be read: {error}")))).await;
        }
    };
    Ok(Box::pin(Driven { reader: Some(Box::pin(reader)), stream: ReceiverStream::new(stream) }))
}

/// The snapshot of a deployment.
pub(super) async fn deployment(
    ledger: &Ledger,
    agent: &AgentIdentity,
    asked: wire::FetchDeploymentRequest,
) -> Result<wire::FetchDeploymentResponse, Status> {
    let digest = read_digest(&asked.digest)?;
    let (document, signature) =
        ledger.document_for(agent.clone(), digest).await.map_err(|refusal| status::of(&refusal))?;
    Ok(wire::FetchDeploymentResponse { document, signature: signature.unwrap_or_default().into_bytes() })
}

async fn send_file(
    path: PathBuf,
    offset: u64,
    parts: &mpsc::Sender<Result<wire::FetchConnectorResponse, Status>>,
) -> std::io::Result<()> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    loop {
        let mut piece = Vec::with_capacity(CHUNK);
        if (&mut file).take(CHUNK as u64).read_to_end(&mut piece).await? == 0 {
            return Ok(());
        }
        if parts.send(Ok(part(Part::Data(Bytes::from(piece))))).await.is_err() {
            return Ok(());
        }
    }
}

const fn part(part: Part) -> wire::FetchConnectorResponse {
    wire::FetchConnectorResponse { part: Some(part) }
}

fn read_digest(text: &str) -> Result<Digest, Status> {
    text.parse()
        .map_err(|error: wherry_domain::digest::InvalidDigest| status::invalid("request.invalid", error.to_string()))
}

/// A stream whose producer runs only while someone reads: it ends with its reader and needs no
/// task of its own.
struct Driven {
    reader: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    stream: ReceiverStream<Result<wire::FetchConnectorResponse, Status>>,
}

impl Stream for Driven {
    type Item = Result<wire::FetchConnectorResponse, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(reader) = &mut self.reader
            && reader.as_mut().poll(context).is_ready()
        {
            self.reader = None;
        }
        Pin::new(&mut self.stream).poll_next(context)
    }
}
