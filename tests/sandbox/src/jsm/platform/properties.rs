//! Properties of issues: small JSON values under a key, unseen by people. A connector may keep its own mark here, but
//! no query finds it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::comments::look;
use super::view::{self, Text};
use super::{Routes, Shared};
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::memory::Effect;

/// Largest value, as in Jira.
const VALUE_LIMIT: usize = 32_768;
/// Most properties of an issue.
const MOST: usize = 100;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/issue/{key}/properties", get(list))
        .at("/issue/{key}/properties/{property}", get(one).put(set).delete(delete))
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
) -> Result<Json<Value>, Denial> {
    let base = view::api(&sandbox.jsm, text);
    let link = |name: &String| json!({ "key": name, "self": format!("{base}/issue/{key}/properties/{name}") });
    let keys = look(&sandbox.jsm, &key, caller, |issue| issue.properties.keys().map(link).collect::<Vec<_>>())?;
    Ok(Json(json!({ "keys": keys })))
}

async fn one(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((key, name)): Path<(String, String)>,
) -> Result<Json<Value>, Denial> {
    let value = look(&sandbox.jsm, &key, caller, |issue| issue.properties.get(&name).cloned())?;
    let value = value.ok_or_else(|| Denial::missing(format!("The property {name} does not exist.")))?;
    Ok(Json(json!({ "key": name, "value": value })))
}

async fn set(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((key, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Denial> {
    let value: Value =
        serde_json::from_slice(&body).map_err(|_| Denial::bad("The property value is not valid JSON."))?;
    if body.len() > VALUE_LIMIT || name.len() > 255 {
        return Err(Denial::bad(format!("The property is longer than {VALUE_LIMIT} characters.")));
    }
    let mut memory = sandbox.jsm.write();
    let position = sandbox.jsm.find(&memory, &key, caller)?;
    let before = memory.change(position, Effect::Edited, |issue, _| {
        if issue.properties.len() >= MOST && !issue.properties.contains_key(&name) {
            return Err(Denial::bad(format!("An issue has at most {MOST} properties here.")));
        }
        Ok(issue.properties.insert(name, value))
    })??;
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({}))).into_response())
}

async fn delete(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((key, name)): Path<(String, String)>,
) -> Result<StatusCode, Denial> {
    let mut memory = sandbox.jsm.write();
    let position = sandbox.jsm.find(&memory, &key, caller)?;
    let gone = memory.change(position, Effect::Edited, |issue, _| issue.properties.remove(&name))?;
    gone.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Denial::missing(format!("The property {name} does not exist.")))
}
