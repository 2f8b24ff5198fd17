//! Proxies of the agent's configuration: HTTP and HTTPS with `CONNECT`, and SOCKS5.
//!
//! They come from the configuration alone; variables of the environment such as `HTTPS_PROXY` mean nothing here.

mod bypass;
mod fault;
mod http;
mod socks;
mod tls;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpStream, time};
use wherry_domain::{
    name::Name,
    path::{Phase, Via},
};
use zeroize::Zeroizing;

pub use self::{
    bypass::{Bypass, InvalidBypass},
    fault::{ProxyError, Target},
};
use self::{
    fault::Fault,
    tls::{ProxyTls, TlsFault},
};
use super::{
    stream::{Hop, Layer},
    tcp,
    trace::Dial,
};

/// A proxy of the agent's configuration.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    settings: ProxySettings,
    authorization: Option<HeaderValue>,
    tls: ProxyTls,
}

/// What the configuration says of a proxy.
pub struct ProxySettings {
    /// Its name; none for the default proxy and for that of the controller.
    pub name: Option<Name>,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What it is shown.
    pub credentials: Option<Credentials>,
    /// What does not go through it.
    pub bypass: Bypass,
    /// Authorities that may have issued its own certificate, beside the platform's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// User name and password for a proxy.
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTP within TLS.
    Https,
    /// SOCKS5; names are resolved by the agent.
    Socks5,
    /// SOCKS5; names are resolved by the proxy.
    Socks5h,
}

impl Scheme {
    /// From the scheme of a URL.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::Socks5, Self::Socks5h].into_iter().find(|scheme| scheme.as_str() == text)
    }

    /// As in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// The port of a URL without one.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 3128,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    /// Whether it speaks HTTP, so that plain requests go to it in absolute form.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

impl Proxy {
    /// An HTTP proxy at `host:port`, with basic credentials if the owner configured any.
    pub fn new(host: &str, port: u16, credentials: Option<(&str, &SecretString)>) -> Self {
        let credentials =
            credentials.map(|(user, password)| Credentials { username: user.to_owned(), password: password.clone() });
        Self::with(ProxySettings { credentials, ..ProxySettings::new(Scheme::Http, host, port) })
    }

    /// A proxy as configured.
    pub fn with(mut settings: ProxySettings) -> Self {
        let known = settings.credentials.as_ref().filter(|_| settings.scheme.is_http());
        let authorization = known.and_then(|known| basic(&known.username, &known.password));
        let tls = ProxyTls::new(std::mem::take(&mut settings.extra_roots));
        Self(Arc::new(Inner { settings, authorization, tls }))
    }

