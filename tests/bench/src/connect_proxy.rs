//! A forward proxy on loopback that does the least a proxy can do: it joins two connections.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// Starts it on a free port. It knows CONNECT and the absolute form of plain requests.
///
/// # Errors
/// If no port is free.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A connection that breaks is its client's business.
            tokio::spawn(async move { drop(serve(stream).await) });
        }
    });
    Ok(address)
}

async fn serve(client: TcpStream) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(client.read_line(&mut head).await? > 0, "the client left");
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authority = target.strip_prefix("http://").unwrap_or(target);
    let authority = authority.split('/').next().context("no target")?;
    let mut system = TcpStream::connect(authority).await?;
    system.set_nodelay(true)?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    } else {
        system.write_all(head.as_bytes()).await?;
    }
    copy_bidirectional(&mut client, &mut system).await?;
    Ok(())
}
