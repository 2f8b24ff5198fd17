//! Answers what only the site knows: its desks, request types and queues, and the fields of a request type as a JSON
//! Schema for `requestFieldValues`.

mod schema;

use serde_json::value::RawValue;
use wherry_sdk::http::Method;
use wherry_sdk::json::Json;
use wherry_sdk::paging::PageWatch;
use wherry_sdk::prelude::*;

use crate::Cx;
use crate::id::Id;
use crate::site::{self, Api};

/// Desks whose request types are listed with them; of more, only the desks are.
const DESKS: usize = 20;
/// Entries that are listed at most.
const ENTRIES: usize = 500;

/// A question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Question {
    table: Table,
    #[serde(default)]
    service_desk: Option<Id>,
    #[serde(default)]
    request_type: Option<Id>,
}

/// What questions can be about.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Table {
    Requests,
    QueueRequests,
    Issues,
}

/// A page of a list, with what is told of each entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    values: Vec<Box<RawValue>>,
    is_last_page: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Desk {
    id: String,
    project_name: String,
    project_key: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct RequestType {
    id: String,
    name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize, Serialize)]
struct Queue {
    id: String,
    name: String,
    jql: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Field {
    id: String,
    name: String,
    schema: Option<Value>,
}

/// Answers a question such as `{"table": "Requests", "serviceDesk": "1", "requestType": "25"}`.
pub(crate) fn describe(cx: &Cx<'_>, question: Value) -> Result<Value> {
    let Question { table, service_desk, request_type } = serde_json::from_value(question).map_err(|error| {
        let message = format!(
            "the question cannot be used: {error}; ask like {{\"table\": \"Requests\", \"serviceDesk\": \"1\", \
             \"requestType\": \"25\"}}, with the table Requests, QueueRequests or Issues"
        );
        Error::config("jira.question_invalid", message)
    })?;
    let desk = service_desk.as_ref().or(cx.options().service_desk.as_ref()).map(Id::as_str);
    match (table, desk, request_type.as_ref().map(Id::as_str)) {
        (Table::Requests, Some(desk), Some(kind)) => form(cx, desk, kind),
        (Table::Requests, None, Some(_)) => Err(Error::config(
            "jira.question_invalid",
            "a request type belongs to a service desk: name serviceDesk too",
        )),
        (Table::Requests, Some(desk), None) => Ok(json!({ "requestTypes": types(cx, desk)? })),
        (Table::QueueRequests, Some(desk), _) => {
            Ok(json!({ "queues": listed::<Queue>(cx, &["servicedesk", desk, "queue"])? }))
        }
        (Table::Requests | Table::QueueRequests, None, _) => desks(cx),
        (Table::Issues, ..) => {
            let fields: Vec<Field> = site::request(cx, Api::Plain, Method::Get, &["field"]).send()?.json()?;
            Ok(json!({ "fields": fields.into_iter().take(ENTRIES).collect::<Vec<_>>() }))
        }
    }
}

/// The schema of `requestFieldValues` of a request type.
fn form(cx: &Cx<'_>, desk: &str, kind: &str) -> Result<Value> {
    let path = ["servicedesk", desk, "requesttype", kind, "field"];
    let form: schema::Form = site::request(cx, Api::Desk, Method::Get, &path).send()?.json()?;
    Ok(form.schema(desk, kind))
}

fn types(cx: &Cx<'_>, desk: &str) -> Result<Vec<RequestType>> {
    listed(cx, &["servicedesk", desk, "requesttype"])
}

/// All desks; the request types of each too, unless there are many desks.
fn desks(cx: &Cx<'_>) -> Result<Value> {
    let desks: Vec<Desk> = listed(cx, &["servicedesk"])?;
    if desks.len() > DESKS {
        return Ok(json!({ "serviceDesks": desks, "hint": "name serviceDesk to see its request types" }));
    }
    let mut all = Vec::with_capacity(desks.len());
    for desk in desks {
        let types = types(cx, &desk.id)?;
        let Desk { id, project_name, project_key } = desk;
        all.push(json!({ "id": id, "projectName": project_name, "projectKey": project_key, "requestTypes": types }));
    }
    Ok(json!({ "serviceDesks": all }))
}

/// A whole list, up to [`ENTRIES`].
fn listed<T: serde::de::DeserializeOwned>(cx: &Cx<'_>, path: &[&str]) -> Result<Vec<T>> {
    let (mut all, mut watch) = (Vec::new(), PageWatch::default());
    loop {
        cx.stop_if_asked()?;
        let request = site::request(cx, Api::Desk, Method::Get, path).query("start", all.len()).query("limit", 100);
        let page: Page = request.send()?.json()?;
        watch.note(page.values.iter().map(|entry| entry.get()))?;
        let is_last = page.is_last_page || page.values.is_empty();
        for entry in &page.values {
            all.push(Json::of(entry).parse()?);
        }
        if is_last || all.len() >= ENTRIES {
            all.truncate(ENTRIES);
            return Ok(all);
        }
    }
}
