//! A request in the making, and one that is on its way.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{Answer, BODY_BYTES};
use super::body::Body;
use super::client::Client;
use super::multipart::Multipart;
use super::patience::Patience;
use super::url::{Target, encode};
use super::{Method, Request};
use crate::blobs::{Blob, Blobs};
use crate::error::{Error, Result};
use crate::host::{Exchange, Head};
use crate::xml;

const JSON: &str = "application/json";

/// A request in the making. Whatever is wrong with it is said when it is sent.
pub struct RequestBuilder<'c> {
    client: &'c Client<'c>,
    method: Method,
    path: String,
    link: Option<String>,
    query: BTreeMap<String, Vec<String>>,
    headers: BTreeMap<String, String>,
    body: Content,
    limit: usize,
    any_status: bool,
    repeatable: bool,
    patient: bool,
    fault: Option<Error>,
}

/// What the body is made of.
enum Content {
    None,
    Json(Value),
    Other(Body),
}

impl<'c> RequestBuilder<'c> {
    pub(crate) fn new(client: &'c Client<'c>, method: Method, path: Result<String>) -> Self {
        let (path, fault) = match path {
            Ok(path) => (path, None),
            Err(error) => (String::new(), Some(error)),
        };
        let headers = [("accept", JSON), ("user-agent", &client.user_agent)];
        Self {
            client,
            method,
            path,
            link: None,
            query: BTreeMap::new(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: Content::None,
            limit: BODY_BYTES,
            any_status: false,
            repeatable: false,
            patient: true,
            fault,
        }
    }

    /// Adds a query parameter; the same name again adds another value. Parameters are sent in the order of their
    /// names. `None` adds nothing.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl QueryValue) -> Self {
        value.add(self.query.entry(name.to_owned()).or_default());
        self
    }

    /// The same in place of whatever the parameter was.
    #[must_use]
    pub fn set_query(mut self, name: &str, value: impl QueryValue) -> Self {
        self.query.remove(name);
        self.query(name, value)
    }

    /// Sets a header. Those that carry credentials belong to the host.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name.is_empty() || value.chars().any(|c| c.is_control() && c != '\t') {
            let message = format!("the header {name:?} has no name, or a line break or control character in it");
            self.fault.get_or_insert(Error::data("http.header_invalid", message));
        }
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// A JSON body.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_value(body) {
            Ok(value) => self.body = Content::Json(value),
            Err(error) => {
                let message = format!("the body cannot be written as JSON: {error}");
                self.fault.get_or_insert(Error::new(crate::Kind::Internal, "http.body_invalid", message));
            }
        }
        self
    }

    /// Sets a field of the JSON body, which must be an object or missing.
    #[must_use]
    pub fn json_field(mut self, name: &str, value: Value) -> Self {
        if matches!(self.body, Content::None) {
            self.body = Content::Json(Value::Object(Map::new()));
        }
        if let Content::Json(Value::Object(fields)) = &mut self.body {
            fields.insert(name.to_owned(), value);
        } else {
            let message = "a field of the body can only be set where the body is a JSON object";
            self.fault.get_or_insert(Error::config("http.body_invalid", message));
        }
        self
    }

    /// A form, encoded as browsers do it.
    #[must_use]
    pub fn form<'f>(self, fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let pairs: Vec<_> =
            fields.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.bytes("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// A form with files.
    #[must_use]
    pub fn multipart(mut self, form: Multipart) -> Self {
        match form.into_body() {
            Ok((body, content_type)) => self.content(&content_type, body),
            Err(error) => {
                self.fault.get_or_insert(error);
                self
            }
        }
    }

    /// An XML document. SOAP wants its own headers beside it.
    #[must_use]
    pub fn xml(self, document: &xml::Element) -> Self {
        let accepting = self.header("accept", "text/xml, application/xml");
        accepting.bytes("text/xml; charset=utf-8", document.to_document())
    }

    /// Any other body.
    #[must_use]
    pub fn bytes(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.content(content_type, Body::bytes(body))
    }

    /// A file of the run as the body; it streams.
    #[must_use]
    pub fn blob(self, content_type: &str, body: Blob) -> Self {
        self.content(content_type, Body::blob(body))
    }

    fn content(mut self, content_type: &str, body: Body) -> Self {
        self.headers.insert("content-type".to_owned(), content_type.to_owned());
        self.body = Content::Other(body);
        self
    }

    /// Reads at most so many bytes of the answer; 10 MiB by default.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Says that it may be carried out twice without harm, because the system recognises a repetition by a key in it, or
    /// because it changes nothing. The kit then waits out a 503 with `Retry-After`, as it does for a `GET` and within
    /// activities that are not [`Unsafe`](crate::SideEffects::Unsafe). A 429 needs no such word: what was refused was not
    /// carried out.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Makes an error at once of an answer that asks for patience, for connectors that wait in their own way, with
    /// [`Context::pause`](crate::Context::pause).
    #[must_use]
    pub const fn impatient(mut self) -> Self {
        self.patient = false;
        self
    }

    /// Takes an answer with any status, also one that asks for patience. By default one other than 2xx is an error.
    #[must_use]
    pub const fn any_status(mut self) -> Self {
        self.any_status = true;
        self
    }

    /// Goes where a link in the answer to this very request leads, instead. Links to other hosts are refused.
    #[must_use]
    pub fn follow(mut self, link: &str) -> Self {
        self.link = Some(link.to_owned());
        self
    }

    /// The finished request: what is checked and sent, without sending it.
    pub fn build(self) -> Result<Request> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let pairs = self.query.iter().flat_map(|(name, values)| values.iter().map(|value| (&**name, &**value)));
        let mut target: Target = self.client.base.target(&self.path, pairs)?;
        if let Some(link) = self.link {
            target = target.resolve(&link)?;
        }
        let mut headers = self.headers;
        let body = match self.body {
            Content::None => None,
            Content::Json(value) => {
                headers.entry("content-type".to_owned()).or_insert_with(|| JSON.to_owned());
                Some(Body::json(&value)?)
            }
            Content::Other(body) => Some(body),
        };
        if self.method == Method::Get && body.is_some() {
            let message = "a GET request has no body; use the method POST or drop the body";
            return Err(Error::config("http.body_invalid", message));
        }
        Ok(Request { method: self.method, target, headers, body, repeatable: self.repeatable, patient: self.patient })
    }

    /// Sends it; gives the whole answer.
    pub fn send(self) -> Result<Answer> {
        self.start()?.wait()
    }

    /// Sends it and goes on: the answer is waited for later, while other work is done.
    pub fn start(self) -> Result<Pending<'c>> {
        let (client, limit, any_status) = (self.client, self.limit, self.any_status);
        Ok(Pending { limit, any_status, ..client.start(self.build()?)? })
    }

    /// Sends it; the answer's body becomes a file of the run and is never whole in memory. Gives the head and the
    /// handle.
    pub fn download(self, blobs: Blobs<'_>) -> Result<(Answer, String)> {
        let pending = self.start()?;
        let limit = pending.limit;
        let mut head = pending.head(Answer::read)?;
        if !is_success(head.status) {
            let answer = Answer::read(head, limit)?;
            let mut file = blobs.create();
            file.write(answer.body())?;
            return Ok((answer, file.finish()?));
        }
        let mut file = blobs.create();
        while let Some(chunk) = head.body.read()? {
            file.write(&chunk)?;
        }
        Ok((Answer::new(head.status, head.headers, Vec::new()), file.finish()?))
    }
}

