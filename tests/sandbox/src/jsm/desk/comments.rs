//! Comments on requests: public ones, and internal ones that only agents see.

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{Routes, Shared, at, view};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::gate::OptedIn;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Comment;
use crate::jsm::memory::Effect;
use crate::jsm::paging::push;

/// Longest comment, as in Jira.
const TEXT_LIMIT: usize = 32_767;

pub(super) fn routes() -> Routes {
    at("/request/{key}/comment", get(list).post(create))
        .merge(at("/request/{key}/comment/{comment}", get(one)))
        .merge(at("/request/{key}/comment/{comment}/attachment", get(attachments)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewComment {
    #[serde(default)]
    body: String,
    #[serde(default = "yes")]
    public: bool,
}

const fn yes() -> bool {
    true
}

async fn list(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let issue = site.look(&key, caller, Clone::clone)?;
    let (public, internal) = (query.flag("public") != Some(false), query.flag("internal") != Some(false));
    let wanted = |comment: &&Comment| {
        if comment.public { public } else { internal && caller.is_agent() }
    };
    let found: Vec<_> = issue.comments.iter().filter(wanted).collect();
    let expand = query.list("expand");
    let memory = site.read();
    let page = site.page(&uri, &query)?;
    Ok(page.answer(&found, |comment, out| push(out, &view::comment(site, &memory, &issue, comment, &expand))))
}

/// The comment of an id, if the caller may see it.
fn known(site: &Site, key: &str, id: &str, caller: Caller) -> Result<(crate::jsm::issue::Issue, Comment), Denial> {
    let issue = site.look(key, caller, Clone::clone)?;
    let fits = |comment: &&Comment| comment.id.to_string() == id && (comment.public || caller.is_agent());
    let comment = issue.comments.iter().find(fits).cloned();
    let comment = comment.ok_or_else(|| Denial::missing(format!("There is no comment with the id '{id}'.")))?;
    Ok((issue, comment))
}

async fn one(
    State(sandbox): Shared,
    caller: Caller,
    Path((key, id)): Path<(String, String)>,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let (issue, comment) = known(site, &key, &id, caller)?;
    let shown = view::comment(site, &site.read(), &issue, &comment, &query.list("expand"));
    Ok(Json(shown).into_response())
}

async fn create(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    Body(wanted): Body<NewComment>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    site.look(&key, caller, |_| ())?;
    let body = checked(wanted.body)?;
    if !wanted.public && !caller.is_agent() {
        return Err(Denial::forbidden("You do not have permission to add internal comments."));
    }
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let id = memory.fresh_id();
    let (public, author) = (wanted.public, caller.person);
    let (issue, comment) = memory.change(position, Effect::Commented, |issue, at| {
        let (body, attachments) = (Cow::Owned(body), Vec::new());
        let comment = Comment { id, author, body, public, created: at, updated: at, attachments };
        issue.comments.push(comment.clone());
        (issue.clone(), comment)
    })?;
    let shown = view::comment(site, &memory, &issue, &comment, &[]);
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// A text that a comment may have.
pub(super) fn checked(body: String) -> Result<String, Denial> {
    if body.trim().is_empty() {
        return Err(Denial::bad("Comment body can not be empty!"));
    }
    if body.chars().count() > TEXT_LIMIT {
        return Err(Denial::bad(format!(
            "The entered text is too long. It exceeds the allowed limit of {TEXT_LIMIT} characters."
        )));
    }
    Ok(body)
}

async fn attachments(
    State(sandbox): Shared,
    caller: Caller,
    _: OptedIn,
    Path((key, id)): Path<(String, String)>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let (_, comment) = known(site, &key, &id, caller)?;
    let memory = site.read();
    let files: Vec<_> = comment.attachments.iter().filter_map(|id| memory.file(*id)).collect();
    Ok(site.page(&uri, &query)?.answer(&files, |file, out| push(out, &view::attachment(site, &memory, file))))
}
