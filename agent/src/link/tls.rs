//! TLS towards the controller.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::Resumption, client::WantsClientCert,
    crypto::CryptoProvider, version::TLS13,
};
use wherry_daemon::tls;

use super::error::LinkError;
use crate::identity::Identity;

/// The beginning of every configuration: TLS 1.3 and nothing older.
///
/// # Errors
/// If the provider cannot speak it.
pub fn client_config(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, LinkError> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| LinkError::Tls(error.to_string()))
}

/// The end of every configuration: HTTP/2, and no tickets that would outlive a certificate.
pub fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The controller of this identity, and the identity towards it.
///
/// # Errors
/// If certificates or key are unusable.
pub fn known_controller(identity: &Identity) -> Result<Arc<ClientConfig>, LinkError> {
    let config = pinned_roots(identity)?
        .with_client_auth_cert(identity.chain().to_vec(), identity.private_key())
        .map_err(|error| LinkError::Tls(error.to_string()))?;
    Ok(finish(config))
}

/// The controller of this identity, without showing a certificate.
///
/// # Errors
/// If the roots are unusable.
pub fn anonymous(identity: &Identity) -> Result<Arc<ClientConfig>, LinkError> {
    Ok(finish(pinned_roots(identity)?.with_no_client_auth()))
}

fn pinned_roots(identity: &Identity) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, LinkError> {
    let mut roots = RootCertStore::empty();
    for root in identity.roots() {
        roots.add(root.clone()).map_err(|error| LinkError::Tls(error.to_string()))?;
    }
    Ok(client_config(tls::provider())?.with_root_certificates(roots))
}
