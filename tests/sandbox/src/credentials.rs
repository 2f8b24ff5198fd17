//! Credentials made up at start, and the check that a request presents them.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::answer::Refusal;

/// What callers of the two systems must present. Worth nothing outside one sandbox, so it may be printed.
#[derive(Debug, Clone, Serialize)]
pub struct Credentials {
    /// For the desk.
    pub desk: Basic,
    /// For the tracker.
    pub tracker: Bearer,
}

/// HTTP Basic.
#[derive(Debug, Clone, Serialize)]
pub struct Basic {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A bearer token.
#[derive(Debug, Clone, Serialize)]
pub struct Bearer {
    /// The token.
    pub token: String,
}

impl Credentials {
    pub(crate) fn generate() -> Self {
        let secret = || uuid::Uuid::new_v4().simple().to_string();
        Self { desk: Basic { username: "wherry".to_owned(), password: secret() }, tracker: Bearer { token: secret() } }
    }
}

impl Basic {
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let expected = STANDARD.encode(format!("{}:{}", self.username, self.password));
        presented(headers, "Basic", &expected)
    }
}

impl Bearer {
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        presented(headers, "Bearer", &self.token)
    }
}

fn presented(headers: &HeaderMap, scheme: &'static str, expected: &str) -> Result<(), Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits =
        header.split_once(' ').is_some_and(|(name, value)| name.eq_ignore_ascii_case(scheme) && value == expected);
    if fits { Ok(()) } else { Err(Refusal::unauthorised(scheme)) }
}
