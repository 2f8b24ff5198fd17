//! Where the controller is, and the way there.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::time;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use super::error::LinkError;
use crate::net::{
    Dial, Hop, Layer, Proxy, WebAddress,
    proxy::{Scheme, Target},
    tcp,
};

/// The controller's address for agents.
#[derive(Clone, Debug)]
pub struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
    proxy: Option<Proxy>,
}

impl Address {
    /// Reads an address such as `https://controller.example.com:8444`.
    ///
    /// # Errors
    /// If it is not an `https` URL without path.
    pub fn parse(url: &WebAddress, proxy: Option<Proxy>) -> Result<Self, LinkError> {
        let invalid = || LinkError::Address(url.to_string());
        if url.scheme() != "https" || !url.username().is_empty() || !matches!(url.path(), "" | "/") {
            return Err(invalid());
        }
        let host = url.host_str().ok_or_else(invalid)?.to_owned();
        let name = match url.host().ok_or_else(invalid)? {
            Host::Domain(domain) => ServerName::try_from(domain.to_owned()).map_err(|_| invalid())?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        };
        let port = url.port().unwrap_or(8444);
        Ok(Self { host, port, name, proxy })
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// A TLS session with the controller; each of its steps may take `step`.
    pub(super) async fn connect(&self, config: Arc<ClientConfig>, step: Duration) -> Result<TlsStream<Hop>, LinkError> {
        let stream = self.reach(step).await?;
        let handshake = TlsConnector::from(config).connect(self.name.clone(), stream);
        match time::timeout(step, handshake).await {
            Ok(session) => session.map_err(|error| LinkError::of_tls(&error)),
            Err(_) => Err(LinkError::Tls(format!("no handshake within {} ms", step.as_millis()))),
        }
    }

    async fn reach(&self, step: Duration) -> Result<Hop, LinkError> {
        let (host, port, dial) = (&self.host, self.port, Dial::default());
        match self.proxy.as_ref().filter(|proxy| !proxy.bypasses(host)) {
            Some(proxy) if proxy.scheme() == Scheme::Socks5 => {
                let addresses = tcp::resolve(host, port, step).await?;
                Ok(proxy.open_any(host, &addresses, step, &dial).await?)
            }
            Some(proxy) => Ok(proxy.open(Target::of(host, port), step, &dial).await?),
            None => {
                let addresses = tcp::resolve(host, port, step).await?;
                Ok(Layer::Plain(tcp::connect(host, &addresses, step).await?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_written_one_and_8444_if_there_is_none() {
        for (url, origin) in [
            ("https://host", "https://host:8444"),
            ("https://host:443", "https://host:443"),
            ("https://[::1]:443/", "https://[::1]:443"),
            ("https://host:9000", "https://host:9000"),
        ] {
            assert_eq!(Address::parse(&url.parse().unwrap(), None).unwrap().origin(), origin);
        }
    }
}
