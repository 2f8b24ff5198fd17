//! The system that every run calls: answers each request with 1 KB of JSON.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Starts the system on a free port of loopback.
///
/// # Errors
/// If no port is free.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let answer = Bytes::from(format!("{{\"id\":1,\"text\":\"{}\"}}", "x".repeat(1_000)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |_| {
                let response =
                    Response::builder().header("content-type", "application/json").body(Full::new(answer.clone()));
                async move { response }
            });
            tokio::spawn(async move {
                // A connection that breaks is its client's business.
                let _ = stream.set_nodelay(true);
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}
