//! Scripted answers, and the requests that they were given to.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::host::{BodySource, Exchange, Head, Transport};
use crate::http::Request;

/// Bytes of one piece of an answer, so that readers are tested with several.
const PIECE: usize = 1_000;

/// What the system is to answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    failure: Option<Error>,
    broken: bool,
}

impl Reply {
    /// 200 with JSON.
    pub fn json(body: Value) -> Self {
        Self::bytes(body.to_string()).header("content-type", "application/json")
    }

    /// 200 with any body.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// No answer at all, but this failure.
    pub fn failure(error: Error) -> Self {
        Self { failure: Some(error), ..Self::default() }
    }

    /// The same with another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The same, but the body breaks off at its end.
    #[must_use]
    pub const fn breaking_off(mut self) -> Self {
        self.broken = true;
        self
    }
}

/// A request as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Such as `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; empty if there was none.
    pub body: Vec<u8>,
}

impl Sent {
    /// The body as JSON; `null` if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Answers a request, if it knows it.
pub(super) type Handler = Box<dyn Fn(&Sent) -> Option<Reply>>;

/// One line of the script.
pub(super) struct Line {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) reply: Reply,
}

/// Answers from a script: each line once, in order where several fit, and then whatever the handler says.
#[derive(Default)]
pub(super) struct Script {
    pub(super) lines: RefCell<Vec<Line>>,
    pub(super) handler: Option<Handler>,
    pub(super) sent: RefCell<Vec<Sent>>,
}

impl Script {
    fn reply(&self, sent: &Sent) -> Reply {
        let mut lines = self.lines.borrow_mut();
        let fits = |line: &Line| line.method == sent.method && line.path == sent.path;
        if let Some(at) = lines.iter().position(fits) {
            return lines.remove(at).reply;
        }
        self.handler.as_ref().and_then(|handler| handler(sent)).unwrap_or_else(|| {
            let message = format!("the test has no answer to {} {}", sent.method, sent.path);
            Reply::failure(Error::new(Kind::Internal, "testing.unscripted", message))
        })
    }
}

impl Transport for Script {
    fn start(&self, request: &Request) -> Result<Box<dyn Exchange>> {
        let mut body = Vec::new();
        if let Some(content) = &request.body {
            content.write_to(|bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        let path = request.target.path_and_query.clone();
        let sent = Sent { method: request.method.as_str().to_owned(), path, headers: request.headers.clone(), body };
        let reply = self.reply(&sent);
        self.sent.borrow_mut().push(sent);
        Ok(Box::new(reply))
    }
}

impl Exchange for Reply {
    fn wait(self: Box<Self>) -> Result<Head> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let body = Pieces { content: self.body, at: 0, broken: self.broken };
        Ok(Head { status: self.status, headers: self.headers, body: Box::new(body) })
    }
}

struct Pieces {
    content: Vec<u8>,
    at: usize,
    broken: bool,
}

impl BodySource for Pieces {
    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let piece: Vec<u8> = self.content.iter().skip(self.at).take(PIECE).copied().collect();
        if piece.is_empty() {
            let broken = || Error::transient("http.broken_answer", "the answer broke off, as the test wants it");
            return if self.broken { Err(broken()) } else { Ok(None) };
        }
        self.at += piece.len();
        Ok(Some(piece))
    }
}
