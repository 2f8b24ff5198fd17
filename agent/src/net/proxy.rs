//! HTTP proxies: `CONNECT` with basic authentication (RFC 9110, section 9.3.6).

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};
use zeroize::Zeroizing;

use super::tcp::{self, TcpError};

/// Largest head of a proxy's answer.
const MAX_HEAD: usize = 8 << 10;

/// A proxy of the agent's configuration.
#[derive(Clone)]
pub struct Proxy {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

/// Why a proxy did not open a way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself cannot be reached.
    #[error("the proxy cannot be reached: {0}")]
    Tcp(#[from] TcpError),
    /// It wants other credentials.
    #[error("the proxy {proxy} refused the agent's credentials, check username and password_file")]
    Auth {
        /// Host and port of the proxy.
        proxy: String,
    },
    /// It does not connect to that destination.
    #[error("the proxy {proxy} refused to connect to {destination} (status {status}), ask its operator to allow it")]
    Refused {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port asked for.
        destination: String,
        /// HTTP status.
        status: u16,
    },
    /// It did not answer like a proxy, or not in time.
    #[error("the proxy {proxy} failed: {reason}")]
    Broken {
        /// Host and port of the proxy.
        proxy: String,
        /// What was seen.
        reason: String,
    },
}

impl Proxy {
    /// A proxy at `host:port`, with basic credentials if the owner configured any.
    pub fn new(host: &str, port: u16, credentials: Option<(&str, &SecretString)>) -> Self {
        let authorization = credentials.and_then(|(user, password)| basic(user, password));
        Self { host: host.to_owned(), port, authorization }
    }

    /// Value of `Proxy-Authorization`, if the proxy wants one.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// A plain connection to the proxy itself, for requests in absolute form.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn connect(&self, limit: Duration) -> Result<TcpStream, ProxyError> {
        let addresses = tcp::resolve(&self.host, self.port, limit).await?;
        Ok(tcp::connect(&self.host, &addresses, limit).await?)
    }

    /// A tunnel to `host:port`, which the proxy resolves.
    ///
    /// # Errors
    /// If the proxy cannot be reached, refuses, or does not answer within `limit`.
    pub async fn tunnel(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ProxyError> {
        let mut stream = self.connect(limit).await?;
        let destination = format!("{host}:{port}");
        match time::timeout(limit, self.ask(&mut stream, &destination)).await {
            Ok(answer) => answer.map(|()| stream),
            Err(_) => Err(self.broken(format!("no answer to CONNECT within {} ms", limit.as_millis()))),
        }
    }

    async fn ask(&self, stream: &mut TcpStream, destination: &str) -> Result<(), ProxyError> {
        let mut request = Zeroizing::new(format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n"));
        if let Some(value) = self.authorization.as_ref().and_then(|value| value.to_str().ok()) {
            request.push_str("Proxy-Authorization: ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| self.broken(error.to_string()))?;
        let head = self.read_head(stream).await?;
        match status(&head) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(ProxyError::Auth { proxy: self.to_string() }),
            Some(status) => {
                Err(ProxyError::Refused { proxy: self.to_string(), destination: destination.to_owned(), status })
            }
            None => Err(self.broken("its answer is not HTTP".to_owned())),
        }
    }

    /// Reads up to the empty line. Nothing may follow it: in TLS the client speaks first.
    async fn read_head(&self, stream: &mut TcpStream) -> Result<Vec<u8>, ProxyError> {
        let mut head = Vec::with_capacity(512);
        loop {
            let read = stream.read_buf(&mut head).await.map_err(|error| self.broken(error.to_string()))?;
            if head.ends_with(b"\r\n\r\n") {
                return Ok(head);
            }
            // A refusal may carry a page for people behind its head.
            if read == 0 || head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                return match status(&head) {
                    Some(200..=299) | None => Err(self.broken("it closed or talked before the tunnel".to_owned())),
                    Some(_) => Ok(head),
                };
            }
            if head.len() > MAX_HEAD {
                return Err(self.broken(format!("the head of its answer exceeds {MAX_HEAD} bytes")));
            }
        }
    }

    fn broken(&self, reason: String) -> ProxyError {
        ProxyError::Broken { proxy: self.to_string(), reason }
    }
}

/// Host and port only; credentials are never shown.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
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

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next()?.strip_prefix("HTTP/1.").filter(|minor| minor.len() == 1)?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_read_and_nonsense_is_none() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407 x\r\n"), Some(407));
        for bad in [&b""[..], b"SSH-2.0-x", b"HTTP/2 200", b"HTTP/1.1 abc"] {
            assert_eq!(status(bad), None);
        }
    }

    #[test]
    fn credentials_of_a_proxy_are_never_shown() {
        let proxy = Proxy::new("proxy", 3128, Some(("user", &"geheim".into())));
        assert_eq!(format!("{proxy} {proxy:?}"), "proxy:3128 Proxy(proxy:3128)");
        assert!(!format!("{:?}", proxy.authorization()).contains("dXNlcjpnZWhlaW0="));
    }
}
