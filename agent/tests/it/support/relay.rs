//! Proxies of every kind in one process: HTTP and SOCKS5, plain or within TLS, with or without a password.
#![expect(clippy::disallowed_methods, reason = "tasks of a test end with its runtime")]

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::soon;

/// What it speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Socks,
}

/// What it does with requests.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    /// Everything goes to this address, whatever was asked for.
    Open(std::net::SocketAddr),
    /// This answer to a CONNECT or a plain request, or this reply of SOCKS5.
    Says(&'static str),
    Replies(u8),
    /// Nothing at all.
    Silent,
}

pub(crate) struct Relay {
    pub(crate) port: u16,
    asked: mpsc::Receiver<String>,
}

#[derive(Clone)]
struct Rules {
    speaks: Speaks,
    mood: Mood,
    /// `user:password`, as it must be shown.
    password: Option<&'static str>,
    told: mpsc::Sender<String>,
}

impl Relay {
    pub(crate) async fn start(speaks: Speaks, mood: Mood, password: Option<&'static str>) -> Self {
        Self::listen(speaks, mood, password, None).await
    }

    pub(crate) async fn secure(mood: Mood, config: Arc<ServerConfig>) -> Self {
        Self::listen(Speaks::Http, mood, None, Some(TlsAcceptor::from(config))).await
    }

    async fn listen(speaks: Speaks, mood: Mood, password: Option<&'static str>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, asked) = mpsc::channel(1_000);
        let rules = Rules { speaks, mood, password, told };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, tls) = (rules.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &rules).await,
                        Some(tls) => serve(tls.accept(stream).await.ok()?, &rules).await,
                    }
                });
            }
        });
        Self { port, asked }
    }

    /// What was asked for next: `CONNECT host:port`, `GET http://...` or `host:port`.
    pub(crate) async fn next(&mut self) -> String {
        soon("a request to the proxy", self.asked.recv()).await.unwrap()
    }

    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, rules: &Rules) -> Option<()> {
    match rules.speaks {
        Speaks::Http => http(stream, rules).await,
        Speaks::Socks => socks(stream, rules).await,
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, rules: &Rules) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (stream.read_line(&mut head).await.ok()? > 0).then_some(())?;
    }
    let line = head.lines().next()?;
    let (asked, _) = line.rsplit_once(' ')?;
    rules.told.send(asked.to_owned()).await.ok()?;
    let shown = head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"));
    let expected = rules.password.map(|password| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(password))
    });
    if expected.is_some_and(|expected| !shown.is_some_and(|shown| shown.ends_with(&expected))) {
        let refusal = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).await.ok();
    }
    let address = match rules.mood {
        Mood::Open(address) => address,
        Mood::Says(answer) => return stream.write_all(answer.as_bytes()).await.ok(),
        Mood::Replies(_) | Mood::Silent => return std::future::pending().await,
    };
    let mut onward = TcpStream::connect(address).await.ok()?;
    if asked.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Go ahead\r\nVia: 1.1 relay\r\n\r\n").await.ok()?;
    } else {
        onward.write_all(head.as_bytes()).await.ok()?;
    }
    copy_bidirectional(&mut stream, &mut onward).await.ok().map(drop)
}

async fn socks(mut stream: impl AsyncRead + AsyncWrite + Unpin, rules: &Rules) -> Option<()> {
    stream.read_u8().await.ok().filter(|version| *version == 5)?;
    let methods = bytes(&mut stream).await?;
    match rules.password {
        Some(_) if !methods.contains(&2) => return stream.write_all(&[5, 0xff]).await.ok(),
        Some(password) => {
            stream.write_all(&[5, 2]).await.ok()?;
            stream.read_u8().await.ok().filter(|version| *version == 1)?;
            let (user, shown) = (bytes(&mut stream).await?, bytes(&mut stream).await?);
            let shown = [user, shown].join(&b':');
            let known = u8::from(shown != password.as_bytes());
            stream.write_all(&[1, known]).await.ok()?;
            (known == 0).then_some(())?;
        }
        None => stream.write_all(&[5, 0]).await.ok()?,
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.ok()?;
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await.ok()?).to_string(),
        4 => std::net::Ipv6Addr::from(stream.read_u128().await.ok()?).to_string(),
        _ => String::from_utf8(bytes(&mut stream).await?).ok()?,
    };
    let port = stream.read_u16().await.ok()?;
    rules.told.send(format!("{host}:{port}")).await.ok()?;
    let address = match rules.mood {
        Mood::Open(address) => address,
        Mood::Replies(reply) => return stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok(),
        Mood::Says(_) | Mood::Silent => return std::future::pending().await,
    };
    let mut onward = TcpStream::connect(address).await.ok()?;
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]).await.ok()?;
    copy_bidirectional(&mut stream, &mut onward).await.ok().map(drop)
}

/// A length of one byte, then so many bytes.
async fn bytes(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}
