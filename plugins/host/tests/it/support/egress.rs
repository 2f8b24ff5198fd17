//! Ways out for tests: one that is locked, and one over real sockets that checks hosts and adds a credential.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wherry_host::{Body, Egress, EgressError, EgressFuture};

/// No way out at all.
pub(crate) struct Locked;

impl Egress for Locked {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        let (host, port) = destination(&request);
        Box::pin(std::future::ready(Err(EgressError::Denied { host, port })))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}

/// A way out to one host, with a credential that the connector must never see.
pub(crate) struct ToServer {
    allowed: Arc<str>,
    credential: HeaderValue,
    protected: [HeaderName; 2],
}

pub(crate) const CREDENTIAL: &str = "Bearer canary-4711";

impl ToServer {
    pub(crate) fn new(authority: &str) -> Self {
        let protected = [header::AUTHORIZATION, HeaderName::from_static("x-session")];
        Self { allowed: authority.into(), credential: HeaderValue::from_static(CREDENTIAL), protected }
    }

    /// With another credential.
    pub(crate) fn presenting(self, credential: &str) -> Self {
        Self { credential: credential.parse().unwrap(), ..self }
    }
}

impl Egress for ToServer {
    fn send(&self, mut request: Request<Body>) -> EgressFuture {
        let (allowed, credential) = (Arc::clone(&self.allowed), self.credential.clone());
        Box::pin(async move {
            let (host, port) = destination(&request);
            if format!("{host}:{port}") != *allowed {
                return Err(EgressError::Denied { host, port });
            }
            request.headers_mut().insert(header::AUTHORIZATION, credential);
            request.headers_mut().insert(header::HOST, allowed.parse().unwrap());
            exchange(request, host, port).await
        })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &self.protected
    }
}

fn destination(request: &Request<Body>) -> (String, u16) {
    let authority = request.uri().authority().unwrap();
    (authority.host().to_owned(), authority.port_u16().unwrap_or(80))
}

#[expect(clippy::disallowed_methods, reason = "the connection ends with its exchange")]
async fn exchange(request: Request<Body>, host: String, port: u16) -> Result<http::Response<Body>, EgressError> {
    let refused = |_| EgressError::ConnectRefused { host: host.clone(), port };
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(refused)?;
    let incomplete = {
        let host = host.clone();
        move |error: hyper::Error| EgressError::ResponseIncomplete { host: host.clone(), reason: error.to_string() }
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(&incomplete)?;
    tokio::spawn(connection);
    let path = request.uri().path_and_query().unwrap().to_string();
    let (mut parts, body) = request.into_parts();
    parts.uri = path.parse().unwrap();
    let response = sender.send_request(Request::from_parts(parts, body)).await.map_err(&incomplete)?;
    Ok(response.map(|body| body.map_err(incomplete).boxed_unsync()))
}
