//! The way out of a connector under test: answers from a recording, or from the system itself, which is recorded.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;
use tokio::sync::Notify;
use wherry_host::{Body, Egress, EgressError, EgressFuture};

use super::trial::Line;
use crate::egress::{Destination, Endpoint, check_headers, protected_headers};

/// Largest body that is compared or recorded: a recording is a file that people read.
const MAX_BODY: usize = 8 << 20;
/// Longest wait that connectors on the kit carry out themselves, in seconds.
const LONGEST_WAIT: u64 = 60;
/// Complaints kept of one run.
const COMPLAINTS: usize = 20;
/// Headers of answers that a recording keeps, beside those that begin with `x-`. Cookies are never kept.
const KEPT: [&str; 7] = ["content-type", "link", "location", "retry-after", "etag", "last-modified", "deprecation"];
/// Names of headers that look like these are not kept: a system may put a credential there.
const SECRETIVE: [&str; 6] = ["token", "auth", "session", "cookie", "key", "secret"];

/// Where answers come from.
pub(super) enum Source {
    /// A recording, each line once.
    Lines(VecDeque<Line>),
    /// Always this one; what stands for the text varies.
    Always(Line, Option<String>),
    /// The system.
    System { endpoint: Endpoint, mask: Mask },
}

/// What must not stand in a recording, and what stands there instead.
pub(super) struct Mask {
    pub(super) secrets: Vec<String>,
    pub(super) instead: String,
    /// The connection's URL, and what stands for it.
    pub(super) url: (String, String),
}

impl Mask {
    fn over(&self, text: &str) -> String {
        let masked = self.secrets.iter().filter(|secret| !secret.is_empty()).fold(text.to_owned(), |text, secret| {
            // As it is, and as it stands in a query.
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            // As it stands in JSON that is only part of a text.
            let quoted = Value::from(secret.as_str()).to_string();
            let escaped = quoted.trim_matches('"');
            let text = text.replace(secret.as_str(), &self.instead).replace(&encoded, &self.instead);
            if escaped.is_empty() { text } else { text.replace(escaped, &self.instead) }
        });
        masked.replace(&self.url.0, &self.url.1)
    }

    /// Each text of a JSON value, and the names of its members. JSON spells one text in several ways, so that a secret
    /// is found only once the spelling is undone.
    fn over_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.over(text)),
            Value::Array(items) => items.iter().map(|item| self.over_json(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (self.over(name), self.over_json(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let text = value.to_string();
                let masked = self.over(&text);
                if masked == text { value.clone() } else { Value::String(masked) }
            }
        }
    }
}

/// Counts and notes what a connector asks for.
#[derive(Clone)]
pub(super) struct Scripted(Arc<Inner>);

struct Inner {
    destination: Destination,
    /// Path of the connection's URL, without a slash at its end.
    base: String,
    most: usize,
    cancel_after: Option<usize>,
    cancel: Arc<Notify>,
    notes: Mutex<Notes>,
    source: Mutex<Source>,
}

/// What was noticed.
#[derive(Clone, Default)]
pub(super) struct Notes {
    pub(super) requests: usize,
    pub(super) unexpected: Vec<String>,
    pub(super) recorded: Vec<Line>,
}

/// The limits of a run.
pub(super) struct Bounds {
    pub(super) most: usize,
    pub(super) cancel_after: Option<usize>,
    pub(super) cancel: Arc<Notify>,
}

impl Scripted {
    pub(super) fn new(destination: Destination, url: &str, source: Source, bounds: Bounds) -> Self {
        let path = url::Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let Bounds { most, cancel_after, cancel } = bounds;
        let (notes, source) = (Mutex::default(), Mutex::new(source));
        Self(Arc::new(Inner { destination, base: path, most, cancel_after, cancel, notes, source }))
    }

    /// What was noticed, and what of the recording is left.
    pub(super) fn end(&self) -> (Notes, Vec<String>) {
        let source = self.0.source.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match &*source {
            Source::Lines(lines) => lines.iter().map(|line| format!("{} {}", line.method, line.path)).collect(),
            Source::Always(..) | Source::System { .. } => Vec::new(),
        };
        (self.0.notes().clone(), left)
    }
}

impl Egress for Scripted {
    fn send(&self, request: Request<Body>) -> EgressFuture {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.exchange(request).await })
    }

    fn protected_headers(&self) -> &[HeaderName] {
        protected_headers()
    }
}

