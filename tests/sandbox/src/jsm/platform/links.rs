//! Links to things elsewhere. With a global id, writing one again changes it instead of adding another: the one thing
//! here that may be repeated without a look.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::comments::look;
use super::view::{self, Text};
use super::{Routes, Shared};
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Link;
use crate::jsm::memory::Effect;

/// Most links of an issue.
const MOST: usize = 2_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/issue/{key}/remotelink", get(list).post(put).delete(delete))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLink {
    global_id: Option<String>,
    #[serde(default)]
    object: Map<String, Value>,
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Json<Value>, Denial> {
    let base = view::api(&sandbox.jsm, text);
    let shown = |link: &Link| {
        let own = format!("{base}/issue/{key}/remotelink/{}", link.id);
        json!({ "id": link.id, "self": own, "globalId": link.global_id, "object": link.object })
    };
    let links = look(&sandbox.jsm, &key, caller, |issue| issue.links.clone())?;
    let Some(wanted) = query.get("globalId") else {
        return Ok(Json(links.iter().map(shown).collect()));
    };
    let found = links.iter().find(|link| link.global_id.as_deref() == Some(wanted)).map(shown);
    found.map(Json).ok_or_else(|| Denial::missing("The remote link does not exist."))
}

async fn put(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    Body(wanted): Body<NewLink>,
) -> Result<Response, Denial> {
    let named = |name: &str| wanted.object.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if !named("url") || !named("title") {
        return Err(Denial::bad("A remote link needs an object with url and title."));
    }
    let site = &sandbox.jsm;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let fresh = memory.fresh_id();
    let (id, is_new) = memory.change(position, Effect::Linked, |issue, _| {
        let same = |link: &&mut Link| link.global_id.is_some() && link.global_id == wanted.global_id;
        let object = Value::Object(wanted.object.clone());
        if let Some(link) = issue.links.iter_mut().find(same) {
            link.object = object;
            return Ok((link.id, false));
        }
        if issue.links.len() >= MOST {
            return Err(Denial::bad(format!("An issue has at most {MOST} remote links.")));
        }
        issue.links.push(Link { id: fresh, global_id: wanted.global_id.clone(), object });
        Ok((fresh, true))
    })??;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let own = format!("{}/issue/{key}/remotelink/{id}", view::api(site, text));
    Ok((status, Json(json!({ "id": id, "self": own }))).into_response())
}

async fn delete(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<StatusCode, Denial> {
    let wanted = query.get("globalId").ok_or_else(|| Denial::bad("The globalId is required."))?;
    let mut memory = sandbox.jsm.write();
    let position = sandbox.jsm.find(&memory, &key, caller)?;
    let gone = memory.change(position, Effect::Linked, |issue, _| {
        let before = issue.links.len();
        issue.links.retain(|link| link.global_id.as_deref() != Some(wanted));
        before > issue.links.len()
    })?;
    if gone { Ok(StatusCode::NO_CONTENT) } else { Err(Denial::missing("The remote link does not exist.")) }
}
