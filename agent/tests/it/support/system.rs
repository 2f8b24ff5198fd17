//! A customer's system: answers HTTP as a test says, and remembers what it was asked.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::soon;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered: a status and a body, or nothing at all.
pub(crate) type Answer = Option<(u16, String)>;

/// In place of a status: the connection is closed and nothing is answered.
pub(crate) const CLOSED: u16 = 0;

/// What is answered, with headers of its own.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl From<(u16, String)> for Reply {
    fn from((status, body): (u16, String)) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body }
    }
}

pub(crate) struct System {
    url: String,
    connections: Arc<AtomicUsize>,
    asked: mpsc::Receiver<Asked>,
}

impl System {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(None, move |asked| answer(asked).map(Reply::from)).await
    }

    /// The same with headers.
    pub(crate) async fn replying(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, move |asked| Some(answer(asked))).await
    }

    /// The same with TLS.
    pub(crate) async fn secure(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(TlsAcceptor::from(config)), move |asked| answer(asked).map(Reply::from)).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (said, asked) = mpsc::channel(10_000);
        let connections = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (Arc::new(answer), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                let (tls, answer, said) = (tls.clone(), Arc::clone(&answer), said.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, answer, said).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, answer, said).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, connections, asked }
    }

    /// Lists `{"n": 0}` and so on under `/items`, takes everything else.
    pub(crate) async fn with_items(count: usize) -> Self {
        let items: Vec<String> = (0..count).map(|n| format!("{{\"n\":{n}}}")).collect();
        let list = format!("[{}]", items.join(","));
        Self::start(move |asked| {
            let items = asked.line.starts_with("GET /items");
            Some(if items { (200, list.clone()) } else { (200, "{}".to_owned()) })
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(crate) async fn next(&mut self) -> Asked {
        soon("a request", self.asked.recv()).await.unwrap()
    }

    /// Everything asked so far that was not looked at.
    pub(crate) fn so_far(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite,
    answer: Arc<impl Fn(&Asked) -> Option<Reply>>,
    said: mpsc::Sender<Asked>,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    while let Some(asked) = read(&mut reader).await {
        let reply = answer(&asked);
        if said.send(asked).await.is_err() {
            return;
        }
        let Some(Reply { status, headers, body }) = reply else { std::future::pending().await };
        if status == CLOSED {
            return;
        }
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Asked> {
    let line = read_line(reader).await?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(reader).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let asked = Asked { line, headers, body: String::new() };
    let mut body = Vec::new();
    if let Some(length) = asked.header("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).await.ok()?;
    } else if asked.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(read_line(reader).await?.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).await.ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    Some(Asked { body: String::from_utf8(body).ok()?, ..asked })
}

async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
