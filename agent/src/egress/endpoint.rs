//! One connection's way out.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{self, Instant};
use wherry_domain::path::Phase;
use wherry_host::{Body, Egress, EgressError, EgressFuture};

use super::{
    body::{Answer, Progress, Sent},
    client::{self, HttpClient, Limits},
    connector::{Route, from_proxy},
    destination::Destination,
    headers,
    replay::Kept,
    tls::TlsFault,
};
use crate::{
    auth::{AuthCalls, Credential, OpenCalls, TokenSource},
    certificates::Seen,
    net::{Proxy, Trace},
};

/// Sends a connector's requests to the connection's own destination, with the connection's credential.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    destination: Destination,
    host: Arc<str>,
    /// With the generation of TLS that it was made under.
    client: ArcSwap<(u64, HttpClient)>,
    limits: Limits,
    carried: ArcSwap<Carried>,
    /// Held while a credential is made, so that runs that begin together share one, and with it its logins.
    making: Mutex<()>,
    /// Headers that no connector may set or see: those of every connection, and those of this one's credential.
    protected: OnceLock<Vec<HeaderName>>,
    route: Route,
    /// Whom requests go to in absolute form.
    absolute: Option<Proxy>,
}

/// Whether a request may still leave, for those whose run holds a lease. Travels with the request.
#[derive(Clone)]
pub(crate) struct StillMay(pub(crate) Arc<dyn Fn() -> bool + Send + Sync>);

impl StillMay {
    /// What is said of a request that may not.
    pub(crate) fn over() -> EgressError {
        EgressError::PolicyDenied { reason: "the lease of the run has ended".to_owned() }
    }
}

/// What requests carry.
enum Carried {
    /// The endpoint is one without authentication.
    Nothing,
    /// There is no credential yet, or the last one could not be made: nothing goes out, least of all anonymously.
    Missing,
    /// A credential, and the secrets and files that it was made of.
    Made { seen: Seen, credential: Option<Credential> },
}

impl Carried {
    fn credential(&self) -> Result<Option<&Credential>, EgressError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Missing => Err(EgressError::Credentials {
                reason: "they could not be made ready, look at the secrets and files that the connection names"
                    .to_owned(),
            }),
            Self::Made { credential, .. } => Ok(credential.as_ref()),
        }
    }
}

impl Endpoint {
    /// An endpoint whose requests carry no credential.
    pub(super) fn open(route: Route, limits: Limits) -> Self {
        Self::carrying(Arc::new(Carried::Nothing), route, limits)
    }

    /// An endpoint without a credential yet, which sends nothing before [`Endpoint::use_credential`].
    pub(super) fn closed(route: Route, limits: Limits) -> Self {
        Self::carrying(Arc::new(Carried::Missing), route, limits)
    }

    fn carrying(carried: Arc<Carried>, route: Route, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            destination: route.destination.clone(),
            host: Arc::from(route.destination.host()),
            limits,
            carried: ArcSwap::new(carried),
            making: Mutex::default(),
            protected: OnceLock::new(),
            absolute: route.absolute().cloned(),
            client: ArcSwap::from_pointee((0, client::build(route.clone()))),
            route,
        }))
    }

    /// The same endpoint with no connection open, whose next way out is noted in `trace`.
    pub(crate) fn traced(&self, trace: &Trace) -> Self {
        let route = self.0.route.traced(trace.clone());
        let endpoint = Self::carrying(self.0.carried.load_full(), route, self.0.limits);
        if let Some(protected) = self.0.protected.get() {
            endpoint.0.protected.get_or_init(|| protected.clone());
        }
        endpoint
    }

    /// Looks at the secrets and files that the connection names under `tls`. If they changed, no request goes over a
    /// connection that was opened before. Costs next to nothing while they are the same.
    ///
    /// # Errors
    /// If one is missing or not what it should be.
    pub fn renew_tls(&self) -> Result<(), TlsFault> {
        let generation = self.0.route.tls.refresh()?;
        if self.0.client.load().0 != generation {
            self.0.client.store(Arc::new((generation, client::build(self.0.route.clone()))));
        }
        Ok(())
    }

    /// Where it leads.
    pub fn destination(&self) -> &Destination {
        &self.0.destination
    }

    /// Keeps these headers from connectors, beside those that no connector may touch. Once only: a connection that
    /// authenticates otherwise is another endpoint.
    pub(crate) fn protect(&self, headers: Vec<HeaderName>) {
        self.0.protected.get_or_init(|| headers::PROTECTED.iter().cloned().chain(headers).collect());
    }

    /// From now on every request carries the credential that `make` gives. It is not asked while `seen`, what the
    /// credential is made of, is the same as before.
    ///
    /// # Errors
    /// If `make` can make none; then no request goes out until it can.
    pub(crate) fn use_credential<E>(
        &self,
        seen: Seen,
        make: impl FnOnce() -> Result<Option<Credential>, E>,
    ) -> Result<(), E> {
        let is_current = || matches!(&**self.0.carried.load(), Carried::Made { seen: its, .. } if its.is_same(&seen));
        if is_current() {
            return Ok(());
        }
        let _making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        if is_current() {
            return Ok(());
        }
        let made = make();
        let (carried, done) = match made {
            Ok(credential) => (Carried::Made { seen, credential }, Ok(())),
            Err(error) => (Carried::Missing, Err(error)),
        };
        self.0.carried.store(Arc::new(carried));
        done
    }

    /// The end: nothing goes out any more, and sessions that the credential holds end with it.
    pub(super) fn leave(&self) {
        self.0.carried.store(Arc::new(Carried::Missing));
    }

    /// Makes clients for other destinations that go the same way, without a credential.
    pub fn calls(&self) -> OpenCalls {
        let (route, limits) = (self.0.route.clone(), self.0.limits);
        let plain = route.tls.allows_plain();
        Arc::new(move |destination| AuthCalls::new(Self::open(route.towards(destination), limits), plain))
    }

    /// Whether nobody on the way can read what it sends: it speaks TLS, or does not leave this machine.
    pub(crate) fn is_private(&self) -> bool {
        self.0.route.is_private()
    }

    /// Sends a request of our own, which may carry any header, and nothing that it does not carry.
    ///
    /// # Errors
    /// As any exchange.
    pub(crate) async fn own(&self, request: Request<Body>) -> Result<Response<Body>, EgressError> {
        self.0.check_destination(&request)?;
        self.0.send(request).await
    }
}

