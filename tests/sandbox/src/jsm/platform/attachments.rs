//! Files on issues.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use super::view::{self, Text};
use super::{Routes, Shared};
use crate::jsm::date::now;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Parameters, uploads};
use crate::jsm::memory::{Effect, File, Memory};

/// Most files at a time.
const MOST: usize = 60;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/issue/{key}/attachments", post(attach))
        .at("/attachment/content/{id}", get(content))
        .at("/attachment/{id}", get(one))
}

async fn attach(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let files = uploads(&headers, &body)?;
    if files.len() > MOST {
        return Err(Denial::new(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MOST} files at a time")));
    }
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let (mut ids, author) = (Vec::new(), caller.person);
    for file in files {
        let (id, created) = (memory.fresh_id(), now());
        let (name, media_type, bytes) = (file.name, file.media_type, file.bytes);
        memory.keep(File { id, name, media_type, bytes, author, created, temporary: None })?;
        ids.push(id);
    }
    memory.change(position, Effect::Attached, |issue, _| issue.attachments.extend_from_slice(&ids))?;
    let files = ids.iter().filter_map(|id| memory.file(*id));
    Ok(Json(files.map(|file| view::attachment(site, &memory, file, text)).collect()))
}

fn known<'a>(memory: &'a Memory, id: &str) -> Result<&'a File, Denial> {
    let file = id.parse().ok().and_then(|id| memory.file(id)).filter(|file| file.temporary.is_none());
    file.ok_or_else(|| Denial::missing(format!("The attachment with id '{id}' does not exist.")))
}

async fn one(State(sandbox): Shared, _: Agent, text: Text, Path(id): Path<String>) -> Result<Json<Value>, Denial> {
    let memory = sandbox.jsm.read();
    let mut shown = view::attachment(&sandbox.jsm, &memory, known(&memory, &id)?, text);
    // Here alone the id is a number.
    if let (Ok(id), Some(fields)) = (id.parse::<u64>(), shown.as_object_mut()) {
        fields.insert("id".to_owned(), id.into());
    }
    Ok(Json(shown))
}

/// The file itself, or the way to it: the real one lies on another host.
async fn content(
    State(sandbox): Shared,
    _: Agent,
    Path(id): Path<String>,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let memory = site.read();
    let file = known(&memory, &id)?;
    if query.flag("redirect") != Some(false) {
        let to = format!("{}/rest/api/2/attachment/content/{id}?redirect=false", site.base);
        return Ok((StatusCode::SEE_OTHER, [("location", to)]).into_response());
    }
    let headers = [
        (CONTENT_TYPE, file.media_type.clone()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.name.replace(['"', '\r', '\n'], "_"))),
    ];
    Ok((headers, file.bytes.clone()).into_response())
}
