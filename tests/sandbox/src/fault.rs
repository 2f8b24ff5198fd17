//! Faults on demand: rules that make the next answers of a path go wrong, before or after the effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::stream;
use serde::{Deserialize, Serialize};

use crate::Sandbox;
use crate::answer::Refusal;
use crate::jsm::access::CLOUD_ID;
use crate::jsm::{self, Limit, Site};

/// Most rules at a time.
const MAX_RULES: usize = 100;
/// Longest delay of a slow answer.
const MAX_DELAY: Duration = Duration::from_secs(300);

/// What a gateway shows instead of the answer when nobody is signed in any more.
const LOGIN: &str = "<!doctype html><title>Log in to continue</title><form action=\"/login\" method=\"post\">\
                     <input name=\"username\"><input name=\"password\" type=\"password\"></form>";

/// How an answer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// 429 with `Retry-After`.
    Throttle,
    /// 429 that says with `X-RateLimit-Reset` alone when to come back, or on a Data Center how often it counts anew.
    Reset,
    /// 500 with a JSON error.
    Error,
    /// 503 with `Retry-After`.
    Unavailable,
    /// 200 with an HTML page, as from a captive portal.
    Html,
    /// 200 with a page for signing in, as from a session that ended.
    Login,
    /// 200 without a body.
    Empty,
    /// A body that ends in the middle, with the connection.
    Half,
    /// The right answer, late.
    Slow,
}

/// When the fault strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// Before the system did anything.
    #[default]
    Before,
    /// After the system did its work: the effect stands, its answer is lost.
    After,
}

/// One rule; the first that matches a request applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Requests whose path begins with this.
    pub path: String,
    /// Only this method, such as `POST`.
    #[serde(default)]
    pub method: Option<String>,
    /// How the answer goes wrong.
    pub fault: Fault,
    /// Before or after the effect.
    #[serde(default)]
    pub when: Moment,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many matching requests pass unharmed in each window of `retry_after_s`, which begins with the first of them.
    #[serde(default)]
    pub quota: Option<u32>,
    /// How many answers go wrong; without it all of them.
    #[serde(default)]
    pub times: Option<u32>,
    /// `Retry-After` in seconds, and how far ahead a reset is.
    #[serde(default = "one_second")]
    pub retry_after_s: u32,
    /// How late a slow answer is, in milliseconds.
    #[serde(default = "half_a_second")]
    pub delay_ms: u64,
    /// How many answers went wrong so far.
    #[serde(default, skip_deserializing)]
    pub hits: u32,
    /// When the window of the quota began, and how many requests it let pass.
    #[serde(skip)]
    pub window: Option<(jiff::Timestamp, u32)>,
}

const fn one_second() -> u32 {
    1
}

const fn half_a_second() -> u64 {
    500
}

impl Rule {
    fn strikes(&mut self, method: &Method, path: &str) -> bool {
        let matches = path.starts_with(&self.path)
            && self.method.as_deref().is_none_or(|wanted| method.as_str().eq_ignore_ascii_case(wanted));
        if !matches || self.times.is_some_and(|times| self.hits >= times) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.quota.is_some_and(|quota| self.passes(quota, jiff::Timestamp::now())) {
            return false;
        }
        self.hits = self.hits.saturating_add(1);
        true
    }

    /// Whether the window has room for one more request.
    fn passes(&mut self, quota: u32, now: jiff::Timestamp) -> bool {
        let lasts = jiff::SignedDuration::from_secs(self.retry_after_s.into());
        let window = self.window.filter(|(began, _)| now.duration_since(*began) < lasts);
        let (began, passed) = window.unwrap_or((now, 0));
        self.window = Some((began, passed.saturating_add(1).min(quota)));
        passed < quota
    }

    /// The look-alike of Jira breaks in its own words.
    fn answer_of(&self, site: &Site, path: &str) -> Response {
        let path = path.strip_prefix(&format!("/ex/jira/{CLOUD_ID}")).unwrap_or(path);
        let is_jira = path.starts_with("/rest/api/") || path.starts_with("/rest/servicedeskapi");
        let status = match self.fault {
            Fault::Throttle | Fault::Reset => StatusCode::TOO_MANY_REQUESTS,
            Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Error => StatusCode::INTERNAL_SERVER_ERROR,
            Fault::Html | Fault::Login | Fault::Empty | Fault::Half | Fault::Slow => return self.answer(),
        };
        let limit = if self.fault == Fault::Reset { Limit::Resets } else { Limit::Passed };
        if is_jira { jsm::failure(site, path, status, limit(self.retry_after_s)) } else { self.answer() }
    }

