//! Accepting people: HTTP/1.1 and HTTP/2, over TLS where a certificate is set.

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use wherry_daemon::{
    shutdown::Shutdown,
    tasks::{OnStop, Tasks},
};

use super::patience::{self, Opening, Patience};
use crate::config;

const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS: usize = 4_096;

/// Everything the port needs.
pub struct WebPort {
    /// The bound socket.
    pub listener: TcpListener,
    /// What to serve.
    pub router: Router,
    /// Where connections run.
    pub tasks: Tasks,
    /// When to stop.
    pub shutdown: Shutdown,
    /// How long to wait for slow clients.
    pub patience: Patience,
}

/// Serves people until the process stops.
///
/// # Errors
/// If the certificate cannot be read.
pub async fn serve(port: WebPort, config: &config::Web) -> anyhow::Result<()> {
    let acceptor = acceptor(config)?;
    let patience = port.patience;
    let router = port.router.layer(middleware::from_fn_with_state(patience, patience::bodies));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = port.shutdown.stopping() => return Ok(()),
            accepted = port.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (router, acceptor) = (router.clone(), acceptor.clone());
        port.tasks.work("web connection", OnStop::Cancel, async move {
            stream.set_nodelay(true)?;
            match acceptor {
                None => connection(stream, router, patience).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(tls)) => connection(tls, router, patience).await,
                    Ok(Err(error)) => tracing::debug!(%error, "the handshake failed"),
                    Err(_) => tracing::debug!("the handshake took too long"),
                },
            }
            drop(place);
            Ok::<(), std::io::Error>(())
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router, patience: Patience) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(patience.headers);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(128).keep_alive_interval(Duration::from_secs(30));
    let service = TowerToHyperService::new(router);
    if let Err(error) = server.serve_connection(TokioIo::new(Opening::new(stream, patience)), service).await {
        tracing::debug!(error, "a connection ended");
    }
}

fn acceptor(config: &config::Web) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
    let chain = wherry_daemon::tls::load_certificates(cert)?;
    let key = wherry_daemon::tls::load_key(key)?;
    let mut server = ServerConfig::builder_with_provider(wherry_daemon::tls::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}
