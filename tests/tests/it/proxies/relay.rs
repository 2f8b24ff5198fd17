//! A small HTTP proxy on the shore that remembers what it was asked for.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::island::SHORE;

/// More than a test asks for.
const MOST_REQUESTS: usize = 10_000;

/// A proxy that lets everything through.
pub(super) struct Relay {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Relay {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((SHORE, 0)).await?;
        let port = listener.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        let told = Arc::clone(&asked);
        server.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                ways.spawn(serve(stream, Arc::clone(&told)));
            }
        });
        Ok(Self { port, asked, _server: server })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The first lines of all requests so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (stream.read_line(&mut head).await.ok()? > 0).then_some(())?;
    }
    let line = head.lines().next()?.to_owned();
    {
        let mut asked = asked.lock().unwrap();
        (asked.len() < MOST_REQUESTS).then(|| asked.push(line.clone()))?;
    }
    let target = line.split(' ').nth(1)?;
    let tunnel = line.starts_with("CONNECT ");
    let address = if tunnel { target } else { target.strip_prefix("http://")?.split('/').next()? };
    let mut onward = TcpStream::connect(address).await.ok()?;
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 Go ahead\r\n\r\n").await.ok()?;
    } else {
        onward.write_all(head.as_bytes()).await.ok()?;
    }
    copy_bidirectional(&mut stream, &mut onward).await.ok().map(drop)
}
