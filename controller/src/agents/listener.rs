//! Accepting agents: bounded, timed TLS handshakes, then HTTP/2 with the peer's identity attached.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tower::ServiceExt;
use wherry_daemon::{
    clock::Clock,
    shutdown::Shutdown,
    tasks::{OnStop, Tasks},
};
use wherry_proto::{
    MAX_FETCH, MAX_FRAME,
    wire::{agent_service_server::AgentServiceServer, enrollment_service_server::EnrollmentServiceServer},
};
use wherry_trust::seal_local::LocalKey;

use super::{
    enrollment::Enrollment,
    identity::{Peer, of_certificate},
    session::Sessions,
};
use crate::{ca::Authority, config::Config, engine::Ledger};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once.
const HANDSHAKES: usize = 128;
/// Connections at once.
const CONNECTIONS: usize = 20_000;
/// Streams of one connection: a session, fetches, a renewal.
const STREAMS: u32 = 32;
/// Largest header list, in bytes.
const HEADERS: u32 = 16 << 10;
/// HTTP/2 pings, so that a dead path is noticed by both sides.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Everything the port needs.
pub struct Port {
    /// The bound socket.
    pub listener: TcpListener,
    /// The ledger.
    pub ledger: Ledger,
    /// The authority.
    pub authority: Arc<Authority>,
    /// The clock.
    pub clock: Clock,
    /// Where sessions run.
    pub tasks: Tasks,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Serves agents until the process stops.
///
/// # Errors
/// If the certificate cannot be made.
pub async fn serve(port: Port, config: &Config) -> anyhow::Result<()> {
    let tls = Arc::new(ArcSwap::from_pointee(server_config(&port, config)?));
    let routes = routes(&port, config)?;
    let (handshakes, connections) = (Arc::new(Semaphore::new(HANDSHAKES)), Arc::new(Semaphore::new(CONNECTIONS)));
    let mut renewal = tokio::time::interval(crate::ca::SERVER_LIFE / 2);
    renewal.tick().await;
    loop {
        let accepted = tokio::select! {
            () = port.shutdown.stopping() => return Ok(()),
            _ = renewal.tick() => {
                match renewed(&port, config) {
                    Ok(fresh) => tls.store(Arc::new(fresh)),
                    // The old ones are good for as long again.
                    Err(error) => tracing::error!(%error, "could not renew the certificates"),
                }
                continue;
            }
            accepted = port.listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: let some go before the next try.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else { continue };
        let (acceptor, routes) = (TlsAcceptor::from(tls.load_full()), routes.clone());
        port.tasks.work("agent connection", OnStop::Cancel, async move {
            // Boxed, like the connection: thousands of these wait for years, and the handshake's room is not for them.
            let greeted = Box::pin(tokio::time::timeout(HANDSHAKE, handshake(acceptor, stream, address))).await;
            drop(turn);
            match greeted {
                Ok(Ok((tls, peer))) => Box::pin(connection(tls, peer, routes)).await,
                Ok(Err(error)) => tracing::info!(%address, %error, "the handshake failed"),
                Err(_) => tracing::info!(%address, "the handshake took too long"),
            }
            drop(place);
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

type Tls = tokio_rustls::server::TlsStream<TcpStream>;

async fn handshake(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> std::io::Result<(Tls, Peer)> {
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    let leaf = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
    let agent = leaf.and_then(|leaf| of_certificate(&leaf));
    Ok((tls, Peer { agent, address: address.ip() }))
}

async fn connection(tls: Tls, peer: Peer, routes: axum::Router) {
    let service = routes.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(axum::body::Body::new)
    });
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER);
    if let Err(error) = server.serve_connection(TokioIo::new(tls), TowerToHyperService::new(service)).await {
        tracing::debug!(%error, "a connection ended");
    }
}

fn routes(port: &Port, config: &Config) -> anyhow::Result<axum::Router> {
    let enrollment = Enrollment {
        ledger: port.ledger.clone(),
        authority: Arc::clone(&port.authority),
        clock: port.clock.clone(),
        domain: config.agents.domain.clone(),
        certificate_life: config.agents.certificate_life,
        challenge_key: LocalKey::generate()?,
        failures: std::sync::Mutex::default(),
    };
    let sessions = Sessions { ledger: port.ledger.clone(), tasks: port.tasks.clone() };
    let sessions =
        AgentServiceServer::new(sessions).max_decoding_message_size(MAX_FRAME).max_encoding_message_size(MAX_FETCH);
    let enrollment = EnrollmentServiceServer::new(enrollment).max_decoding_message_size(64 << 10);
    Ok(Routes::new(sessions).add_service(enrollment).prepare().into_axum_router())
}

fn renewed(port: &Port, config: &Config) -> anyhow::Result<ServerConfig> {
    port.authority.renew(port.clock.wall_unix_millis())?;
    server_config(port, config)
}

fn server_config(port: &Port, config: &Config) -> anyhow::Result<ServerConfig> {
    let host = config.public_host().unwrap_or("localhost");
    let (chain, key) = port.authority.server(host, port.clock.wall_unix_millis())?;
    let mut roots = RootCertStore::empty();
    roots.add(port.authority.root().clone())?;
    let provider = wherry_daemon::tls::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session skips the check of the certificate, and with it a lock.
    server.send_tls13_tickets = 0;
    Ok(server)
}
