//! From the connector's `wasi:http` to the caller's [`Egress`], and errors back, remembered on the way.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::describe;
use crate::egress::{Body, Egress, EgressError};

/// How the last exchange failed, if it did. A connector may lose the reason, or make another one of it; the host does
/// not. An exchange that succeeds erases it.
#[derive(Clone, Default)]
pub(crate) struct LastFailure(Arc<Mutex<Option<EgressError>>>);

impl LastFailure {
    pub(crate) fn get(&self) -> Option<EgressError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, failure: Option<EgressError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// The only way out of one invocation.
pub(crate) struct Outgoing {
    egress: Arc<dyn Egress>,
    forbidden: ForbiddenHeaderFilter,
    slots: Arc<Semaphore>,
    limit: usize,
    failure: LastFailure,
}

impl Outgoing {
    pub(crate) fn new(egress: Arc<dyn Egress>, limit: usize, failure: LastFailure) -> Self {
        let protected: Vec<HeaderName> = egress.protected_headers().to_vec();
        let forbidden: ForbiddenHeaderFilter =
            Arc::new(move |name| DEFAULT_FORBIDDEN_HEADERS.contains(name) || protected.contains(name));
        Self { egress, forbidden, slots: Arc::new(Semaphore::new(limit)), limit, failure }
    }

    fn begin(&self, request: Request<WasiBody>) -> Result<Exchange, EgressError> {
        check(&request)?;
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| EgressError::TooManyRequests { limit: self.limit })?;
        let request = request.map(|body| body.map_err(|_| EgressError::RequestAborted).boxed_unsync());
        Ok(Exchange { request, slot })
    }
}

struct Exchange {
    request: Request<Body>,
    slot: OwnedSemaphorePermit,
}

/// Headers of one request, and trailers. Few servers take more than 100.
pub const REQUEST_HEADERS: usize = 256;

/// Reasons to refuse a request: the only ones that are believed of a worker.
pub(crate) const REASONS: [&str; 6] = [METHOD, NO_HOST, USER, HEADER, HEADERS, describe::REASON];
const METHOD: &str = "the method is CONNECT or TRACE";
const NO_HOST: &str = "it names no host";
const USER: &str = "it has a user name before the host";
const HEADER: &str = "it sets a header that only the agent may set";
const HEADERS: &str = "it has more than 256 headers";

/// What no egress should have to think of.
fn check<B>(request: &Request<B>) -> Result<(), EgressError> {
    let invalid = |reason: &str| Err(EgressError::InvalidRequest { reason: reason.into() });
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return invalid(METHOD);
    }
    if request.headers().len() > REQUEST_HEADERS {
        return invalid(HEADERS);
    }
    match request.uri().authority() {
        None => invalid(NO_HOST),
        Some(authority) if authority.as_str().contains('@') => invalid(USER),
        Some(authority) if authority.host().is_empty() => invalid(NO_HOST),
        Some(_) => Ok(()),
    }
}

/// Whether a request that another process made may go to an [`Egress`]: the same rules as for those made here, headers
/// included.
///
/// # Errors
/// With the rule it breaks.
pub fn admit_request<B>(request: &Request<B>, protected: &[HeaderName]) -> Result<(), EgressError> {
    check(request)?;
    let forbidden = |name: &HeaderName| DEFAULT_FORBIDDEN_HEADERS.contains(name) || protected.contains(name);
    if request.headers().keys().any(forbidden) {
        return Err(EgressError::InvalidRequest { reason: HEADER.into() });
    }
    Ok(())
}

async fn answer(
    sending: Pin<Box<dyn Future<Output = Result<Response<Body>, EgressError>> + Send>>,
    host: String,
    patience: Option<Duration>,
) -> Result<Response<Body>, EgressError> {
    let Some(patience) = patience else { return sending.await };
    let limit_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    tokio::time::timeout(patience, sending).await.unwrap_or(Err(EgressError::ResponseTimeout { host, limit_ms }))
}

type Done = Box<dyn Future<Output = Result<(), WasiError>> + Send>;

