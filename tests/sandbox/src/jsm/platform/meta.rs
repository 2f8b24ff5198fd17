//! What there is: fields, statuses, priorities, issue types, projects, and which fields an issue takes.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::view::{REQUEST_TYPE, Text, api};
use super::{Routes, Shared};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::catalogue::{Category, DESKS, Desk, FIELDS, ISSUE_TYPES, PRIORITIES};
use crate::jsm::denial::Denial;
use crate::jsm::field::{Choice, Field, Kind};
use crate::jsm::input::Parameters;
use crate::jsm::paging::Window;
use crate::jsm::rendered::category_json;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/field", get(fields))
        .at("/status", get(statuses))
        .at("/statuscategory", get(categories))
        .at("/priority", get(priorities))
        .at("/issuetype", get(issue_types))
        .at("/project", get(every_project))
        .at("/project/search", get(projects))
        .at("/project/{project}", get(one_project))
        .at("/issue/createmeta/{project}/issuetypes", get(creatable))
        .at("/issue/createmeta/{project}/issuetypes/{kind}", get(create_fields))
        .at("/issue/{key}/editmeta", get(edit_fields))
}

async fn fields(_: Caller) -> Json<Value> {
    let shown = FIELDS.iter().map(|field| {
        let id = field.id();
        let clauses = if field.is_custom() {
            vec![format!("cf[{}]", field.number), field.name.to_owned()]
        } else {
            vec![id.clone()]
        };
        json!({
            "id": id,
            "key": id,
            "name": field.name,
            "custom": field.is_custom(),
            "orderable": true,
            "navigable": true,
            "searchable": true,
            "clauseNames": clauses,
            "schema": field.schema(),
        })
    });
    let request_type = json!({
        "id": REQUEST_TYPE,
        "key": REQUEST_TYPE,
        "name": "Request Type",
        "custom": true,
        "orderable": true,
        "navigable": true,
        "searchable": true,
        "clauseNames": ["request-type", "Request Type"],
        "schema": {
            "type": "sd-customerrequesttype",
            "custom": "com.atlassian.servicedesk:vp-origin",
            "customId": 10_001,
        },
    });
    Json(shown.chain([request_type]).collect())
}

async fn statuses(State(sandbox): Shared, _: Caller) -> Response {
    Json(&sandbox.jsm.rendered.statuses).into_response()
}

async fn categories(State(sandbox): Shared, _: Caller, text: Text) -> Json<Value> {
    let api = api(&sandbox.jsm, text);
    Json([Category::New, Category::Moving, Category::Done].into_iter().map(|one| category_json(&api, one)).collect())
}

async fn priorities(State(sandbox): Shared, _: Caller) -> Response {
    Json(&sandbox.jsm.rendered.priorities).into_response()
}

async fn issue_types(State(sandbox): Shared, _: Caller) -> Response {
    Json(&sandbox.jsm.rendered.issue_types).into_response()
}

/// Projects that may be seen.
fn seen(site: &Site) -> impl Iterator<Item = (&'static Desk, &Box<RawValue>)> {
    DESKS.iter().zip(&site.rendered.projects).filter(|(desk, _)| desk.open)
}

async fn projects(State(sandbox): Shared, _: Caller, text: Text, query: Parameters) -> Result<Response, Denial> {
    let (site, window, wanted) = (&sandbox.jsm, Window::platform(&query, 50, 50)?, query.list("keys"));
    let all: Vec<_> = seen(site).filter(|(desk, _)| wanted.is_empty() || wanted.contains(&desk.key)).collect();
    let part: Vec<_> = window.of(&all).iter().map(|(_, project)| project).collect();
    let (limit, end) = (window.limit, window.start + part.len());
    let link = |start: usize| format!("{}/project/search?startAt={start}&maxResults={limit}", api(site, text));
    let mut page = json!({
        "self": link(window.start),
        "startAt": window.start,
        "maxResults": limit,
        "total": all.len(),
        "isLast": end >= all.len(),
        "values": part,
    });
    if let (true, Some(fields)) = (end < all.len(), page.as_object_mut()) {
        fields.insert("nextPage".to_owned(), json!(link(end)));
    }
    Ok(Json(page).into_response())
}

