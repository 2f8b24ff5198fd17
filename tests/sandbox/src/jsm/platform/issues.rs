//! Issues: create one or many, look, change, delete.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::edit::{self, Faults};
use super::view::{self, Fields, Text};
use super::{DONE, Routes, Shared};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::date::now;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Issue;
use crate::jsm::memory::Effect;
use crate::jsm::paging::{json_bytes, push};

/// Most issues at a time.
const BULK_CREATE: usize = 50;
const BULK_FETCH: usize = 100;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/issue", post(create))
        .at("/issue/bulk", post(create_many))
        .at("/issue/bulkfetch", post(fetch_many))
        .at("/issue/{key}", get(one).put(change).delete(delete))
}

/// What a caller sends to create or change an issue.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Update {
    pub(super) fields: Map<String, Value>,
    /// Only what labels need: `{"labels": [{"add": "…"}, {"remove": "…"}, {"set": […]}]}`.
    update: Map<String, Value>,
    properties: Vec<Property>,
    pub(super) transition: Option<Value>,
    #[serde(rename = "historyMetadata")]
    _history_metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Property {
    key: String,
    value: Value,
}

async fn create(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Body(wanted): Body<Update>,
) -> Result<Response, Denial> {
    let created = made(&sandbox.jsm, caller, text, wanted)?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

fn made(site: &Site, caller: Caller, text: Text, wanted: Update) -> Result<Value, Denial> {
    let (desk, kind) = edit::place(&wanted.fields).map_err(Denial::fields)?;
    let mut issue = Issue::blank(desk, kind, caller.person, now());
    edit::put(site, text, &wanted.fields, &mut issue).map_err(Denial::fields)?;
    issue.properties = wanted.properties.into_iter().map(|property| (property.key, property.value)).collect();
    let mut memory = site.write();
    let issue = memory.create(issue)?;
    let link = format!("{}/issue/{}", view::api(site, text), issue.id);
    Ok(json!({ "id": issue.id.to_string(), "key": issue.key(), "self": link }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Updates {
    issue_updates: Vec<Update>,
}

/// The good ones are created; the others are told by their number.
async fn create_many(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Body(wanted): Body<Updates>,
) -> Result<Response, Denial> {
    if wanted.issue_updates.len() > BULK_CREATE {
        return Err(Denial::bad(format!("Maximum number of issues that can be created at once is {BULK_CREATE}.")));
    }
    let (mut issues, mut errors) = (Vec::new(), Vec::new());
    for (nth, update) in wanted.issue_updates.into_iter().enumerate() {
        match made(&sandbox.jsm, caller, text, update) {
            Ok(created) => issues.push(created),
            Err(denial) => errors.push(json!({
                "status": denial.status().as_u16(),
                "elementErrors": denial.collection(),
                "failedElementNumber": nth,
            })),
        }
    }
    let status = if issues.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "issues": issues, "errors": errors }))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fetch {
    issue_ids_or_keys: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default, rename = "fieldsByKeys")]
    _fields_by_keys: bool,
    #[serde(default, rename = "expand")]
    _expand: Vec<String>,
    #[serde(default, rename = "properties")]
    _properties: Vec<String>,
}

/// Whatever cannot be seen is left out.
async fn fetch_many(
    State(sandbox): Shared,
    caller: Caller,
    text: Text,
    Body(wanted): Body<Fetch>,
) -> Result<Response, Denial> {
    if wanted.issue_ids_or_keys.len() > BULK_FETCH {
        return Err(Denial::bad(format!("At most {BULK_FETCH} issues can be fetched at once.")));
    }
    let (site, memory) = (&sandbox.jsm, sandbox.jsm.read());
    let names: Vec<&str> = wanted.fields.iter().map(String::as_str).collect();
    let fields = if names.is_empty() { Fields::everything() } else { Fields::named(&names) };
    let mut body = b"{\"issueErrors\":[],\"issues\":[".to_vec();
    let found = wanted.issue_ids_or_keys.iter().filter_map(|key| site.find(&memory, key, caller).ok());
    for (nth, issue) in found.filter_map(|position| memory.at(position)).enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        push(&mut body, &view::Issue { site, memory: &memory, issue: &issue, fields: &fields, text });
    }
    body.extend_from_slice(b"]}");
    Ok(json_bytes(body))
}

async fn one(
    State(sandbox): Shared,
    caller: Caller,
    text: Text,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Response, Denial> {
    let (site, memory) = (&sandbox.jsm, sandbox.jsm.read());
    let position = site.find(&memory, &key, caller)?;
    let names = query.list("fields");
    let fields = if names.is_empty() { Fields::everything() } else { Fields::named(&names) };
    let issue = memory.at(position).ok_or_else(|| Denial::missing("Issue does not exist."))?;
    let mut body = Vec::new();
    push(&mut body, &view::Issue { site, memory: &memory, issue: &issue, fields: &fields, text });
    Ok(json_bytes(body))
}

async fn change(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    Body(wanted): Body<Update>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let mut draft = {
        let memory = site.read();
        let position = site.find(&memory, &key, caller)?;
        memory.at(position).ok_or_else(|| Denial::missing("Issue does not exist."))?.into_owned()
    };
    edit::put(site, text, &wanted.fields, &mut draft).map_err(Denial::fields)?;
    labels(&wanted.update, &mut draft.labels).map_err(Denial::fields)?;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    memory.change(position, Effect::Edited, |issue, at| {
        for property in wanted.properties {
            issue.properties.insert(property.key, property.value);
        }
        let properties = std::mem::take(&mut issue.properties);
        // What others changed meanwhile stays, as only the fields of this call are taken.
        let kept = issue.clone();
        *issue = Issue { properties, updated: at, ..draft };
        (issue.status, issue.history, issue.comments) = (kept.status, kept.history, kept.comments);
        (issue.participants, issue.attachments, issue.links) = (kept.participants, kept.attachments, kept.links);
    })?;
    Ok(DONE.into_response())
}

fn labels(update: &Map<String, Value>, labels: &mut Vec<String>) -> Result<(), Faults> {
    let fault = |id: &str, text: &str| Faults::from([(id.to_owned(), text.to_owned())]);
    for (id, operations) in update {
        if id != "labels" {
            return Err(fault(id, "Field cannot be set. It is not on the appropriate screen, or unknown."));
        }
        for operation in operations.as_array().into_iter().flatten() {
            let text = |name: &str| operation.get(name).and_then(Value::as_str);
            match (text("add"), text("remove")) {
                (Some(label), _) if label.contains(char::is_whitespace) => {
                    return Err(fault(id, "The label contains spaces which is invalid."));
                }
                (Some(label), _) if !labels.iter().any(|known| known == label) => labels.push(label.to_owned()),
                (_, Some(label)) => labels.retain(|known| known != label),
                (Some(_) | None, None) => {}
            }
        }
    }
    Ok(())
}

async fn delete(State(sandbox): Shared, Agent(caller): Agent, Path(key): Path<String>) -> Result<StatusCode, Denial> {
    let mut memory = sandbox.jsm.write();
    let position = sandbox.jsm.find(&memory, &key, caller)?;
    memory.change(position, Effect::Deleted, |issue, _| issue.gone = true)?;
    Ok(StatusCode::NO_CONTENT)
}
