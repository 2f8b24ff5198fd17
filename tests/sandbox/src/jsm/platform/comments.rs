//! Comments on issues.

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::view::{self, Text};
use super::{Routes, Shared};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::{Comment, Issue};
use crate::jsm::memory::Effect;
use crate::jsm::paging::Window;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/issue/{key}/comment", get(list).post(create))
        .at("/issue/{key}/comment/{id}", get(one).put(change).delete(delete))
}

#[derive(Debug, Deserialize)]
struct NewComment {
    #[serde(default)]
    body: Value,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Debug, Deserialize)]
struct Property {
    key: String,
    value: Value,
}

impl NewComment {
    fn text(&self, text: Text) -> Result<String, Denial> {
        let wrong = || {
            Denial::bad(if text == Text::Plain {
                "Comment body can not be empty!"
            } else {
                "Comment body is not valid!"
            })
        };
        text.take(&self.body).filter(|body| !body.trim().is_empty()).ok_or_else(wrong)
    }

    /// The service desk keeps a comment from customers by a property.
    fn is_internal(&self) -> bool {
        let says = |property: &Property| {
            property.key == "sd.public.comment" && property.value.get("internal") == Some(&Value::Bool(true))
        };
        self.properties.iter().any(says)
    }
}

/// Reads the issue of a key.
pub(super) fn look<T>(site: &Site, key: &str, caller: Caller, read: impl FnOnce(&Issue) -> T) -> Result<T, Denial> {
    let memory = site.read();
    let position = site.find(&memory, key, caller)?;
    let issue = memory.at(position).ok_or_else(|| Denial::missing("Issue does not exist."))?;
    Ok(read(&issue))
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let (id, mut all) = look(site, &key, caller, |issue| (issue.id, issue.comments.clone()))?;
    if query.get("orderBy") == Some("-created") {
        all.reverse();
    }
    let window = Window::platform(&query, 100, 5_000)?;
    let memory = site.read();
    let part: Vec<_> = window.of(&all).iter().map(|one| view::comment(site, &memory, id, one, text)).collect();
    Ok(Json(json!({ "startAt": window.start, "maxResults": window.limit, "total": all.len(), "comments": part })))
}

fn known(site: &Site, key: &str, id: &str, caller: Caller) -> Result<(u64, Comment), Denial> {
    let find = |issue: &Issue| {
        let comment = issue.comments.iter().find(|comment| comment.id.to_string() == id).cloned()?;
        Some((issue.id, comment))
    };
    look(site, key, caller, find)?.ok_or_else(|| Denial::missing(format!("Can not find a comment for the id: {id}.")))
}

async fn one(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path((key, id)): Path<(String, String)>,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let (issue, comment) = known(site, &key, &id, caller)?;
    Ok(Json(view::comment(site, &site.read(), issue, &comment, text)))
}

async fn create(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path(key): Path<String>,
    Body(wanted): Body<NewComment>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let (body, public) = (wanted.text(text)?, !wanted.is_internal());
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let id = memory.fresh_id();
    let (issue, comment) = memory.change(position, Effect::Commented, |issue, at| {
        let (author, body, attachments) = (caller.person, Cow::Owned(body), Vec::new());
        let comment = Comment { id, author, body, public, created: at, updated: at, attachments };
        issue.comments.push(comment.clone());
        (issue.id, comment)
    })?;
    Ok((StatusCode::CREATED, Json(view::comment(site, &memory, issue, &comment, text))).into_response())
}

async fn change(
    State(sandbox): Shared,
    Agent(caller): Agent,
    text: Text,
    Path((key, id)): Path<(String, String)>,
    Body(wanted): Body<NewComment>,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let body = wanted.text(text)?;
    known(site, &key, &id, caller)?;
    {
        let mut memory = site.write();
        let position = site.find(&memory, &key, caller)?;
        memory.change(position, Effect::Edited, |issue, at| {
            for comment in issue.comments.iter_mut().filter(|comment| comment.id.to_string() == id) {
                (comment.body, comment.updated) = (Cow::Owned(body.clone()), at);
            }
        })?;
    }
    let (issue, comment) = known(site, &key, &id, caller)?;
    Ok(Json(view::comment(site, &site.read(), issue, &comment, text)))
}

async fn delete(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path((key, id)): Path<(String, String)>,
) -> Result<StatusCode, Denial> {
    let site = &sandbox.jsm;
    known(site, &key, &id, caller)?;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    memory.change(position, Effect::Edited, |issue, _| {
        issue.comments.retain(|comment| comment.id.to_string() != id);
    })?;
    Ok(StatusCode::NO_CONTENT)
}
