//! A small HTTP server that answers exactly what a test tells it to, however wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is sent back; the connection is closed afterwards.
pub(crate) enum Reply {
    /// A proper answer.
    Full { status: u16, headers: String, body: Vec<u8> },
    /// These bytes and no more.
    Raw(Vec<u8>),
    /// A head, then data until the other side has enough.
    Endless,
    /// Nothing, for ever.
    Silence,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self::text(200, "application/json", &body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self::Full { status, headers: format!("content-type: {content_type}\r\n"), body: body.into() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::text(status, "text/plain", "the system's own words")
    }

    pub(crate) fn status_only(status: u16) -> Self {
        Self::Raw(format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n").into())
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Full { status, headers, body } => {
                Self::Full { status, headers: format!("{headers}{name}: {value}\r\n"), body }
            }
            other @ (Self::Raw(_) | Self::Endless | Self::Silence) => other,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) authority: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "its tasks end with the test's runtime")]
    /// Answers every request with what `handler` makes of it.
    pub(crate) async fn start(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&received), Arc::new(handler));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                tokio::spawn(async move {
                    // A client that hangs up in the middle is part of some tests.
                    let _ = serve(stream, &log, &*handler).await;
                });
            }
        });
        Self { authority, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The paths asked for, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.received().into_iter().map(|request| request.path).collect()
    }
}

async fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Received>>,
    handler: &(impl Fn(&Received) -> Reply + ?Sized),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream).await?;
    log.lock().unwrap().push(request.clone());
    match handler(&request) {
        Reply::Full { status, headers, body } => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await?,
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 10000000000\r\n\r\n[").await?;
            loop {
                stream.write_all(&[b' '; 65_536]).await?;
            }
        }
        Reply::Silence => {
            let _ = stream.read(&mut [0]).await?;
        }
    }
    stream.shutdown().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Received {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Received::default()
    };
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = request.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}
