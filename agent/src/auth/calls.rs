//! The calls that a scheme makes itself: a login, a token, an exchange.
//!
//! They go where the scheme says and nowhere else, and on the same terms as the connection's own requests: address
//! rules, proxy, TLS options.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time;
use wherry_host::{Body, EgressError};

use crate::egress::{Destination, Endpoint};

/// A token, a page of key material, an error document: none of them comes near to it.
pub const MAX_ANSWER: usize = 1 << 20;
/// A login that takes longer than this will not help the run that waits for it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A client for one destination, without any credential of its own and without redirects.
///
/// Made by [`Endpoint::calls`] of the connection it works for.
#[derive(Clone)]
pub struct AuthCalls {
    endpoint: Endpoint,
    /// The connection says that it may go without TLS.
    plain: bool,
}

impl AuthCalls {
    pub(crate) fn new(endpoint: Endpoint, plain: bool) -> Self {
        Self { endpoint, plain }
    }

    /// Whether nobody on the way can read what it sends: TLS, or this machine without a proxy.
    pub(crate) fn is_private(&self) -> bool {
        self.endpoint.is_private()
    }

    /// Whether the connection says that it may go without TLS (`use_non_tls_connections`).
    pub(crate) const fn allows_plain(&self) -> bool {
        self.plain
    }

    /// Where it may go.
    pub fn destination(&self) -> &Destination {
        self.endpoint.destination()
    }

    /// Makes one call and reads its answer whole. The request's URI is absolute; it may carry `Authorization`.
    ///
    /// # Errors
    /// As any exchange; with `egress.response_timeout` after [`LIMIT`], and `egress.response_too_large` beyond
    /// [`MAX_ANSWER`]. A status is no error here.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let host = self.endpoint.destination().host().to_owned();
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let limit_ms = u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX);
        let answer = time::timeout(LIMIT, self.exchange(request)).await;
        answer.unwrap_or(Err(EgressError::ResponseTimeout { host, limit_ms }))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Bytes>, EgressError> {
        let host = self.endpoint.destination().host().to_owned();
        let (parts, body) = self.endpoint.own(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            let own = error.downcast::<EgressError>().map(|error| *error);
            own.unwrap_or(EgressError::ResponseTooLarge { host, limit: MAX_ANSWER as u64 })
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}