impl Inner {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same gates as on an agent, and then the script.
    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, EgressError> {
        if !self.destination.covers(request.uri()) {
            let host = request.uri().host().unwrap_or_default().to_owned();
            return Err(EgressError::Denied { host, port: request.uri().port_u16().unwrap_or_default() });
        }
        check_headers(&request, protected_headers())?;
        self.count()?;
        let (parts, body) = request.into_parts();
        let body = collected(body, self.destination.host()).await?;
        let asked = self.asked(&parts, &body);
        let system = {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *source {
                Source::Lines(lines) => return self.replay(lines, &asked),
                Source::Always(line, vary) => return Ok(answer(&varied(line, vary.as_deref(), self.notes().requests))),
                Source::System { endpoint, .. } => endpoint.clone(),
            }
        };
        self.record(&system, Request::from_parts(parts, boxed(body)), asked).await
    }

    fn count(&self) -> Result<(), EgressError> {
        let mut notes = self.notes();
        notes.requests += 1;
        if self.cancel_after.is_some_and(|after| notes.requests >= after) {
            self.cancel.notify_one();
        }
        if notes.requests <= self.most {
            return Ok(());
        }
        Err(EgressError::PolicyDenied { reason: format!("the trial ends after {} requests", self.most) })
    }

    fn asked(&self, parts: &http::request::Parts, body: &Bytes) -> Line {
        let whole = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = whole.strip_prefix(&self.base).unwrap_or(whole).to_owned();
        let request = (!body.is_empty()).then(|| readable(body));
        Line { method: parts.method.to_string(), path, request, ..Line::default() }
    }

    fn replay(&self, lines: &mut VecDeque<Line>, asked: &Line) -> Result<Response<Body>, EgressError> {
        let same = |line: &&Line| line.method == asked.method && ordered(&line.path) == ordered(&asked.path);
        let with_body = |line: &Line| line.request.is_none() || line.request == asked.request;
        let found = lines.iter().position(|line| same(&line) && with_body(line));
        if let Some(line) = found.and_then(|at| lines.remove(at)) {
            return Ok(answer(&line));
        }
        let why = match lines.iter().any(|line| same(&line)) {
            true => "with another body than the recording has",
            false => "which the recording does not have",
        };
        let complaint = format!("{} {}, {why}", asked.method, asked.path);
        let mut notes = self.notes();
        if notes.unexpected.len() < COMPLAINTS {
            notes.unexpected.push(complaint);
        }
        Err(EgressError::PolicyDenied { reason: "the recording has no answer to this request".to_owned() })
    }

    async fn record(
        &self,
        system: &Endpoint,
        request: Request<Body>,
        asked: Line,
    ) -> Result<Response<Body>, EgressError> {
        let (parts, body) = system.send(request).await?.into_parts();
        let body = collected(body, self.destination.host()).await?;
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Source::System { mask, .. } = &*source {
            let line = Line {
                path: mask.over(&asked.path),
                request: asked.request.as_ref().map(|request| mask.over_json(request)),
                status: parts.status.as_u16(),
                headers: kept(&parts.headers, mask),
                body: mask.over_json(&readable(&body)),
                ..asked
            };
            self.notes().recorded.push(line);
        }
        Ok(Response::from_parts(parts, boxed(body)))
    }
}

async fn collected(body: Body, host: &str) -> Result<Bytes, EgressError> {
    let too_large = || EgressError::ResponseTooLarge { host: host.to_owned(), limit: MAX_BODY as u64 };
    Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| too_large())
}

fn boxed(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// JSON where it is JSON of several values, text otherwise.
fn readable(body: &Bytes) -> Value {
    match serde_json::from_slice(body) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            Value::String(String::from_utf8_lossy(body).into_owned())
        }
    }
}

/// The parameters of a query in the order of their names: two spellings of one request.
fn ordered(path: &str) -> (&str, Vec<&str>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    (path, pairs)
}

fn kept(headers: &http::HeaderMap, mask: &Mask) -> BTreeMap<String, String> {
    let wanted = |name: &str| {
        (KEPT.contains(&name) || name.starts_with("x-")) && !SECRETIVE.iter().any(|word| name.contains(word))
    };
    let kept = headers.iter().filter(|(name, _)| wanted(name.as_str()));
    kept.filter_map(|(name, value)| Some((name.to_string(), mask.over(value.to_str().ok()?)))).collect()
}

