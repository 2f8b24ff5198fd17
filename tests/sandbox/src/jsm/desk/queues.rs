//! Queues: the lists that agents work through.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Routes, Shared, at, enter};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::catalogue::QUEUES;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::Parameters;
use crate::jsm::paging::push;
use crate::jsm::platform::view::{Fields, Issue, Text};

pub(super) fn routes() -> Routes {
    at("/servicedesk/{desk}/queue", get(list))
        .merge(at("/servicedesk/{desk}/queue/{queue}", get(one)))
        .merge(at("/servicedesk/{desk}/queue/{queue}/issue", get(issues)))
}

/// What a queue shows of each issue.
const COLUMNS: [&str; 8] =
    ["issuetype", "issuekey", "summary", "reporter", "assignee", "status", "created", "priority"];

type Queue = (&'static str, usize, &'static str, &'static str);

fn known(desk: &str, id: &str) -> Result<&'static Queue, Denial> {
    let at = usize::from(enter(desk)?);
    let found = QUEUES.iter().find(|(queue, of, ..)| *queue == id && *of == at);
    found.ok_or_else(|| Denial::missing(format!("There is no queue '{id}' at this service desk.")))
}

fn shown(site: &Site, caller: Caller, queue: &Queue, with_count: bool) -> Result<Value, Denial> {
    let (id, desk, name, jql) = queue;
    let link = format!("{}/rest/servicedeskapi/servicedesk/{}/queue/{id}", site.base, desk + 1);
    let mut shown = json!({ "id": id, "name": name, "jql": jql, "fields": COLUMNS, "_links": { "self": link } });
    if let (true, Some(fields)) = (with_count, shown.as_object_mut()) {
        let count = site.search(&site.read(), jql, caller)?.len();
        fields.insert("issueCount".to_owned(), json!(count));
    }
    Ok(shown)
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let (site, at) = (&sandbox.jsm, usize::from(enter(&desk)?));
    let with_count = query.flag("includeCount") == Some(true);
    let of_desk = QUEUES.iter().filter(|(_, desk, ..)| *desk == at);
    let all: Vec<_> = of_desk.map(|queue| shown(site, caller, queue, with_count)).collect::<Result<_, _>>()?;
    Ok(site.page(&uri, &query)?.answer(&all, |queue, out| push(out, queue)))
}

async fn one(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((desk, id)): Path<(String, String)>,
    query: Parameters,
) -> Result<Response, Denial> {
    let with_count = query.flag("includeCount") == Some(true);
    Ok(Json(shown(&sandbox.jsm, caller, known(&desk, &id)?, with_count)?).into_response())
}

async fn issues(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((desk, id)): Path<(String, String)>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let (.., jql) = known(&desk, &id)?;
    let memory = site.read();
    let found = site.search(&memory, jql, caller)?;
    let fields = Fields::named(&COLUMNS);
    let page = site.page(&uri, &query)?;
    Ok(page.answer(&found, |position, out| match memory.at(*position) {
        Some(issue) => push(out, &Issue { site, memory: &memory, issue: &issue, fields: &fields, text: Text::Plain }),
        None => push(out, &Value::Null),
    }))
}
