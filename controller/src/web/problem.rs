//! Errors as `application/problem+json` (RFC 9457), each with a stable code.

use std::time::Duration;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use wherry_daemon::ids;
use wherry_domain::project::check::Fault;

use crate::engine::{Kind, Refusal};

/// How it is sent.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// A problem.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem(Box<Details>);

/// What is told of a problem.
#[derive(Debug, Serialize, ToSchema)]
struct Details {
    /// Where the code is explained, within the documentation.
    #[serde(rename = "type")]
    kind: Box<str>,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong and what to do.
    detail: Box<str>,
    /// Stable code.
    code: String,
    /// Finds this answer in the controller's log.
    #[serde(serialize_with = "request_id")]
    #[schema(value_type = String)]
    request_id: u128,
    /// Faults of a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    errors: Vec<Fault>,
    /// The run that came of an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Try again after this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

fn request_id<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("req_{id:032x}"))
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind: format!("docs/errors/{code}.md").into(),
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: detail.into().into(),
            code: code.to_owned(),
            request_id: ids::new_id(),
            errors: Vec::new(),
            run: None,
            retry_after_ms: None,
        }))
    }

    /// Names the run that came of the request.
    pub(super) fn of_run(mut self, run: wherry_domain::id::RunId) -> Self {
        self.0.run = Some(run.to_string());
        self
    }

    /// Says after what time another try is worth it, if that is known.
    pub(super) fn after(mut self, wait: Option<Duration>) -> Self {
        let asked = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self.0.retry_after_ms = asked.or(self.0.retry_after_ms);
        self
    }

    pub(super) fn invalid(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, retry_after_ms) = match refusal.kind {
            Kind::NotFound => (StatusCode::NOT_FOUND, None),
            Kind::Conflict | Kind::Incompatible => (StatusCode::CONFLICT, None),
            Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Kind::Forbidden => (StatusCode::FORBIDDEN, None),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, None),
            Kind::Full => (StatusCode::INSUFFICIENT_STORAGE, None),
            Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(1_000)),
            Kind::Throttled => (StatusCode::TOO_MANY_REQUESTS, Some(1_000)),
        };
        let Self(mut details) = Self::new(status, refusal.code.as_str(), refusal.message);
        details.errors = refusal.faults;
        let asked = refusal.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        details.retry_after_ms = asked.or(retry_after_ms);
        Self(details)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request_id = format_args!("req_{:032x}", self.0.request_id);
        tracing::info!(%request_id, code = self.0.code, detail = self.0.detail, "refused a request");
        let retry_after = self.0.retry_after_ms.map(|ms| ms.div_ceil(1_000).to_string());
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if let Some(value) = retry_after.and_then(|text| text.parse().ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}