fn varied(line: &Line, vary: Option<&str>, number: usize) -> Line {
    let Some(text) = vary else { return line.clone() };
    let over = |whole: &str| whole.replace(text, &format!("{text}{number}"));
    let headers = line.headers.iter().map(|(name, value)| (name.clone(), over(value))).collect();
    let body = match &line.body {
        Value::String(text) => Value::String(over(text)),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            serde_json::from_str(&over(&other.to_string())).unwrap_or_default()
        }
    };
    Line { headers, body, ..line.clone() }
}

fn answer(line: &Line) -> Response<Body> {
    let (body, json) = match &line.body {
        Value::Null => (Bytes::new(), false),
        Value::String(text) => (Bytes::from(text.clone()), false),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            (Bytes::from(other.to_string()), true)
        }
    };
    let mut answer = Response::new(boxed(body));
    *answer.status_mut() = http::StatusCode::from_u16(line.status).unwrap_or(http::StatusCode::OK);
    let headers = answer.headers_mut();
    for (name, value) in &line.headers {
        let value = soon(name, value);
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    if json && !headers.contains_key(http::header::CONTENT_TYPE) {
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer
}

/// A wait that a connector may carry out itself, cut to nothing: a replay is not to take the time that was recorded. A
/// longer one stays what it is, because connectors leave it to the next attempt.
fn soon<'v>(name: &str, value: &'v str) -> &'v str {
    let is_wait = name.eq_ignore_ascii_case("retry-after") || name.to_ascii_lowercase().contains("ratelimit-reset");
    let is_short = value.trim().parse::<u64>().is_ok_and(|seconds| seconds <= LONGEST_WAIT);
    if is_wait && is_short { "0" } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recording_keeps_neither_secrets_nor_cookies_nor_the_systems_address() {
        let url = ("https://real.example/api".to_owned(), "https://recorded.example".to_owned());
        let mask = Mask { secrets: vec!["s3 cret/".to_owned()], instead: "CANARY".to_owned(), url };
        assert_eq!(mask.over("a s3 cret/ b s3+cret%2F c"), "a CANARY b CANARY c");
        assert_eq!(mask.over("<https://real.example/api/x?page=2>"), "<https://recorded.example/x?page=2>");
        let mut headers = http::HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("set-cookie", "session=1"),
            ("x-auth-token", "abc"),
            ("x-next", "s3 cret/"),
            ("server", "x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let kept = kept(&headers, &mask);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["content-type", "x-next"]);
        assert_eq!(kept["x-next"], "CANARY");
    }

    #[test]
    fn a_secret_that_json_spells_otherwise_is_not_kept() {
        let url = ("https://real.example/api".to_owned(), "https://recorded.example".to_owned());
        let secrets = vec!["p\"w\\d\n1".to_owned(), "4711".to_owned()];
        let mask = Mask { secrets, instead: "CANARY".to_owned(), url };
        let body =
            br#"{"a": ["x p\"w\u005cd\n1"], "p\"w\\d\n1": 1, "pin": 4711, "next": "https:\/\/real.example\/api/2"}"#;
        let masked = mask.over_json(&readable(&Bytes::from_static(body)));
        let expected = json!({ "a": ["x CANARY"], "CANARY": 1, "pin": "CANARY", "next": "https://recorded.example/2" });
        assert_eq!(masked, expected);
        // JSON within a text that is not JSON itself.
        let text = readable(&Bytes::from_static(br#"data: {"a": "p\"w\\d\n1"}"#));
        assert_eq!(mask.over_json(&text), json!(r#"data: {"a": "CANARY"}"#));
    }

    #[test]
    fn a_wait_that_was_recorded_is_not_waited_for_again_unless_it_is_long() {
        let headers = [("retry-after", "30"), ("x-ratelimit-reset", "5"), ("x-total", "7")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let answer = answer(&Line { status: 429, headers, ..Line::default() });
        assert_eq!(
            ["retry-after", "x-ratelimit-reset", "x-total"].map(|name| &answer.headers()[name]),
            ["0", "0", "7"]
        );
        assert_eq!((soon("Retry-After", "61"), soon("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT").len()), ("61", 29));
    }

    #[test]
    fn the_order_of_parameters_does_not_matter_and_tokens_vary() {
        assert_eq!(ordered("/a?b=1&a=2"), ordered("/a?a=2&b=1"));
        assert_ne!(ordered("/a?b=1"), ordered("/a?b=2"));
        let line = Line { body: json!({ "next": "t1", "items": [] }), ..Line::default() };
        assert_eq!(varied(&line, Some("t1"), 7).body, json!({ "next": "t17", "items": [] }));
        assert_eq!(varied(&line, None, 7), line);
    }
}
