//! Connections to one destination: judged, tunnelled where asked, with TLS where the scheme says so.

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
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time,
};
use tokio_rustls::client::TlsStream;
use wherry_host::EgressError;

use super::{address::AddressRules, destination::Destination, tls::Tls};
use crate::net::{Proxy, ProxyError, TcpError, tcp};

/// Dials one destination, whatever URI it is asked for.
#[derive(Clone)]
pub(super) struct Connector(Arc<Route>);

/// What a dialler needs to know.
pub(super) struct Route {
    pub(super) destination: Destination,
    pub(super) proxy: Option<Proxy>,
    pub(super) rules: Arc<AddressRules>,
    pub(super) tls: Arc<Tls>,
    pub(super) limit: Duration,
}

impl Connector {
    pub(super) fn new(route: Route) -> Self {
        Self(Arc::new(route))
    }
}

impl Route {
    async fn dial(&self) -> Result<Stream, EgressError> {
        let (stream, proxied) = match &self.proxy {
            None => (self.direct().await?, false),
            Some(proxy) => self.through(proxy).await?,
        };
        if !self.destination.secure() {
            return Ok(Stream { io: Io::Plain(stream), proxied });
        }
        let host = self.destination.host();
        let handshake = time::timeout(self.limit, self.tls.connect(host, stream)).await;
        let reason = format!("no handshake within {} ms", self.limit.as_millis());
        let secured = handshake.unwrap_or(Err(EgressError::TlsFailed { host: host.to_owned(), reason }))?;
        Ok(Stream { io: Io::Tls(Box::new(secured)), proxied })
    }

    async fn direct(&self) -> Result<TcpStream, EgressError> {
        let addresses = self.addresses().await?;
        tcp::connect(self.destination.host(), &addresses, self.limit).await.map_err(from_tcp)
    }

    /// A way through the proxy, and whether requests take it in absolute form. The proxy resolves names; an address
    /// is judged here all the same.
    async fn through(&self, proxy: &Proxy) -> Result<(TcpStream, bool), EgressError> {
        if self.destination.is_literal() {
            self.addresses().await?;
        }
        let (host, port) = (self.destination.host(), self.destination.port());
        let opened = if self.destination.secure() {
            proxy.tunnel(host, port, self.limit).await
        } else {
            proxy.connect(self.limit).await
        };
        Ok((opened.map_err(|error| from_proxy(proxy, error))?, !self.destination.secure()))
    }

    /// Where the destination's host leads, if the connection may go to all of it.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, EgressError> {
        let (host, port) = (self.destination.host(), self.destination.port());
        let addresses = tcp::resolve(host, port, self.limit).await.map_err(from_tcp)?;
        self.rules.check(&self.destination, &addresses)?;
        Ok(addresses)
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

fn from_proxy(proxy: &Proxy, error: ProxyError) -> EgressError {
    let proxy = proxy.to_string();
    match error {
        ProxyError::Auth { .. } => EgressError::ProxyAuth { proxy },
        ProxyError::Tcp(error) => EgressError::ProxyFailed { proxy, reason: error.to_string() },
        ProxyError::Refused { status, .. } => {
            EgressError::ProxyFailed { proxy, reason: format!("it refused the destination with status {status}") }
        }
        ProxyError::Broken { reason, .. } => EgressError::ProxyFailed { proxy, reason },
    }
}

/// A connection, plain or with TLS.
pub(super) struct Stream {
    io: Io,
    /// Requests go to a proxy in absolute form.
    proxied: bool,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Io::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}