    fn answer(&self) -> Response {
        let retry_after = [(RETRY_AFTER, self.retry_after_s.to_string())];
        let html = "<!doctype html><title>Welcome</title><p>Please accept the terms of use.";
        match self.fault {
            Fault::Throttle => {
                (retry_after, Refusal::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "not so fast")).into_response()
            }
            Fault::Reset => {
                let reset = [("x-ratelimit-reset", reset_at(self.retry_after_s))];
                (reset, Refusal::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "not so fast")).into_response()
            }
            Fault::Unavailable => {
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "restarting", "back in a moment");
                (retry_after, refusal).into_response()
            }
            Fault::Error | Fault::Slow => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "something broke in here").into_response()
            }
            Fault::Html => ([(CONTENT_TYPE, "text/html")], html).into_response(),
            Fault::Login => ([(CONTENT_TYPE, "text/html;charset=UTF-8")], LOGIN).into_response(),
            Fault::Empty => ([(CONTENT_TYPE, "application/json")], "").into_response(),
            Fault::Half => half(),
        }
    }
}

/// The time so many seconds from now, as a limit names it.
pub(crate) fn reset_at(seconds: u32) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds.into());
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Announces 100 bytes, sends 20, and breaks the connection.
fn half() -> Response {
    let pieces =
        [Ok(Bytes::from_static(b"{\"items\":[{\"id\":\"REQ")), Err(std::io::Error::other("the fault rule says so"))];
    let headers = [(CONTENT_TYPE, "application/json"), (CONTENT_LENGTH, "100")];
    (headers, Body::from_stream(stream::iter(pieces))).into_response()
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Rules(Mutex<Vec<Rule>>);

impl Rules {
    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, method: &Method, path: &str) -> Option<Rule> {
        self.lock().iter_mut().find_map(|rule| rule.strikes(method, path).then(|| rule.clone()))
    }
}

/// Lets a request pass, or makes its answer go wrong.
pub(crate) async fn intercept(State(sandbox): State<Arc<Sandbox>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let Some(rule) = sandbox.faults.strike(request.method(), &path) else {
        return next.run(request).await;
    };
    if rule.fault == Fault::Slow {
        tokio::time::sleep(Duration::from_millis(rule.delay_ms).min(MAX_DELAY)).await;
        return next.run(request).await;
    }
    if rule.when == Moment::After {
        drop(next.run(request).await);
    }
    rule.answer_of(&sandbox.jsm, &path)
}

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    let rules = || get(show).put(replace).delete(clear);
    Router::new().route("/_faults", rules()).route("/_sandbox/faults", rules()).route("/boom", get(boom))
}

async fn show(State(sandbox): State<Arc<Sandbox>>) -> Json<Vec<Rule>> {
    Json(sandbox.faults.lock().clone())
}

async fn replace(State(sandbox): State<Arc<Sandbox>>, Json(rules): Json<Vec<Rule>>) -> Result<StatusCode, Refusal> {
    if rules.len() > MAX_RULES {
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", format!("at most {MAX_RULES} rules")));
    }
    *sandbox.faults.lock() = rules;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear(State(sandbox): State<Arc<Sandbox>>) -> StatusCode {
    sandbox.faults.lock().clear();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct Wanted {
    fault: Fault,
    #[serde(default = "half_a_second")]
    delay_ms: u64,
    #[serde(default = "one_second")]
    retry_after_s: u32,
}

/// The fault asked for in the query, without any rule.
async fn boom(Query(wanted): Query<Wanted>) -> Response {
    let Wanted { fault, delay_ms, retry_after_s } = wanted;
    if fault == Fault::Slow {
        tokio::time::sleep(Duration::from_millis(delay_ms).min(MAX_DELAY)).await;
        return Json(serde_json::json!({"items": []})).into_response();
    }
    let rule = Rule {
        path: String::new(),
        method: None,
        fault,
        when: Moment::Before,
        skip: 0,
        quota: None,
        times: None,
        retry_after_s,
        delay_ms,
        hits: 0,
        window: None,
    };
    rule.answer()
}