impl Egress for Endpoint {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.exchange(request).await })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        self.0.protected()
    }
}

impl Inner {
    fn protected(&self) -> &[HeaderName] {
        self.protected.get().map_or(&headers::PROTECTED, Vec::as_slice)
    }

    /// A connector's request, with the connection's credential.
    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Body>, EgressError> {
        self.check_destination(&request)?;
        headers::check(&request, self.protected())?;
        let carried = self.carried.load_full();
        let mut answer = match carried.credential()? {
            None => self.send(request).await?,
            Some(Credential::Header(name, value)) => {
                request.headers_mut().insert(name, value.clone());
                self.send(request).await?
            }
            Some(Credential::Query(key)) => {
                let answer = self.send(key.add(request)?).await?;
                key.needles.watch(answer, &self.host)?
            }
            Some(Credential::OAuth1(signer)) => self.send(signer.sign(request).await?).await?,
            Some(Credential::Soap(values)) => {
                let answer = self.send(values.fill(request).await?).await?;
                values.needles.watch(answer, &self.host)?
            }
            Some(Credential::Token(source)) => self.with_token(&**source, request).await?,
        };
        for name in self.protected() {
            answer.headers_mut().remove(name);
        }
        Ok(answer)
    }

    /// Sends the request with a token, and once more with another one if the first is refused and the request can be
    /// repeated.
    async fn with_token(
        &self,
        source: &dyn TokenSource,
        request: Request<Body>,
    ) -> Result<Response<Body>, EgressError> {
        let token = source.token().await?;
        let (mut request, kept) = Kept::of(request);
        request.headers_mut().insert(&token.name, token.value.clone());
        let answer = self.send(request).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        source.rejected(&token);
        let Some(mut again) = kept.again() else { return Ok(answer) };
        let fresh = source.token().await?;
        if fresh.generation == token.generation {
            return Ok(answer);
        }
        drop(answer);
        again.headers_mut().insert(&fresh.name, fresh.value.clone());
        let answer = self.send(again).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            source.rejected(&fresh);
        }
        Ok(answer)
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, EgressError> {
        // A login may have taken its time since the request was let through.
        if request.extensions_mut().remove::<StillMay>().is_some_and(|may| !(may.0)()) {
            return Err(StillMay::over());
        }
        if let Some(value) = self.absolute.as_ref().and_then(Proxy::authorization) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        let progress = Progress::begin();
        if !request.body().is_end_stream() {
            let progress = progress.clone();
            request = request.map(|inner| Sent { inner, progress }.boxed_unsync());
        }
        let answer = self.client.load().1.request(request);
        tokio::pin!(answer);
        let response = loop {
            let patience = self.patience_ends(&progress);
            match time::timeout_at(patience, answer.as_mut()).await {
                Ok(response) => break response.map_err(|error| client::translate(&self.host, &error))?,
                Err(_) if self.patience_ends(&progress) > patience => {}
                Err(_) => return Err(self.no_answer()),
            }
        };
        // No system may say that; it is the proxy itself that speaks.
        let refused = response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if let Some(proxy) = self.absolute.as_ref().filter(|_| refused) {
            let error = from_proxy(proxy, proxy.unauthenticated(response.headers()));
            self.route.trace.ended(Phase::Proxy, error.code(), &error.to_string());
            return Err(error);
        }
        let (parts, body) = response.into_parts();
        let body = Answer::new(body, Arc::clone(&self.host), self.limits)?;
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }

