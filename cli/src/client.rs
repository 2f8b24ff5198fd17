//! The controller's REST interface: requests with limits, retries where they are safe, refusals as errors.

mod events;

use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;
use wherry_domain::duration;

use crate::clock::Stopwatch;
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::screen::Screen;
use crate::settings::{Access, is_this_machine};
pub(crate) use events::{Event, EventStream};

/// Largest answer read into memory: the largest page of the largest list.
const ANSWER_LIMIT: usize = 64 << 20;
/// The controller lets a request wait for 60 s; connector uploads take their time.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Until a stream of events begins.
const FIRST_EVENT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of a request that may safely be repeated.
const TRIES: u32 = 3;
/// Longest pause that the controller may ask for before the next try.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How much longer than its caller's limit a request may take: the controller answers 3 s after it at the latest.
const GRACE: Duration = Duration::from_secs(5);
/// Largest part of a list that may be asked for.
const PAGE: usize = 200;
/// More than any list of an organisation that is not cut on purpose.
const MOST_ITEMS: usize = 100_000;

/// A controller with a token for it.
pub(crate) struct Client {
    http: reqwest::Client,
    access: Access,
}

/// The body of a request.
pub(crate) enum Body {
    None,
    Json(Value),
    Connector(Vec<u8>),
}

/// One request. The segments of its path are escaped, whatever a name contains.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Body,
    idempotency_key: Option<String>,
    within: Option<Within>,
}

/// How long the one who calls wants to wait for everything, tries and pauses between them.
#[derive(Clone, Copy)]
struct Within {
    begun: Stopwatch,
    limit: Duration,
    screen: Screen,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self { method: Method::GET, path, query: Vec::new(), body: Body::None, idempotency_key: None, within: None }
    }

    pub(crate) fn post(path: &'a [&'a str], body: Body) -> Self {
        Self { method: Method::POST, body, ..Self::get(path) }
    }

    pub(crate) fn put(path: &'a [&'a str], body: Body) -> Self {
        Self { method: Method::PUT, body, ..Self::get(path) }
    }

    pub(crate) fn delete(path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    #[must_use]
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The same key makes the controller do it once, however often it is sent.
    #[must_use]
    pub(crate) fn key(mut self, key: String) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Gives up once `limit` is over, says on a terminal when it waits for another try, and tells the controller how
    /// much time is left as the parameter `timeout`.
    #[must_use]
    pub(crate) fn within(mut self, limit: Duration, screen: Screen) -> Self {
        self.within = Some(Within { begun: Stopwatch::start(), limit, screen });
        self
    }

    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.idempotency_key.is_some()
    }
}

