//! The CRM that the guide for authors of connectors imagines: three active contacts on two pages, one archived.

use anyhow::Result;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Who has it is let in.
pub(crate) const TOKEN: &str = "crm-token-5f1b27c9";
/// Largest head of a request.
const MAX_HEAD: usize = 16 << 10;

/// A CRM, gone when it is dropped.
pub(crate) struct Crm {
    /// What stands before each path.
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Crm {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/api", listener.local_addr()?);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut held = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while held.try_join_next().is_some() {}
                held.spawn(serve(stream));
            }
        });
        Ok(Self { url, _server: server })
    }
}

async fn serve(mut stream: TcpStream) {
    let (mut head, mut chunk) = (Vec::new(), [0; 2_048]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(read @ 1..) if head.len() < MAX_HEAD => head.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Ok(_) | Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (status, body) = answer(&head);
    let body = body.to_string();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // Whoever hung up does not want the answer.
    drop(stream.write_all(answer.as_bytes()).await);
}

fn answer(head: &str) -> (&'static str, Value) {
    let wanted = format!("Bearer {TOKEN}");
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let let_in =
        fields.filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).any(|(_, value)| value == wanted);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let says = |pair: &str| query.split('&').any(|given| given == pair);
    if !let_in {
        return ("401 Unauthorized", json!({ "error": { "code": "token", "text": "unknown token" } }));
    }
    match path {
        "/api/me" => ("200 OK", json!({ "name": "Ada" })),
        "/api/workspaces/north-sea/contacts" if says("state=archived") => {
            ("200 OK", json!({ "contacts": [{ "id": "z", "name": "Zoe" }], "is_last": true }))
        }
        "/api/workspaces/north-sea/contacts" if says("after=page-two") => {
            ("200 OK", json!({ "contacts": [{ "id": "c", "name": "Cleo" }], "is_last": true }))
        }
        "/api/workspaces/north-sea/contacts" => {
            let contacts = json!([{ "id": "a", "name": "Ada" }, { "id": "b", "name": "Bob" }]);
            ("200 OK", json!({ "contacts": contacts, "next": "page-two", "is_last": false }))
        }
        _ => ("404 Not Found", json!({ "error": { "code": "path", "text": "there is nothing here" } })),
    }
}