    fn check_destination(&self, request: &Request<Body>) -> Result<(), EgressError> {
        let uri = request.uri();
        if !self.destination.covers(uri) {
            let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            let host = uri.host().unwrap_or_default().chars().take(253).flat_map(char::escape_default).collect();
            return Err(EgressError::Denied { host, port: uri.port_u16().unwrap_or(default) });
        }
        Ok(())
    }

    fn patience_ends(&self, progress: &Progress) -> Instant {
        progress.last() + self.limits.first_byte
    }

    fn no_answer(&self) -> EgressError {
        let limit_ms = u64::try_from(self.limits.first_byte.as_millis()).unwrap_or(u64::MAX);
        EgressError::ResponseTimeout { host: self.host.to_string(), limit_ms }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use secrecy::SecretString;
    use wherry_domain::project::{ProxyChoice, Tls};

    use super::*;
    use crate::egress::{EgressSettings, Endpoints, Identity, TlsChoice};

    const OWN: &str = "http://127.0.0.1:1";

    fn endpoint(url: &str, proxy: Option<Proxy>, tls: Tls) -> Endpoint {
        let tls = Some(TlsChoice { environment: "prod".parse().unwrap(), options: tls });
        let choice = if proxy.is_some() { ProxyChoice::Default } else { ProxyChoice::Direct };
        let endpoints = Endpoints::new(EgressSettings { proxy, ..EgressSettings::default() });
        let (connection, auth) = ("prod/desk/system".to_owned(), "basic".to_owned());
        let destination = Destination::parse(url).unwrap();
        endpoints.open(Identity { connection, destination, proxy: choice, auth, tls }).unwrap()
    }

    fn seen(secret: &str) -> Seen {
        let mut seen = Seen::default();
        seen.secret(Arc::new(SecretString::from(secret)));
        seen
    }

    async fn code(endpoint: &Endpoint) -> String {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let answer = Egress::send(endpoint, Request::get(OWN).body(body).unwrap()).await;
        answer.map(drop).unwrap_err().code().as_str().to_owned()
    }

    #[tokio::test]
    async fn nothing_goes_out_anonymously_before_a_credential_is_there_or_after_one_could_not_be_made() {
        let own = endpoint(OWN, None, Tls::default());
        let refused = EgressError::Credentials { reason: String::new() }.code().as_str().to_owned();
        assert_eq!(code(&own).await, refused);
        own.use_credential(seen("a"), || Ok::<_, ()>(None)).unwrap();
        assert_eq!(code(&own).await, "egress.connect_refused");
        let made = || matches!(&**own.0.carried.load(), Carried::Made { .. });
        own.use_credential(seen("b"), || {
            assert!(made(), "requests of other runs keep the credential meanwhile");
            Err(())
        })
        .unwrap_err();
        assert_eq!(code(&own).await, refused);
        assert_eq!(code(&own.traced(&Trace::wanted())).await, refused);
        own.use_credential(seen("b"), || Ok::<_, ()>(None)).unwrap();
        assert_eq!(code(&own).await, "egress.connect_refused");
    }

    #[test]
    fn what_a_connection_says_about_tls_is_for_its_own_host_alone() {
        let tls = Tls { allow_invalid_certificates: true, ..Tls::default() };
        let own = endpoint("https://desk.example", None, tls);
        let route = &own.0.route;
        let towards = |url: &str| route.towards(Destination::parse(url).unwrap()).tls;
        assert!(Arc::ptr_eq(&towards("https://desk.example:8443"), &route.tls));
        assert!(Arc::ptr_eq(&towards("https://login.example"), &route.owners_tls));
        assert!(!Arc::ptr_eq(&route.tls, &route.owners_tls));
    }

    #[test]
    fn through_a_proxy_localhost_is_another_machine() {
        let proxy = || Some(Proxy::new("proxy.example", 3128, None));
        for (url, direct, proxied) in [
            ("https://desk.example", true, true),
            ("http://desk.example", false, false),
            ("http://localhost:8080", true, false),
            ("http://127.0.0.1:8080", true, false),
        ] {
            let is_private = |proxy| {
                let own = endpoint("https://own.example", proxy, Tls::default());
                (own.calls())(Destination::parse(url).unwrap()).is_private()
            };
            assert_eq!((is_private(None), is_private(proxy())), (direct, proxied), "{url}");
        }
    }
}
