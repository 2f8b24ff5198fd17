//! Enrolment: a one-time token becomes an identity.

use std::sync::Arc;

use rustls::ClientConfig;
use tonic::transport::Channel;
use wherry_daemon::{clock::Clock, tls};
use wherry_domain::{id::AgentId, name::Name};
use wherry_proto::{
    MAX_FRAME, convert,
    wire::{self, enrollment_service_client::EnrollmentServiceClient},
};
use wherry_trust::{keys::SigningKey, token::EnrolmentToken};

use super::{
    error::IdentityError,
    files::{self, Identity, Note},
    key::CertificateKey,
    pinned::PinnedVerifier,
};
use crate::{
    VERSION,
    keyring::{self, Admitted, Invited},
    link::{self, Address},
    net::{Proxy, WebAddress},
    paths::DataDir,
    peer, secrets,
};

/// What an agent owner says when enrolling.
pub struct EnrolOptions {
    /// The controller's address for agents.
    pub url: WebAddress,
    /// The one-time token.
    pub token: EnrolmentToken,
    /// What the agent is to be called.
    pub name: Name,
    /// The way to the controller, if not a direct one.
    pub proxy: Option<Proxy>,
}

/// An identity that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The agent's id.
    pub agent: AgentId,
    /// The group it belongs to.
    pub group: String,
    /// Who vouches for the group's keys, if anyone does.
    pub invited: Option<Invited>,
}

/// Enrols this machine and writes the identity into the data folder.
///
/// An attempt whose answer was lost can be repeated with the same token: it uses the same key.
///
/// # Errors
/// If the folder has an identity already, the controller is not the one of the token, or refuses it.
pub async fn enrol(data: &DataDir, options: EnrolOptions, clock: &Clock) -> Result<Enrolled, IdentityError> {
    if let Some(note) = Note::load(data)? {
        return Err(IdentityError::AlreadyEnrolled(note.agent_id.to_string()));
    }
    let address = Address::parse(&options.url, options.proxy.clone())?;
    let channel = link::dial(&address, first_contact(&options.token)?).await?;
    let (key, identity_key) = files::first_keys(data)?;
    let answer = ask(channel, &options, &key, &identity_key).await?;
    let agent: AgentId = answer.agent_id.parse().map_err(|_| IdentityError::Answer("its agent id is malformed"))?;
    let group: String = answer.group.chars().take(100).collect();
    let publishers = convert::publishers(answer.publishers);
    let certificate = answer.certificate.ok_or(IdentityError::Answer("there is none"))?;
    let leaf = certificate.chain.first().ok_or(IdentityError::Answer("it is empty"))?;
    let identity = files::agent_named_in(leaf).ok_or(IdentityError::Answer("it names no agent"))?;
    let admitted = Admitted {
        invite: &answer.invite,
        token: &options.token,
        identity: &identity,
        identity_key: identity_key.public(),
    };
    let invited = keyring::prepare(data, secrets::local_key(&data.local_key())?, &admitted)?;
    let note = Note::new(options.url, agent, options.name, group.clone(), publishers);
    Identity::create(data, key, note, certificate, clock.wall_unix_millis())?;
    Ok(Enrolled { agent, group, invited })
}

async fn ask(
    channel: Channel,
    options: &EnrolOptions,
    key: &CertificateKey,
    identity_key: &SigningKey,
) -> Result<wire::EnrollResponse, IdentityError> {
    let request = wire::EnrollRequest {
        token_id: options.token.id().as_str().to_owned(),
        auth_part: options.token.auth_part().as_bytes().to_vec(),
        csr: key.request()?,
        identity_key: identity_key.public().as_bytes().to_vec(),
        name: options.name.to_string(),
        version: VERSION.to_owned(),
    };
    let mut client = EnrollmentServiceClient::new(channel).max_decoding_message_size(MAX_FRAME);
    let answer = client.enroll(link::within(link::CALL, request)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| {
        let refused = matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied);
        if refused { IdentityError::TokenRefused } else { peer::call_failed(&status) }
    })
}

/// TLS for a controller that is known by its token only.
fn first_contact(token: &EnrolmentToken) -> Result<Arc<ClientConfig>, IdentityError> {
    let provider = tls::provider();
    let verifier = PinnedVerifier::new(token.pin().clone(), Arc::clone(&provider));
    let config = link::client_config(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(link::finish(config))
}