impl WasiHttpHooks for Outgoing {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&self.forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Done), WasiError>> + Send> {
        let (egress, failure) = (Arc::clone(&self.egress), self.failure.clone());
        let exchange = self.begin(request);
        Box::new(async move {
            let sent = match exchange {
                Err(refused) => Err(refused),
                Ok(Exchange { request, slot }) => {
                    let host = request.uri().host().unwrap_or_default().to_owned();
                    let patience = options.and_then(|options| options.first_byte_timeout);
                    answer(egress.send(request), host, patience).await.map(|response| (response, slot))
                }
            };
            failure.set(sent.as_ref().err().cloned());
            let (response, slot) = sent.map_err(|error| as_wasi(&error))?;
            let body = |inner| Watched { inner, failure, _slot: slot }.boxed_unsync();
            Ok((response.map(body), Box::new(std::future::ready(Ok(()))) as Done))
        })
    }
}

/// A body that remembers how it failed, and holds its place among the exchanges in flight.
struct Watched {
    inner: Body,
    failure: LastFailure,
    _slot: OwnedSemaphorePermit,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                let wasi = as_wasi(&error);
                self.failure.set(Some(error));
                wasi
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The nearest that `wasi:http` has. Certificate faults keep a code of their own: operators must be able to tell them
/// from an unreachable host.
fn as_wasi(error: &EgressError) -> WasiError {
    match error {
        EgressError::Denied { .. } | EgressError::PolicyDenied { .. } | EgressError::OwnerDenied { .. } => {
            WasiError::HttpRequestDenied
        }
        EgressError::AddressDenied { .. } => WasiError::DestinationIpProhibited,
        EgressError::InvalidRequest { .. } => WasiError::HttpRequestUriInvalid,
        EgressError::TooManyRequests { .. } => WasiError::ConnectionLimitReached,
        EgressError::DnsFailed { .. } => WasiError::DnsError { rcode: None, info_code: None },
        EgressError::ConnectRefused { .. } => WasiError::ConnectionRefused,
        EgressError::ConnectTimeout { .. } => WasiError::ConnectionTimeout,
        EgressError::Unreachable { .. } | EgressError::ProxyFailed { .. } => WasiError::DestinationUnavailable,
        EgressError::ProxyAuth { .. }
        | EgressError::ProxyRefused { .. }
        | EgressError::Auth { .. }
        | EgressError::Credentials { .. } => WasiError::ConfigurationError,
        EgressError::Echoed { .. } => WasiError::HttpResponseIncomplete,
        EgressError::TlsUntrusted { .. } => WasiError::TlsCertificateError,
        EgressError::TlsFailed { .. } => WasiError::TlsProtocolError,
        EgressError::ClientCertificate { .. } => WasiError::TlsAlertReceived { alert_id: None, alert_message: None },
        EgressError::ResponseTimeout { .. } => WasiError::HttpResponseTimeout,
        EgressError::ResponseTooLarge { limit, .. } => WasiError::HttpResponseBodySize(Some(*limit)),
        EgressError::ResponseIncomplete { .. } => WasiError::HttpResponseIncomplete,
        EgressError::Protocol { .. } => WasiError::HttpProtocolError,
        EgressError::RequestAborted => WasiError::ConnectionTerminated,
        EgressError::Internal { .. } => WasiError::InternalError(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_as_many_headers_as_it_may_have_and_no_more() {
        let mut request = Request::get("https://db.example/").body(()).unwrap();
        for _ in 0..REQUEST_HEADERS {
            request.headers_mut().append("x-many", "1".parse().unwrap());
        }
        assert_eq!(admit_request(&request, &[]), Ok(()));
        request.headers_mut().append("x-many", "1".parse().unwrap());
        let refused = admit_request(&request, &[]).unwrap_err();
        assert_eq!(refused.code().as_str(), "egress.invalid_request");
        assert!(HEADERS.contains(&REQUEST_HEADERS.to_string()) && refused.to_string().contains(HEADERS), "{refused}");
    }
}
