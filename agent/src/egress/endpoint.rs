//! One connection's way out.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use secrecy::SecretString;
use tokio::time::{self, Instant};
use wherry_host::{Body, Egress, EgressError, EgressFuture};

use super::{
    body::{Answer, Progress, Sent},
    client::{self, HttpClient, Limits},
    connector::Route,
    destination::Destination,
    headers,
};

/// Sends a connector's requests to the connection's own destination, with the connection's credential.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    destination: Destination,
    host: Arc<str>,
    client: HttpClient,
    limits: Limits,
    credential: ArcSwapOption<Credential>,
    /// For requests that go to a proxy in absolute form.
    proxy_authorization: Option<HeaderValue>,
}

/// A secret and the header it became.
struct Credential {
    secret: Arc<SecretString>,
    header: HeaderValue,
}

impl Endpoint {
    /// An endpoint without a credential yet; see [`Endpoint::use_credential`].
    pub(super) fn new(route: Route, limits: Limits) -> Self {
        let absolute = route.proxy.as_ref().filter(|_| !route.destination.secure());
        Self(Arc::new(Inner {
            destination: route.destination.clone(),
            host: Arc::from(route.destination.host()),
            limits,
            credential: ArcSwapOption::empty(),
            proxy_authorization: absolute.and_then(|proxy| proxy.authorization().cloned()),
            client: client::build(route),
        }))
    }

    /// From now on every request carries the credential that `header` makes of `secret`, as `Authorization`. Costs
    /// nothing while the secret is the same.
    ///
    /// # Errors
    /// If `header` can make none.
    pub(crate) fn use_credential<E>(
        &self,
        secret: &Arc<SecretString>,
        header: impl FnOnce(&SecretString) -> Result<HeaderValue, E>,
    ) -> Result<(), E> {
        let current = self.0.credential.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.secret, secret)) {
            return Ok(());
        }
        let header = header(secret)?;
        self.0.credential.store(Some(Arc::new(Credential { secret: Arc::clone(secret), header })));
        Ok(())
    }
}

impl Egress for Endpoint {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.exchange(request).await })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &headers::PROTECTED
    }
}

impl Inner {
    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Body>, EgressError> {
        self.check(&request)?;
        self.add_credentials(&mut request);
        let progress = Progress::begin();
        if !request.body().is_end_stream() {
            let progress = progress.clone();
            request = request.map(|inner| Sent { inner, progress }.boxed_unsync());
        }
        let answer = self.client.request(request);
        tokio::pin!(answer);
        let response = loop {
            let patience = self.patience_ends(&progress);
            match time::timeout_at(patience, answer.as_mut()).await {
                Ok(response) => break response.map_err(|error| client::translate(&self.host, &error))?,
                Err(_) if self.patience_ends(&progress) > patience => {}
                Err(_) => return Err(self.no_answer()),
            }
        };
        let (parts, body) = response.into_parts();
        let body = Answer::new(body, Arc::clone(&self.host), self.limits)?;
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }

    fn check(&self, request: &Request<Body>) -> Result<(), EgressError> {
        let uri = request.uri();
        if !self.destination.covers(uri) {
            let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            let host = uri.host().unwrap_or_default().chars().take(253).flat_map(char::escape_default).collect();
            return Err(EgressError::Denied { host, port: uri.port_u16().unwrap_or(default) });
        }
        headers::check(request.headers())
    }

    fn add_credentials(&self, request: &mut Request<Body>) {
        let credential = self.credential.load();
        if let Some(value) = credential.as_deref() {
            request.headers_mut().insert(header::AUTHORIZATION, value.header.clone());
        }
        if let Some(value) = &self.proxy_authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
    }

    fn patience_ends(&self, progress: &Progress) -> Instant {
        progress.last() + self.limits.first_byte
    }

    fn no_answer(&self) -> EgressError {
        let limit_ms = u64::try_from(self.limits.first_byte.as_millis()).unwrap_or(u64::MAX);
        EgressError::ResponseTimeout { host: self.host.to_string(), limit_ms }
    }
}
