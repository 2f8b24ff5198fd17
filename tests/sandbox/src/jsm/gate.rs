//! The gate before both interfaces: who asks, errors in the shape of the interface, and the headers of every answer.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Caller;
use super::denial::{Api, Denial};
use super::flavour::Flavour;
use crate::Sandbox;
use crate::fault::reset_at;

/// Paths that need no credentials.
const OPEN: [&str; 2] = ["/serverInfo", "/servicedeskapi/info"];

/// Lets a request in, and shapes the answer.
pub(crate) async fn gate(State(sandbox): State<Arc<Sandbox>>, mut request: Request, next: Next) -> Response {
    let site = &sandbox.jsm;
    let api = Api::of(request.uri().path());
    let outside = request.extensions().get::<OriginalUri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    let through_gateway = outside.starts_with("/ex/jira/");
    let open = OPEN.iter().any(|path| request.uri().path().ends_with(path));
    let presented = request.headers().contains_key("authorization");
    let mut response = match site.access.caller(request.headers(), through_gateway) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        // Wrong credentials are refused even where none are needed.
        None if open && !presented => next.run(request).await,
        None => unauthorised(api, site.flavour),
    };
    if let Some(denial) = response.extensions_mut().remove::<Denial>() {
        response = denial.render(api);
    }
    limits(response.headers_mut(), site.flavour, Limit::Kept);
    response
}

/// The platform answers without a body, the service desk as it describes itself.
fn unauthorised(api: Api, flavour: Flavour) -> Response {
    let mut response = match api {
        Api::Platform => StatusCode::UNAUTHORIZED.into_response(),
        Api::Desk => {
            let message = "Client must be authenticated to access this resource.";
            Denial::new(StatusCode::UNAUTHORIZED, message).render(api)
        }
    };
    let headers = response.headers_mut();
    let (challenge, reason) = match flavour {
        Flavour::Cloud => ("OAuth realm=\"sandbox\"", "AUTHENTICATED_FAILED"),
        Flavour::DataCenter => ("Basic realm=\"sandbox\"", "AUTHENTICATION_DENIED"),
    };
    headers.insert("www-authenticate", HeaderValue::from_static(challenge));
    headers.insert("x-seraph-loginreason", HeaderValue::from_static(reason));
    response
}

/// How the limits on requests stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Kept,
    /// Passed; how many seconds to wait.
    Passed(u32),
    /// Passed, and nothing but the time of its reset says until when: in so many seconds.
    Resets(u32),
}

/// The headers that tell how the limits stand, in the words of each flavour.
pub(crate) fn limits(headers: &mut HeaderMap, flavour: Flavour, limit: Limit) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let (left, wait) = match limit {
        Limit::Kept => (348, 0),
        Limit::Passed(seconds) | Limit::Resets(seconds) => (0, seconds),
    };
    if let Limit::Passed(seconds) = limit {
        set("retry-after", &seconds.to_string());
    }
    match flavour {
        Flavour::Cloud => {
            set("x-ratelimit-limit", "350");
            set("x-ratelimit-remaining", &left.to_string());
            set("ratelimit-policy", "\"jira-burst-based\";q=100;w=1");
            set("ratelimit", &format!("\"jira-burst-based\";r={left};t={}", wait.max(1)));
            if let Limit::Resets(seconds) = limit {
                set("x-ratelimit-reset", &reset_at(seconds));
                set("ratelimit-reason", "jira-quota-global-based");
            } else if wait > 0 {
                let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(wait.into());
                set("x-ratelimit-reset", &at.strftime("%Y-%m-%dT%H:%MZ").to_string());
                set("ratelimit-reason", "jira-burst-based");
            }
        }
        Flavour::DataCenter => {
            set("x-ratelimit-limit", "350");
            set("x-ratelimit-remaining", &left.to_string());
            let interval = if let Limit::Resets(seconds) = limit { seconds } else { 1 };
            set("x-ratelimit-interval-seconds", &interval.to_string());
            set("x-ratelimit-fillrate", "100");
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        let caller = parts.extensions.get::<Self>().copied();
        caller.ok_or_else(|| Denial::new(StatusCode::UNAUTHORIZED, "The user must be logged in."))
    }
}

/// Proof that the caller knows an operation to be experimental.
pub(crate) struct OptedIn;

impl<S: Send + Sync> FromRequestParts<S> for OptedIn {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        match parts.headers.get("x-experimentalapi") {
            Some(value) if value == "opt-in" || value == "true" => Ok(Self),
            _ => {
                let message = "This API is experimental. Experimental APIs are not guaranteed to be stable within the \
                               preview period. You must set the header 'X-ExperimentalApi: opt-in' to opt into using it.";
                Err(Denial::new(StatusCode::PRECONDITION_FAILED, message))
            }
        }
    }
}

/// A caller who works at the desks.
pub(crate) struct Agent(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Agent {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denial> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.is_agent() {
            return Ok(Self(caller));
        }
        Err(Denial::forbidden("The user does not have the necessary permission to access this resource."))
    }
}
