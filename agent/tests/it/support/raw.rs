//! A system that sends bytes as a test says, whether they are HTTP or not.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::soon;

/// What happens on each connection after a request came.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// These bytes again and again, until nobody takes them any more.
    Forever(Vec<u8>, Duration),
    /// Nothing, until the other side is gone.
    Wait,
    Close,
}

pub(crate) struct Raw {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: mpsc::Receiver<String>,
    left: mpsc::Receiver<()>,
}

impl Raw {
    pub(crate) async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let ((said, asked), (gone, left)) = (mpsc::channel(1_000), mpsc::channel(1_000));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                let (steps, said, gone) = (steps.clone(), said.clone(), gone.clone());
                tokio::spawn(async move {
                    // A connection that breaks is what some tests are about.
                    _ = serve(stream, steps, said).await;
                    _ = gone.send(()).await;
                });
            }
        });
        Self { address, connections, asked, left }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> String {
        soon("a request", self.asked.recv()).await.unwrap()
    }

    /// Waits until a connection has ended.
    pub(crate) async fn was_left(mut self) {
        soon("the end of a connection", self.left.recv()).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, steps: Vec<Step>, said: mpsc::Sender<String>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    _ = said.send(String::from_utf8_lossy(&request).into_owned()).await;
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Forever(bytes, pause) => loop {
                stream.write_all(&bytes).await?;
                tokio::time::sleep(pause).await;
            },
            Step::Wait => while stream.read(&mut [0; 1024]).await? > 0 {},
            Step::Close => return Ok(()),
        }
    }
    // Whatever else is said on this connection is not answered.
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
