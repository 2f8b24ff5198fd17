//! Connections to one destination: judged, through the endpoint's proxy where it has one, with TLS where the scheme
//! says so.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time,
};
use tokio_rustls::client::TlsStream;
use wherry_domain::{
    path::{Phase, Way},
    project::tls::is_local_host,
};
use wherry_host::EgressError;

use super::{
    address::{AddressRules, with_embedded},
    destination::Destination,
    look,
    resolver::Resolver,
    tls::Tls,
};
use crate::{
    net::{
        Dial, Hop, Layer, Proxy, ProxyError, TcpError, Trace,
        proxy::{Scheme, Target},
        tcp,
    },
    policy::{Policy, Refusal},
};

/// Dials one destination, whatever URI it is asked for.
#[derive(Clone)]
pub(super) struct Connector(Arc<Route>);

/// What a dialler needs to know.
#[derive(Clone)]
pub(crate) struct Route {
    pub(super) destination: Destination,
    /// The connection's proxy; destinations on its `bypass` go direct all the same.
    pub(super) proxy: Option<Proxy>,
    pub(super) rules: Arc<AddressRules>,
    pub(super) policy: Policy,
    pub(super) resolver: Resolver,
    pub(super) tls: Arc<Tls>,
    /// TLS towards other hosts than the connection's own.
    pub(super) owners_tls: Arc<Tls>,
    pub(super) limit: Duration,
    /// Where the way is noted.
    pub(super) trace: Trace,
}

impl Connector {
    pub(super) fn new(route: Route) -> Self {
        Self(Arc::new(route))
    }
}

impl Route {
    /// The same way to another destination of the connection, such as the system that hands out its tokens. What the
    /// connection says about TLS, its client certificate too, is meant for its own host and no other.
    pub(crate) fn towards(&self, destination: Destination) -> Self {
        let own = destination.host() == self.destination.host();
        let tls = Arc::clone(if own { &self.tls } else { &self.owners_tls });
        Self { destination, tls, ..self.clone() }
    }

    /// Whether nobody on the way can read what goes there. Through a proxy, `localhost` is another machine.
    pub(super) fn is_private(&self) -> bool {
        self.destination.secure() || (self.through().is_none() && is_local_host(self.destination.host()))
    }

    /// The same way, noted in `trace`.
    pub(super) fn traced(&self, trace: Trace) -> Self {
        Self { trace, ..self.clone() }
    }

    /// The proxy that plain requests go to in absolute form, if there is one.
    pub(super) fn absolute(&self) -> Option<&Proxy> {
        self.through().filter(|proxy| !self.destination.secure() && proxy.scheme().is_http())
    }

    /// A connection to the destination.
    ///
    /// # Errors
    /// With the step that failed.
    pub(crate) async fn dial(&self) -> Result<Stream, EgressError> {
        let dial = self.trace.dial(|| self.way());
        match self.connect(&dial).await {
            Ok(io) => {
                dial.begin(Phase::FirstByte);
                Ok(Stream { io, proxied: self.absolute().is_some(), dial })
            }
            Err(error) => {
                dial.failed(error.code(), &error.to_string());
                Err(error)
            }
        }
    }

