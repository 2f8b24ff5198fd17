//! Statuses that a request has had, and the steps that lead to the next one.

use std::borrow::Cow;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::{Routes, Shared, at, comments, view};
use crate::jsm::access::Caller;
use crate::jsm::catalogue;
use crate::jsm::denial::Denial;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Comment;
use crate::jsm::memory::Effect;
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/request/{key}/status", get(history)).merge(at("/request/{key}/transition", get(steps).post(step)))
}

/// A step that is to be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Step {
    #[serde(default)]
    id: String,
    additional_comment: Option<Additional>,
}

/// A comment that comes with something else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Additional {
    pub(super) body: String,
}

async fn history(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let all = sandbox.jsm.look(&key, caller, view::statuses)?;
    Ok(sandbox.jsm.page(&uri, &query)?.answer(&all, |one, out| push(out, one)))
}

async fn steps(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let status = sandbox.jsm.look(&key, caller, |issue| issue.status)?;
    let all: Vec<_> = catalogue::transitions(status).collect();
    let page = sandbox.jsm.page(&uri, &query)?;
    Ok(page.answer(&all, |(id, name, _), out| push(out, &json!({ "id": id, "name": name }))))
}

async fn step(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    Body(wanted): Body<Step>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let status = site.look(&key, caller, |issue| issue.status)?;
    let known = catalogue::transitions(status).find(|(id, ..)| *id == wanted.id);
    let (.., target) = known
        .ok_or_else(|| Denial::bad(format!("The transition '{}' is not available for this request.", wanted.id)))?;
    let body = wanted.additional_comment.map(|comment| comments::checked(comment.body)).transpose()?;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let id = memory.fresh_id();
    memory.change(position, Effect::Transitioned, |issue, at| {
        issue.step(*target, at);
        if let Some(body) = body {
            let (author, body) = (caller.person, Cow::Owned(body));
            issue.comments.push(Comment {
                id,
                author,
                body,
                public: true,
                created: at,
                updated: at,
                attachments: Vec::new(),
            });
        }
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