async fn every_project(State(sandbox): Shared, _: Caller) -> Response {
    Json(seen(&sandbox.jsm).map(|(_, project)| project).collect::<Vec<_>>()).into_response()
}

async fn one_project(State(sandbox): Shared, _: Caller, Path(key): Path<String>) -> Result<Response, Denial> {
    let found = seen(&sandbox.jsm).find(|(desk, _)| desk.key == key || desk.project == key);
    let missing = || Denial::missing(format!("No project could be found with key '{key}'."));
    let (_, project) = found.ok_or_else(missing)?;
    Ok(Json(project).into_response())
}

fn project(key: &str) -> Result<(), Denial> {
    let known = DESKS.iter().any(|desk| desk.open && (desk.key == key || desk.project == key));
    if known { Ok(()) } else { Err(Denial::bad(format!("No project could be found with key '{key}'."))) }
}

async fn creatable(
    State(sandbox): Shared,
    _: Caller,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Response, Denial> {
    project(&key)?;
    let (window, all) = (Window::platform(&query, 50, 200)?, &sandbox.jsm.rendered.issue_types);
    let frame = json!({
        "startAt": window.start,
        "maxResults": window.limit,
        "total": all.len(),
        "issueTypes": window.of(all),
    });
    Ok(Json(frame).into_response())
}

async fn create_fields(
    _: Caller,
    Path((key, kind)): Path<(String, String)>,
    query: Parameters,
) -> Result<Json<Value>, Denial> {
    project(&key)?;
    if !ISSUE_TYPES.iter().any(|(id, ..)| *id == kind) {
        return Err(Denial::bad(format!("No issue type could be found with id '{kind}'.")));
    }
    let window = Window::platform(&query, 50, 200)?;
    let part: Vec<_> = window.of(&FIELDS).iter().map(|field| described(field, true)).collect();
    Ok(Json(json!({
        "startAt": window.start,
        "maxResults": window.limit,
        "total": FIELDS.len(),
        "fields": part,
    })))
}

async fn edit_fields(State(sandbox): Shared, caller: Caller, Path(key): Path<String>) -> Result<Json<Value>, Denial> {
    super::comments::look(&sandbox.jsm, &key, caller, |_| ())?;
    let all = FIELDS.iter().map(|field| (field.id(), described(field, false)));
    Ok(Json(json!({ "fields": all.collect::<serde_json::Map<_, _>>() })))
}

/// A field as forms describe it; `with_id`: where a list holds it, not a map.
fn described(field: &Field, with_id: bool) -> Value {
    let (id, several) = (field.id(), matches!(field.kind, Kind::Labels | Kind::MultiSelect(_)));
    let operations: &[&str] = if several { &["add", "set", "remove"] } else { &["set"] };
    let mut shown = json!({
        "required": id == "summary",
        "name": field.name,
        "key": id,
        "hasDefaultValue": id == "priority",
        "operations": operations,
        "schema": field.schema(),
    });
    let allowed = match field.kind {
        Kind::Select(choices) | Kind::MultiSelect(choices) | Kind::Cascade(choices) => Some(allowed(choices)),
        Kind::Priority => Some(PRIORITIES.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect()),
        Kind::Text | Kind::LongText | Kind::Labels | Kind::Date | Kind::Number | Kind::User => None,
    };
    if let Some(fields) = shown.as_object_mut() {
        if let Some(allowed) = allowed {
            fields.insert("allowedValues".to_owned(), Value::Array(allowed));
        }
        if with_id {
            fields.insert("fieldId".to_owned(), json!(id));
        }
    }
    shown
}

fn allowed(choices: &[Choice]) -> Vec<Value> {
    let one = |choice: &Choice| {
        let children = allowed(choice.children);
        if children.is_empty() {
            json!({ "id": choice.id, "value": choice.label })
        } else {
            json!({ "id": choice.id, "value": choice.label, "children": children })
        }
    };
    choices.iter().map(one).collect()
}
