//! Keeping the certificate alive: renewed at half its life, recovered when it has run out.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tonic::transport::Channel;
use wherry_daemon::clock::Clock;
use wherry_domain::retry::Jitter;
use wherry_proto::{
    MAX_FRAME, RECOVER_CONTEXT,
    wire::{self, enrollment_service_client::EnrollmentServiceClient, recover_response::Answer},
};

use super::{error::IdentityError, files::Identity};
use crate::{
    link::{self, Address},
    paths::DataDir,
    peer,
};

/// Longest wait after a renewal that failed.
const AGAIN: Duration = Duration::from_secs(600);
/// Shortest one.
const SOON: Duration = Duration::from_secs(1);
/// Longest wait before the date is looked at again: the machine may have slept.
const LOOK: Duration = Duration::from_secs(600);
/// Longest challenge that is signed.
const MAX_CHALLENGE: usize = 256;

/// The identity of a running agent, replaced while it runs.
#[derive(Clone)]
pub struct Renewal {
    data: DataDir,
    address: Arc<Address>,
    clock: Clock,
    identity: Arc<ArcSwap<Identity>>,
}

impl Renewal {
    /// Looks after `identity`.
    pub fn new(data: DataDir, address: Arc<Address>, clock: Clock, identity: Identity) -> Self {
        Self { data, address, clock, identity: Arc::new(ArcSwap::from_pointee(identity)) }
    }

    /// The identity as it is now.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Whether the certificate has run out, so that only [`Renewal::recover`] is left.
    pub fn has_expired(&self) -> bool {
        self.identity.load().has_expired(self.clock.wall_unix_millis())
    }

    /// Replaces a living certificate.
    ///
    /// # Errors
    /// If the controller cannot be reached or refuses; the old certificate stays.
    pub async fn renew(&self) -> Result<(), IdentityError> {
        let mut identity = Identity::load(&self.data)?;
        let csr = identity.next_key()?.request()?;
        let request = wire::RenewRequest { csr, generation: identity.generation() };
        let channel = link::dial(&self.address, link::known_controller(&identity)?).await?;
        let mut client = client(channel);
        let answer =
            client.renew(link::within(link::CALL, request)).await.map_err(|status| peer::call_failed(&status))?;
        self.take(identity, answer.into_inner().certificate)
    }

    /// Replaces a certificate that has run out, with proof of the identity key.
    ///
    /// # Errors
    /// If the controller cannot be reached or refuses, as it does some days after the end.
    pub async fn recover(&self) -> Result<(), IdentityError> {
        let mut identity = Identity::load(&self.data)?;
        let csr = identity.next_key()?.request()?;
        let channel = link::dial(&self.address, link::anonymous(&identity)?).await?;
        let mut client = client(channel);
        let agent_id = identity.note().agent_id.to_string();
        let mut request = wire::RecoverRequest { agent_id, csr, challenge: Vec::new(), signature: Vec::new() };
        let challenge = match recover_call(&mut client, request.clone()).await? {
            Answer::Challenge(challenge) if challenge.len() <= MAX_CHALLENGE => challenge,
            Answer::Challenge(_) | Answer::Certificate(_) => return Err(IdentityError::Answer("it sent no challenge")),
        };
        let signed = [RECOVER_CONTEXT, &challenge, &request.csr].concat();
        request.signature = identity.identity_key()?.sign(&signed).to_vec();
        request.challenge = challenge;
        match recover_call(&mut client, request).await? {
            Answer::Certificate(certificate) => self.take(identity, Some(certificate)),
            Answer::Challenge(_) => Err(IdentityError::Answer("it asked twice")),
        }
    }

    fn take(&self, identity: Identity, certificate: Option<wire::Certificate>) -> Result<(), IdentityError> {
        let certificate = certificate.ok_or(IdentityError::Answer("there is none"))?;
        let replaced = identity.replace(certificate, self.clock.wall_unix_millis())?;
        tracing::info!(generation = replaced.generation(), "the certificate was replaced");
        self.identity.store(Arc::new(replaced));
        Ok(())
    }

    /// How long to wait after a failure: a certificate of short life leaves less time for more tries.
    fn until_again(&self) -> Duration {
        (self.identity.load().renew_after() / 8).clamp(SOON, AGAIN)
    }

    /// How long to wait before the next renewal, spread by a tenth either way.
    fn until_due(&self, jitter: Jitter) -> Duration {
        let identity = self.identity.load();
        let now = Duration::from_millis(self.clock.wall_unix_millis());
        let left = identity.renew_at().saturating_sub(now);
        (left * 9 / 10).saturating_add(jitter.of(left / 5))
    }
}

/// Renews the certificate for as long as the process runs.
pub async fn renew_when_due(renewal: Renewal) -> Result<(), IdentityError> {
    loop {
        let wait = renewal.until_due(Jitter(rand::random()));
        if wait > LOOK {
            renewal.clock.sleep(LOOK).await;
            continue;
        }
        renewal.clock.sleep(wait).await;
        let outcome = if renewal.has_expired() { renewal.recover().await } else { renewal.renew().await };
        if let Err(error) = outcome {
            tracing::warn!(code = %error.code(), %error, "the certificate could not be renewed, trying again later");
            renewal.clock.sleep(renewal.until_again()).await;
        }
    }
}

fn client(channel: Channel) -> EnrollmentServiceClient<Channel> {
    EnrollmentServiceClient::new(channel).max_decoding_message_size(MAX_FRAME)
}

async fn recover_call(
    client: &mut EnrollmentServiceClient<Channel>,
    request: wire::RecoverRequest,
) -> Result<Answer, IdentityError> {
    let answer = client.recover(link::within(link::CALL, request)).await;
    let answer = answer.map_err(|status| peer::call_failed(&status))?.into_inner().answer;
    answer.ok_or(IdentityError::Answer("it is empty"))
}
