//! How the simulated systems say no: a status and `{"error": {"code", "message", "field"?}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal that a caller sees.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    challenge: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, challenge: None }
    }

    pub(crate) fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message) }
    }

    pub(crate) fn unauthorised(scheme: &'static str) -> Self {
        let message = format!("present the {scheme} credentials that the sandbox printed when it started");
        Self { challenge: Some(scheme), ..Self::new(StatusCode::UNAUTHORIZED, "unauthorised", message) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(field), Some(fields)) = (self.field, error.as_object_mut()) {
            fields.insert("field".to_owned(), field.into());
        }
        let body = Json(json!({ "error": error }));
        match self.challenge {
            Some(scheme) => (self.status, [(WWW_AUTHENTICATE, scheme)], body).into_response(),
            None => (self.status, body).into_response(),
        }
    }
}
