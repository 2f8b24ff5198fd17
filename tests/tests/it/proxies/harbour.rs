//! A system on the shore that remembers who called.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use wherry_tests::world::wait::PATIENCE;

use super::island::SHORE;

/// More than a test makes.
const MOST_CALLS: usize = 1_000;

/// Answers every request with an empty object.
pub(super) struct Harbour {
    port: u16,
    secure: bool,
    peers: Mutex<mpsc::Receiver<String>>,
    _server: JoinSet<()>,
}

impl Harbour {
    pub(super) async fn open(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind((SHORE, 0)).await?;
        let port = listener.local_addr()?.port();
        let secure = tls.is_some();
        let tls = tls.map(TlsAcceptor::from);
        let (told, peers) = mpsc::channel(MOST_CALLS);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let (tls, told) = (tls.clone(), told.clone());
                calls.spawn(async move {
                    match tls {
                        None => serve(stream, peer.ip().to_string(), told).await,
                        Some(tls) => serve(tls.accept(stream).await.ok()?, peer.ip().to_string(), told).await,
                    }
                });
            }
        });
        Ok(Self { port, secure, peers: Mutex::new(peers), _server: server })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http{}://{SHORE}:{}", if self.secure { "s" } else { "" }, self.port)
    }

    /// Who sent the next request.
    pub(super) async fn peer(&self) -> Result<String> {
        let mut peers = self.peers.lock().await;
        tokio::time::timeout(PATIENCE, peers.recv()).await.context("nobody calls")?.context("the harbour is closed")
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: String,
    told: mpsc::Sender<String>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        (stream.read_buf(&mut head).await.ok()? > 0).then_some(())?;
    }
    told.try_send(peer).ok()?;
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