    fn through(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| !proxy.bypasses(self.destination.host()))
    }

    fn way(&self) -> Way {
        match (&self.proxy, self.through()) {
            (None, _) => Way::Direct,
            (Some(_), Some(proxy)) => Way::Proxy(proxy.via()),
            (Some(proxy), None) => Way::Bypass(proxy.via()),
        }
    }

    async fn connect(&self, dial: &Dial) -> Result<Layer<Hop>, EgressError> {
        let hop = self.hop(dial).await?;
        if !self.destination.secure() {
            return Ok(Layer::Plain(hop));
        }
        dial.begin(Phase::Tls);
        let host = self.destination.host();
        let reason = format!("no handshake within {} ms", self.limit.as_millis());
        let handshake = time::timeout(self.limit, self.tls.connect(host, hop)).await;
        match handshake.unwrap_or(Err(EgressError::TlsFailed { host: host.to_owned(), reason })) {
            Ok(session) => {
                self.tell(&session, dial);
                Ok(Layer::Tls(Box::new(session)))
            }
            Err(error) => Err(self.explain(error, dial).await),
        }
    }

    /// The connection before TLS with the destination.
    async fn hop(&self, dial: &Dial) -> Result<Hop, EgressError> {
        let (host, port) = (self.destination.host(), self.destination.port());
        let named = self.policy.rules().host(host, port).map_err(|refusal| denied(&refusal))?;
        let Some(proxy) = self.through() else {
            let addresses = self.addresses(dial).await?;
            dial.begin(Phase::Connect);
            let stream = tcp::connect(host, &addresses, self.limit).await.map_err(from_tcp)?;
            dial.connected(stream.peer_addr().ok());
            return Ok(Layer::Plain(stream));
        };
        // Other proxies resolve names themselves; an address is judged here all the same.
        let addresses = match proxy.scheme() {
            Scheme::Socks5 => self.addresses(dial).await?,
            Scheme::Http | Scheme::Https | Scheme::Socks5h if self.destination.is_literal() => {
                self.addresses(dial).await?
            }
            Scheme::Http | Scheme::Https | Scheme::Socks5h if !named => {
                return Err(denied(&Refusal::Unresolved { host: host.to_owned(), port }));
            }
            Scheme::Http | Scheme::Https | Scheme::Socks5h => Vec::new(),
        };
        let opened = match proxy.scheme() {
            Scheme::Socks5 => proxy.open_any(host, &addresses, self.limit, dial).await,
            Scheme::Http | Scheme::Https if !self.destination.secure() => proxy.connect(self.limit, dial).await,
            Scheme::Http | Scheme::Https | Scheme::Socks5h => {
                proxy.open(Target::of(host, port), self.limit, dial).await
            }
        };
        opened.map_err(|error| from_proxy(proxy, error))
    }

    /// Where the destination's host leads, if the connection may go to all of it.
    async fn addresses(&self, dial: &Dial) -> Result<Vec<SocketAddr>, EgressError> {
        dial.begin(Phase::Resolve);
        let (host, port) = (self.destination.host(), self.destination.port());
        let addresses = self.resolver.resolve(host, port, self.limit).await.map_err(from_tcp)?;
        self.rules.check(&self.destination, &addresses)?;
        let inner = addresses.iter().map(|address| address.ip()).flat_map(with_embedded);
        self.policy.rules().addresses(host, port, inner).map_err(|refusal| denied(&refusal))?;
        Ok(addresses)
    }

    fn tell(&self, session: &TlsStream<Hop>, dial: &Dial) {
        if self.trace.is_wanted() {
            let session = session.get_ref().1;
            let certificate = session.peer_certificates().and_then(<[_]>::first).and_then(look::read);
            dial.secured(version(session.protocol_version()), certificate);
        }
    }

    /// Adds who issued a certificate that is not trusted, if anyone wants to know: that takes another connection.
    async fn explain(&self, error: EgressError, dial: &Dial) -> EgressError {
        let EgressError::TlsUntrusted { host, reason } = error else { return error };
        if !self.trace.is_wanted() {
            return EgressError::TlsUntrusted { host, reason };
        }
        let Ok(hop) = self.hop(&Dial::default()).await else { return EgressError::TlsUntrusted { host, reason } };
        let seen = look::at(&host, hop, self.limit).await;
        let issuer = seen.as_ref().map(|seen| format!(", issued by {}", seen.issuer)).unwrap_or_default();
        dial.secured("", seen);
        EgressError::TlsUntrusted { host, reason: reason + &issuer }
    }
}

/// What the owner's policy does not name.
fn denied(refusal: &Refusal) -> EgressError {
    EgressError::OwnerDenied { message: refusal.to_string() }
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(_) | None => "TLS",
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let route = Arc::clone(&self.0);
        Box::pin(async move { route.dial().await.map(TokioIo::new) })
    }
}

fn from_tcp(error: TcpError) -> EgressError {
    match error {
        TcpError::Dns { host, reason } => EgressError::DnsFailed { host, reason },
        TcpError::Refused { host, port } => EgressError::ConnectRefused { host, port },
        TcpError::Timeout { host, port, limit_ms } => EgressError::ConnectTimeout { host, port, limit_ms },
        TcpError::Unreachable { host, port, reason } => EgressError::Unreachable { host, port, reason },
    }
}

/// What a proxy's refusal means for a request.
pub(super) fn from_proxy(proxy: &Proxy, error: ProxyError) -> EgressError {
    let proxy = proxy.to_string();
    match error {
        ProxyError::Auth { reason, .. } => EgressError::ProxyAuth { proxy, reason },
        ProxyError::Refused { destination, reason, .. } => EgressError::ProxyRefused { proxy, destination, reason },
        ProxyError::Tcp(error) => EgressError::ProxyFailed { proxy, reason: error.to_string() },
        ProxyError::Unreached { destination, reason, .. } => {
            EgressError::ProxyFailed { proxy, reason: format!("it did not reach {destination}: {reason}") }
        }
        ProxyError::Untrusted { reason, .. } => EgressError::ProxyFailed {
            proxy,
            reason: format!("its certificate is not trusted ({reason}), add its issuer to ca_files of the proxy"),
        },
        ProxyError::Broken { reason, .. } => EgressError::ProxyFailed { proxy, reason },
    }
}

/// A connection to a destination.
pub(crate) struct Stream {
    io: Layer<Hop>,
    /// Requests go to a proxy in absolute form.
    proxied: bool,
    dial: Dial,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() && buf.filled().len() > before {
            self.dial.answered();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
