//! Files on requests, in two steps: upload to the desk, then attach to the request.

use std::borrow::Cow;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::status::Additional;
use super::{Routes, Shared, at, enter, view};
use crate::jsm::access::Caller;
use crate::jsm::date::now;
use crate::jsm::denial::Denial;
use crate::jsm::input::{Body, Parameters, uploads};
use crate::jsm::issue::Comment;
use crate::jsm::memory::{Effect, File};
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/servicedesk/{desk}/attachTemporaryFile", post(upload))
        .merge(at("/request/{key}/attachment", get(list).post(attach)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Attach {
    #[serde(default)]
    temporary_attachment_ids: Vec<String>,
    #[serde(default)]
    public: bool,
    additional_comment: Option<Additional>,
}

async fn upload(
    State(sandbox): Shared,
    caller: Caller,
    Path(desk): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Denial> {
    enter(&desk)?;
    let files = uploads(&headers, &body)?;
    let mut memory = sandbox.jsm.write();
    let mut kept: Vec<Value> = Vec::new();
    for file in files {
        let (id, temporary) = (memory.fresh_id(), format!("temp{}", uuid::Uuid::new_v4()));
        kept.push(json!({ "temporaryAttachmentId": temporary, "fileName": file.name }));
        memory.keep(File {
            id,
            name: file.name,
            media_type: file.media_type,
            bytes: file.bytes,
            author: caller.person,
            created: now(),
            temporary: Some(temporary),
        })?;
    }
    if kept.is_empty() {
        return Err(Denial::bad("send multipart/form-data with a part named file"));
    }
    Ok((StatusCode::CREATED, Json(json!({ "temporaryAttachments": kept }))).into_response())
}

async fn list(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let ids = site.look(&key, caller, |issue| issue.attachments.clone())?;
    let memory = site.read();
    let files: Vec<_> = ids.iter().filter_map(|id| memory.file(*id)).collect();
    Ok(site.page(&uri, &query)?.answer(&files, |file, out| push(out, &view::attachment(site, &memory, file))))
}

async fn attach(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    Body(wanted): Body<Attach>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    site.look(&key, caller, |_| ())?;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    let claim =
        |id: &String| memory.claim(id).ok_or_else(|| Denial::bad(format!("There is no temporary attachment '{id}'.")));
    let ids: Vec<u64> = wanted.temporary_attachment_ids.iter().map(claim).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Err(Denial::bad("name at least one temporary attachment"));
    }
    let id = memory.fresh_id();
    let body = wanted.additional_comment.map_or(Cow::Borrowed("Attachment added."), |comment| Cow::Owned(comment.body));
    let (issue, comment) = memory.change(position, Effect::Attached, |issue, at| {
        let (author, public, attachments) = (caller.person, wanted.public, ids.clone());
        let comment = Comment { id, author, body, public, created: at, updated: at, attachments };
        issue.attachments.extend_from_slice(&ids);
        issue.comments.push(comment.clone());
        (issue.clone(), comment)
    })?;
    let files: Vec<_> = ids.iter().filter_map(|id| memory.file(*id)).collect();
    let files: Vec<_> = files.into_iter().map(|file| view::attachment(site, &memory, file)).collect();
    let none = Parameters::default();
    let attachments = site.page(&uri, &none)?.tree(&files);
    let comment = view::comment(site, &memory, &issue, &comment, &[]);
    Ok((StatusCode::CREATED, Json(json!({ "comment": comment, "attachments": attachments }))).into_response())
}