impl Client {
    pub(crate) fn new(access: Access) -> Outcome<Self> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("wherry/", env!("CARGO_PKG_VERSION")));
        // A proxy from the environment would carry the token of this machine's own controller into the network.
        let builder = if is_this_machine(&access.url) { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| CliError::new(Exit::Failed, codes::UNUSABLE, chain(&error)))?;
        Ok(Self { http, access })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.access.url
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Sends a request and reads its JSON.
    pub(crate) async fn send(&self, call: Call<'_>) -> Outcome<Value> {
        let mut tries = 1;
        loop {
            let error = match self.try_once(&call).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = matches!(error.exit, Exit::Unavailable | Exit::Limited) && call.is_repeatable();
            if !again || tries == TRIES {
                return Err(error);
            }
            match call.within {
                None => tokio::time::sleep(pause(&error, tries).min(LONGEST_PAUSE)).await,
                Some(within) => within.wait(pause(&error, tries), error).await?,
            }
            tries += 1;
        }
    }

    pub(crate) async fn get(&self, path: &[&str]) -> Outcome<Value> {
        self.send(Call::get(path)).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: Value) -> Outcome<Value> {
        self.send(Call::post(path, Body::Json(body))).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Outcome<Value> {
        self.send(Call::delete(path)).await
    }

    /// A whole list, however many parts it comes in.
    pub(crate) async fn all(&self, path: &[&str], query: &[(&'static str, Option<&str>)]) -> Outcome<Value> {
        self.parts(path, query, None).await
    }

    /// The first `limit` items of a long list, with `next_cursor` if there are more.
    pub(crate) async fn first(
        &self,
        path: &[&str],
        query: &[(&'static str, Option<&str>)],
        limit: usize,
    ) -> Outcome<Value> {
        self.parts(path, query, Some(limit.max(1))).await
    }

    async fn parts(
        &self,
        path: &[&str],
        query: &[(&'static str, Option<&str>)],
        limit: Option<usize>,
    ) -> Outcome<Value> {
        let most = limit.unwrap_or(MOST_ITEMS);
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = limit.map(|limit| PAGE.min(limit - items.len()));
            let call = Call::get(path).query("limit", page).query("cursor", cursor.as_deref());
            let call = query.iter().fold(call, |call, (name, value)| call.query(name, *value));
            let mut answer = self.send(call).await?;
            if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            let next = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() || next == cursor || items.len() >= most {
                return Ok(json!({"items": items, "next_cursor": next}));
            }
            cursor = next;
        }
    }

    /// Opens a stream of server-sent events, after the event of that id.
    pub(crate) async fn events(&self, path: &[&str], after: Option<&str>) -> Outcome<EventStream> {
        named(path)?;
        let mut request = self.request(&Call::get(path)).header(ACCEPT, "text/event-stream");
        if let Some(after) = after.and_then(|after| HeaderValue::from_str(after).ok()) {
            request = request.header("last-event-id", after);
        }
        let sent = tokio::time::timeout(FIRST_EVENT, request.send()).await;
        let response = match sent {
            Ok(sent) => sent.map_err(|error| self.unreachable(&error))?,
            Err(_) => return Err(self.silent("it took too long")),
        };
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(EventStream::new(response))
    }

    async fn try_once(&self, call: &Call<'_>) -> Outcome<Value> {
        named(call.path)?;
        let left = call.within.map(|within| within.left());
        // The controller takes no time of nothing.
        let said = left.map(|left| duration::format(left.max(Duration::from_millis(1))));
        let limit = left.map_or(TIMEOUT, |left| left + GRACE);
        let request = self.request(call).query(&said.map(|said| ("timeout", said)).as_slice()).timeout(limit);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = self.read(response).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| self.not_a_controller("its answer is not JSON"))
    }

    fn request(&self, call: &Call<'_>) -> RequestBuilder {
        let mut url = self.access.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(call.path);
        }
        let mut request = self.http.request(call.method.clone(), url).query(&call.query);
        request = request.bearer_auth(self.access.token.expose_secret());
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        match &call.body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Connector(bytes) => {
                request.header(CONTENT_TYPE, "application/vnd.wherry.connector").body(bytes.clone())
            }
        }
    }

    async fn read(&self, response: Response) -> Outcome<Vec<u8>> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|error| self.unreachable(&error))?);
            if body.len() > ANSWER_LIMIT {
                return Err(self.not_a_controller("its answer is larger than any of a controller's"));
            }
        }
        Ok(body)
    }

    async fn refusal(&self, response: Response) -> CliError {
        let status = response.status();
        let problem = self.read(response).await.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        match problem.filter(|problem| problem.get("code").is_some_and(Value::is_string)) {
            Some(problem) => CliError::refused(status.as_u16(), problem),
            None => {
                let mut error = self.not_a_controller(&format!("it answered {status} without a reason"));
                error.exit = Exit::of_refusal(status.as_u16(), "", false);
                error
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        if error.is_builder() {
            let message = format!("the request cannot be made: {}; is the token whole?", chain(error));
            return CliError::new(Exit::Invalid, codes::UNUSABLE, message);
        }
        self.silent(&chain(error))
    }

    fn silent(&self, why: &str) -> CliError {
        CliError::new(Exit::Unavailable, codes::UNREACHABLE, format!("the controller cannot be reached: {why}"))
            .at(self.access.url.to_string())
            .fix("check the address, the network and, for a private certificate authority, SSL_CERT_FILE")
    }

    fn not_a_controller(&self, why: &str) -> CliError {
        CliError::new(Exit::Failed, codes::ANSWER_UNEXPECTED, format!("this does not seem to be a controller: {why}"))
            .at(self.access.url.to_string())
            .fix("check the address; a proxy in between may have answered instead")
    }
}

impl Within {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// Waits for the next try, or gives the error back at once if there is no time for another one.
    async fn wait(&self, pause: Duration, error: CliError) -> Outcome {
        if pause >= self.left() {
            return Err(error);
        }
        if self.screen.is_live() {
            self.screen.progress(&format!("{}; the next try is in {:.1} s", error.message, pause.as_secs_f64()));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Refuses what cannot be part of a path: it would be left out, and the request would mean something else.
fn named(path: &[&str]) -> Outcome {
    let Some(place) = path.iter().position(|part| matches!(*part, "" | "." | "..")) else { return Ok(()) };
    let what = place.checked_sub(1).and_then(|before| path.get(before)).copied().unwrap_or_default();
    let message = match path.get(place).copied() {
        Some("") | None => format!("a name among {what} is empty"),
        Some(dots) => format!("{dots} is no name among {what}"),
    };
    Err(CliError::new(Exit::Invalid, codes::NAME_EMPTY, message)
        .fix("give the name; in a script, look at its variables"))
}

/// Reads JSON from a system that wants no credentials and gets none.
pub(crate) async fn fetch_open(base: Url, path: &str) -> Outcome<Value> {
    let client = Client::new(Access { url: base, token: String::new().into() })?;
    let url = client.url().join(path).map_err(|_| client.not_a_controller("it has no such path"))?;
    let response = client.http.get(url).timeout(TIMEOUT).send().await.map_err(|error| client.unreachable(&error))?;
    let body = client.read(response).await?;
    serde_json::from_slice(&body).map_err(|_| client.not_a_controller("its answer is not JSON"))
}

/// How long to wait before the next try: what the controller asks for, or what grows from try to try.
fn pause(error: &CliError, tries: u32) -> Duration {
    let asked = error.problem.as_ref().and_then(|problem| problem.get("retry_after_ms")?.as_u64());
    let own = Duration::from_millis(250) * 4_u32.pow(tries - 1);
    asked.map_or(own, Duration::from_millis)
}

/// The causes of an error, without the address, which every message of reqwest repeats.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        causes.push(deeper.to_string());
        cause = deeper.source();
    }
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    // The last cause says what happened; the ones before it wrap it in words such as "client error (Connect)".
    causes.pop().unwrap_or_else(|| "the request failed".to_owned())
}