    /// Value of `Proxy-Authorization`, if requests in absolute form carry one.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.0.authorization.as_ref()
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.0.settings.scheme
    }

    /// Whether `host` goes direct.
    pub fn bypasses(&self, host: &str) -> bool {
        self.0.settings.bypass.covers(host)
    }

    /// What is told of it.
    pub fn via(&self) -> Via {
        let ProxySettings { name, scheme, .. } = &self.0.settings;
        Via { name: name.clone(), scheme: scheme.as_str().to_owned(), address: self.to_string() }
    }

    /// A connection to the proxy itself, for requests in absolute form.
    ///
    /// # Errors
    /// If it cannot be reached, or its TLS is not as it should be. Each step may take `limit`.
    pub async fn connect(&self, limit: Duration, dial: &Dial) -> Result<Hop, ProxyError> {
        let ProxySettings { host, port, scheme, .. } = &self.0.settings;
        dial.begin(Phase::Resolve);
        let addresses = tcp::resolve(host, *port, limit).await?;
        dial.begin(Phase::Connect);
        let stream = tcp::connect(host, &addresses, limit).await?;
        dial.connected(stream.peer_addr().ok());
        match scheme {
            Scheme::Http | Scheme::Socks5 | Scheme::Socks5h => Ok(Layer::Plain(stream)),
            Scheme::Https => {
                dial.begin(Phase::Proxy);
                self.secure(stream, limit).await
            }
        }
    }

    /// A way to `target`.
    ///
    /// # Errors
    /// If the proxy cannot be reached, refuses, or does not answer. Each step may take `limit`.
    pub async fn open(&self, target: Target<'_>, limit: Duration, dial: &Dial) -> Result<Hop, ProxyError> {
        let mut stream = self.connect(limit, dial).await?;
        dial.begin(Phase::Proxy);
        match time::timeout(limit, self.ask(&mut stream, &target)).await {
            Ok(answer) => answer.map(|()| stream).map_err(|fault| fault.at(self.to_string(), &target)),
            Err(_) => Err(self.broken(format!("no answer within {} ms", limit.as_millis()))),
        }
    }

    /// A way to one of the addresses behind `host`, tried in their order; for proxies that take addresses only.
    ///
    /// # Errors
    /// That of the last address tried, or the first that no other address would mend.
    pub async fn open_any(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        limit: Duration,
        dial: &Dial,
    ) -> Result<Hop, ProxyError> {
        let mut failure = tcp::nowhere(host).into();
        // Each address gets an equal share, as it does without a proxy.
        let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        for address in addresses {
            match self.open(Target::Address(*address), share, dial).await {
                Err(error @ (ProxyError::Unreached { .. } | ProxyError::Refused { .. })) => failure = error,
                ended => return ended,
            }
        }
        Err(failure)
    }

    /// What an answer with status 407 to a request in absolute form means.
    pub fn unauthenticated(&self, headers: &HeaderMap) -> ProxyError {
        let reason = http::unauthenticated(headers, self.0.authorization.is_some());
        ProxyError::Auth { proxy: self.to_string(), reason }
    }

    async fn ask(&self, stream: &mut Hop, target: &Target<'_>) -> Result<(), Fault> {
        match self.scheme() {
            Scheme::Http | Scheme::Https => http::tunnel(stream, target, self.authorization()).await,
            Scheme::Socks5 | Scheme::Socks5h => {
                socks::connect(stream, target, self.0.settings.credentials.as_ref()).await
            }
        }
    }

    async fn secure(&self, stream: TcpStream, limit: Duration) -> Result<Hop, ProxyError> {
        match time::timeout(limit, self.0.tls.connect(&self.0.settings.host, stream)).await {
            Ok(Ok(session)) => Ok(Layer::Tls(Box::new(session))),
            Ok(Err(TlsFault::Untrusted(reason))) => Err(ProxyError::Untrusted { proxy: self.to_string(), reason }),
            Ok(Err(TlsFault::Other(reason))) => Err(self.broken(reason)),
            Err(_) => Err(self.broken(format!("no TLS handshake within {} ms", limit.as_millis()))),
        }
    }

    fn broken(&self, reason: String) -> ProxyError {
        ProxyError::Broken { proxy: self.to_string(), reason }
    }
}

impl ProxySettings {
    /// A proxy without name, credentials and exceptions.
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        Self {
            name: None,
            scheme,
            host: host.to_owned(),
            port,
            credentials: None,
            bypass: Bypass::default(),
            extra_roots: Vec::new(),
        }
    }
}

/// Host and port only; credentials are never shown.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.settings.host, self.0.settings.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The value of an `Authorization` header for HTTP Basic (RFC 7617); `None` if the user name has a colon.
pub fn basic(user: &str, password: &SecretString) -> Option<HeaderValue> {
    if user.contains(':') {
        return None;
    }
    let plain = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
    let mut encoded = Zeroizing::new(String::from("Basic "));
    STANDARD.encode_string(plain.as_bytes(), &mut encoded);
    sensitive(&encoded)
}

/// A header value that no log prints; `None` if the text cannot stand in a header.
pub fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_proxy_are_never_shown() {
        let proxy = Proxy::new("proxy", 3128, Some(("user", &"geheim".into())));
        assert_eq!(format!("{proxy} {proxy:?}"), "proxy:3128 Proxy(proxy:3128)");
        assert!(!format!("{:?}", proxy.authorization()).contains("dXNlcjpnZWhlaW0="));
    }

    #[test]
    fn socks_proxies_get_no_header() {
        let credentials = || Some(Credentials { username: "user".to_owned(), password: "geheim".into() });
        let of = |scheme| {
            let settings = ProxySettings { credentials: credentials(), ..ProxySettings::new(scheme, "proxy", 1) };
            Proxy::with(settings).authorization().is_some()
        };
        assert_eq!([Scheme::Https, Scheme::Socks5, Scheme::Socks5h].map(of), [true, false, false]);
    }
}
