//! How the site says no. Both interfaces have their own shape of error; a handler says what is wrong, the gate knows
//! which interface was asked.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal before it has a shape.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    status: StatusCode,
    message: String,
    fields: BTreeMap<String, String>,
}

/// Which interface was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/rest/servicedeskapi`
    Desk,
    /// `/rest/api`
    Platform,
}

impl Api {
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/rest/servicedeskapi") { Self::Desk } else { Self::Platform }
    }
}

impl Denial {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), fields: BTreeMap::new() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Faults by field.
    pub(crate) fn fields(fields: BTreeMap<String, String>) -> Self {
        Self { fields, ..Self::bad("") }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body that the platform gives, also inside the answer to a bulk request.
    pub(crate) fn collection(&self) -> serde_json::Value {
        let messages: Vec<&str> = Some(self.message.as_str()).filter(|text| !text.is_empty()).into_iter().collect();
        json!({ "errorMessages": messages, "errors": self.fields })
    }

    /// The answer in the shape of the interface.
    pub(crate) fn render(&self, api: Api) -> Response {
        let body = match api {
            Api::Platform => self.collection(),
            Api::Desk => {
                let fields = self.fields.iter().map(|(field, fault)| format!("{field}: {fault}"));
                let all: Vec<_> =
                    Some(self.message.clone()).filter(|text| !text.is_empty()).into_iter().chain(fields).collect();
                let key = format!("sd.sandbox.error.{}", self.status.as_u16());
                let words = json!({ "i18nKey": key, "parameters": self.fields.keys().collect::<Vec<_>>() });
                json!({ "errorMessage": all.join("; "), "i18nErrorMessage": words })
            }
        };
        (self.status, Json(body)).into_response()
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
