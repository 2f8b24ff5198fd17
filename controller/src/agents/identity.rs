//! Who is at the other end: read from the client certificate and nowhere else.

use tonic::{Request, Status};
use wherry_trust::names::AgentIdentity;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What the listener knows of a connection; it travels in the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The agent, if it showed a certificate.
    pub(super) agent: Option<AgentIdentity>,
    /// Address it came from.
    pub(super) address: std::net::IpAddr,
}

/// The agent named in a certificate that TLS has verified: exactly one name, a URI of ours.
pub(super) fn of_certificate(der: &[u8]) -> Option<AgentIdentity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    match names.as_slice() {
        [GeneralName::URI(uri)] => AgentIdentity::from_uri(uri).ok(),
        _ => None,
    }
}

/// The caller's address.
pub(super) fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    request.extensions().get::<Peer>().cloned().ok_or_else(|| Status::internal("the connection has no identity"))
}

/// The caller's identity.
///
/// # Errors
/// If it showed no certificate.
pub(super) fn agent<T>(request: &Request<T>) -> Result<AgentIdentity, Status> {
    let missing =
        || super::status::unauthenticated("agent.certificate_missing", "this call needs the agent's certificate");
    peer(request)?.agent.ok_or_else(missing)
}
