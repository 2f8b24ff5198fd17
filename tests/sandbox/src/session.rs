//! Sessions of the plain desk as AR System has them: a login call answers a bare token for the header
//! `Authorization: AR-JWT`. They end soon, so that every client meets the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Sandbox;

/// Requests that one token is good for.
const USES: u32 = 2;
/// More open sessions than tests make; the oldest ends first.
const MOST: usize = 1_000;

#[derive(Debug, Default)]
struct Open {
    /// Uses that are left, by the number of the login and its token.
    tokens: BTreeMap<(u64, String), u32>,
    logins: u64,
    refused: u64,
}

/// Every session.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Open>);

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/api/jwt/login", post(login)).route("/_sandbox/sessions", get(show))
}

impl Sessions {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request carries the token of a session; uses it up if so.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(token) = header.strip_prefix("AR-JWT ") else { return false };
        let mut open = self.open();
        let Some(left) = open.tokens.iter_mut().find(|((_, known), _)| known == token).map(|(_, left)| left) else {
            return false;
        };
        *left = left.saturating_sub(1);
        if *left == 0 {
            open.tokens.retain(|_, left| *left > 0);
        }
        true
    }
}

async fn login(State(sandbox): State<Arc<Sandbox>>, form: String) -> Response {
    // A form has the grammar of a query.
    let given = format!("/?{form}").parse::<Uri>().ok().and_then(|uri| Query::<Login>::try_from_uri(&uri).ok());
    let Some(Query(given)) = given else { return StatusCode::BAD_REQUEST.into_response() };
    let expected = &sandbox.credentials.desk;
    let mut open = sandbox.sessions.open();
    if given.username != expected.username || given.password != expected.password {
        open.refused += 1;
        let error = json!({ "messageType": "ERROR", "messageText": "Authentication failed", "messageNumber": 623 });
        return (StatusCode::UNAUTHORIZED, Json(json!([error]))).into_response();
    }
    open.logins += 1;
    let (number, token) = (open.logins, uuid::Uuid::new_v4().simple().to_string());
    open.tokens.insert((number, token.clone()), USES);
    if open.tokens.len() > MOST {
        open.tokens.pop_first();
    }
    ([(CONTENT_TYPE, "text/plain")], token).into_response()
}

async fn show(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    let open = sandbox.sessions.open();
    Json(json!({ "logins": open.logins, "refused": open.refused }))
}