/// A request that is on its way. Dropping it gives it up.
pub struct Pending<'c> {
    client: &'c Client<'c>,
    request: Request,
    exchange: Box<dyn Exchange>,
    limit: usize,
    any_status: bool,
}

/// How the body of an answer is read, at most so many bytes of it.
type Read = fn(Head, usize) -> Result<Answer>;

impl Pending<'_> {
    /// Waits for the whole answer.
    ///
    /// Where the system asks for patience, the request goes out again by itself: after a 429, which says that nothing was
    /// done, and after a 503 if it may be carried out twice ([`RequestBuilder::repeatable`]). That takes a `Retry-After`
    /// of at most a minute, and so much time left for the invocation; after the eighth wait for one request, and with a
    /// longer wait or none, the refusal is an error with the time to wait. The log says it once.
    pub fn wait(self) -> Result<Answer> {
        self.answer(Answer::read)
    }

    /// Waits where only the status of the answer matters. What breaks off or goes on behind that changes nothing of
    /// what the system has done. Patience is as with [`Pending::wait`].
    pub fn hand_over(self) -> Result<Answer> {
        self.answer(|head, _| Ok(Answer::glance(head)))
    }

    fn answer(self, read: Read) -> Result<Answer> {
        let (client, limit, any_status) = (self.client, self.limit, self.any_status);
        let answer = read(self.head(read)?, limit)?.at(client.host.now());
        if any_status { Ok(answer) } else { (client.accepts)(&answer).map(|()| answer) }
    }

    /// The head of an answer whose status is wanted.
    fn head(self, read: Read) -> Result<Head> {
        let Self { client, request, mut exchange, limit, any_status } = self;
        let mut patience = Patience::default();
        loop {
            let head = exchange.wait()?;
            if any_status || is_success(head.status) {
                return Ok(head);
            }
            let answer = read(head, limit)?.at(client.host.now());
            patience.wait_out(client, &request, &answer)?;
            exchange = client.host.transport().start(&request)?;
        }
    }
}

fn is_success(status: u16) -> bool {
    (200..=299).contains(&status)
}

impl Client<'_> {
    /// Sends a request that was built before.
    pub fn start(&self, request: Request) -> Result<Pending<'_>> {
        let exchange = self.host.transport().start(&request)?;
        Ok(Pending { client: self, request, exchange, limit: BODY_BYTES, any_status: false })
    }

    /// What a status other than 2xx means.
    pub(super) fn refused(&self, answer: &Answer) -> Error {
        (self.refusal)(answer).unwrap_or_else(|| answer.error(answer.received_at()))
    }
}

/// What a query parameter may be.
pub trait QueryValue {
    /// Adds its texts.
    fn add(self, texts: &mut Vec<String>);
}

macro_rules! query_values {
    ($($type:ty),*) => {$(
        impl QueryValue for $type {
            fn add(self, texts: &mut Vec<String>) {
                texts.push(self.to_string());
            }
        }
    )*};
}

query_values!(&str, String, &String, bool, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl<T: QueryValue> QueryValue for Option<T> {
    fn add(self, texts: &mut Vec<String>) {
        if let Some(value) = self {
            value.add(texts);
        }
    }
}

impl<T: QueryValue> QueryValue for Vec<T> {
    fn add(self, texts: &mut Vec<String>) {
        self.into_iter().for_each(|value| value.add(texts));
    }
}

impl QueryValue for &[String] {
    fn add(self, texts: &mut Vec<String>) {
        texts.extend_from_slice(self);
    }
}
