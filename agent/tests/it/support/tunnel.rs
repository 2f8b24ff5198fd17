//! An HTTP proxy that opens tunnels for those who know its password.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

pub(crate) struct Tunnel {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
}

impl Tunnel {
    pub(crate) async fn start(authorization: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, opened) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, authorization, Arc::clone(&count)));
            }
        });
        Self { address, opened }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn opened(&self) -> usize {
        self.opened.load(SeqCst)
    }
}

async fn serve(stream: TcpStream, authorization: &str, opened: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut destination, mut known) = (String::new(), false);
    stream.read_line(&mut destination).await.ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        known |= line.trim_end() == format!("Proxy-Authorization: {authorization}");
        if line.trim_end().is_empty() {
            break;
        }
    }
    if !known {
        stream.write_all(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n").await.ok()?;
        return None;
    }
    let destination = destination.strip_prefix("CONNECT ")?.split(' ').next()?;
    let mut onward = TcpStream::connect(destination).await.ok()?;
    stream.write_all(b"HTTP/1.1 200 Go ahead\r\n\r\n").await.ok()?;
    opened.fetch_add(1, SeqCst);
    copy_bidirectional(&mut stream, &mut onward).await.ok().map(drop)
}
