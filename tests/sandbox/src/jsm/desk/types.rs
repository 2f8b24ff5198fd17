//! Request types, their groups, and the fields of their forms.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Routes, Shared, at, enter};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::catalogue::{self, DESKS, GROUPS, PRIORITIES, RequestType, TYPES, Use};
use crate::jsm::denial::Denial;
use crate::jsm::field::{Choice, Kind};
use crate::jsm::gate::OptedIn;
use crate::jsm::input::Parameters;
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/requesttype", get(all))
        .merge(at("/servicedesk/{desk}/requesttype", get(of_desk)))
        .merge(at("/servicedesk/{desk}/requesttype/{kind}", get(one)))
        .merge(at("/servicedesk/{desk}/requesttype/{kind}/field", get(fields)))
        .merge(at("/servicedesk/{desk}/requesttypegroup", get(groups)))
}

/// The request type of an id at a desk.
pub(super) fn known(desk: u8, id: &str) -> Result<(u8, &'static RequestType), Denial> {
    let fits = |kind: &RequestType| kind.id == id && kind.desk == usize::from(desk);
    let at = catalogue::position(&TYPES, fits);
    let found = at.and_then(|at| Some((at, TYPES.get(usize::from(at))?)));
    found.ok_or_else(|| Denial::missing(format!("The request type '{id}' does not exist at this service desk.")))
}

async fn all(State(sandbox): Shared, _: Caller, _: OptedIn, uri: Uri, query: Parameters) -> Result<Response, Denial> {
    let wanted = |kind: &RequestType| DESKS.get(kind.desk).is_some_and(|desk| desk.open);
    listed(&sandbox.jsm, &uri, &query, wanted)
}

async fn of_desk(
    State(sandbox): Shared,
    _: Caller,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let at = usize::from(enter(&desk)?);
    let group = query.get("groupId");
    let wanted = |kind: &RequestType| kind.desk == at && group.is_none_or(|group| kind.group == group);
    listed(&sandbox.jsm, &uri, &query, wanted)
}

fn listed(
    site: &Site,
    uri: &Uri,
    query: &Parameters,
    wanted: impl Fn(&RequestType) -> bool,
) -> Result<Response, Denial> {
    let part = query.get("searchQuery").unwrap_or_default().to_lowercase();
    let fits = |kind: &RequestType| wanted(kind) && kind.name.to_lowercase().contains(&part);
    let with_fields = query.list("expand").contains(&"field");
    let found: Vec<_> = TYPES.iter().zip(&site.rendered.types).filter(|(kind, _)| fits(kind)).collect();
    Ok(site.page(uri, query)?.answer(&found, |(kind, rendered), out| {
        if with_fields { push(out, &expanded(rendered.get(), kind)) } else { push(out, rendered) }
    }))
}

/// A request type with the fields of its form.
fn expanded(rendered: &str, kind: &RequestType) -> Value {
    let mut tree: Value = serde_json::from_str(rendered).unwrap_or_default();
    if let Some(fields) = tree.as_object_mut() {
        fields.insert("fields".to_owned(), form(kind));
    }
    tree
}

async fn one(
    State(sandbox): Shared,
    _: Caller,
    Path((desk, kind)): Path<(String, String)>,
    query: Parameters,
) -> Result<Response, Denial> {
    let (at, kind) = known(enter(&desk)?, &kind)?;
    let rendered = sandbox.jsm.rendered.types.get(usize::from(at));
    if query.list("expand").contains(&"field") {
        return Ok(Json(rendered.map(|rendered| expanded(rendered.get(), kind))).into_response());
    }
    Ok(Json(rendered).into_response())
}

async fn fields(_: Caller, Path((desk, kind)): Path<(String, String)>) -> Result<Json<Value>, Denial> {
    let (_, kind) = known(enter(&desk)?, &kind)?;
    Ok(Json(form(kind)))
}

fn form(kind: &RequestType) -> Value {
    json!({
        "requestTypeFields": kind.fields.iter().map(field).collect::<Vec<_>>(),
        "canRaiseOnBehalfOf": true,
        "canAddRequestParticipants": true,
    })
}

fn field(used: &Use) -> Value {
    let Use { field, required } = used;
    let values = match field.kind {
        Kind::Select(choices) | Kind::MultiSelect(choices) | Kind::Cascade(choices) => {
            choices.iter().map(value).collect()
        }
        Kind::Priority => {
            PRIORITIES.iter().map(|(id, name)| json!({"value": id, "label": name, "children": []})).collect()
        }
        Kind::Text | Kind::LongText | Kind::Labels | Kind::Date | Kind::Number | Kind::User => Vec::new(),
    };
    json!({
        "fieldId": field.id(),
        "name": field.name,
        "description": "",
        "required": required,
        "defaultValues": [],
        "validValues": values,
        "jiraSchema": field.schema(),
    })
}

fn value(choice: &Choice) -> Value {
    let children: Vec<_> = choice.children.iter().map(value).collect();
    json!({ "value": choice.id, "label": choice.label, "children": children })
}

async fn groups(
    State(sandbox): Shared,
    _: Caller,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let at = usize::from(enter(&desk)?);
    let found: Vec<_> = GROUPS.iter().filter(|(_, _, desk)| *desk == at).collect();
    let page = sandbox.jsm.page(&uri, &query)?;
    Ok(page.answer(&found, |(id, name, _), out| push(out, &json!({ "id": id, "name": name }))))
}
