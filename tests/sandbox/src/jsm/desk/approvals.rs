//! Approvals: a request of some types waits for somebody's decision.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Routes, Shared, at, view};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::date::{DeskDate, Millis};
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Approval;
use crate::jsm::memory::Effect;
use crate::jsm::paging::push;
use crate::jsm::people::AGENT;

pub(super) fn routes() -> Routes {
    at("/request/{key}/approval", get(list)).merge(at("/request/{key}/approval/{approval}", get(one).post(decide)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    decision: Decision,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Approve,
    Decline,
}

async fn list(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let all: Vec<_> = site
        .look(&key, caller, |issue| issue.approval.clone().map(|it| (issue.id, issue.created, it)))?
        .into_iter()
        .collect();
    let page = site.page(&uri, &query)?;
    Ok(page.answer(&all, |(issue, at, approval), out| push(out, &shown(site, caller, *issue, *at, approval))))
}

async fn one(
    State(sandbox): Shared,
    caller: Caller,
    Path((key, id)): Path<(String, String)>,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let found = site.look(&key, caller, |issue| {
        let approval = issue.approval.clone().filter(|approval| approval.id.to_string() == id)?;
        Some((issue.id, issue.created, approval))
    })?;
    let (issue, at, approval) = found.ok_or_else(|| Denial::missing(format!("There is no approval '{id}'.")))?;
    Ok(Json(shown(site, caller, issue, at, &approval)))
}

async fn decide(
    state: Shared,
    Agent(caller): Agent,
    Path((key, id)): Path<(String, String)>,
    Body(answer): Body<Answer>,
) -> Result<Json<Value>, Denial> {
    // Whatever cannot be seen cannot be decided.
    drop(one(state.clone(), caller, Path((key.clone(), id.clone()))).await?);
    let decision = match answer.decision {
        Decision::Approve => "approved",
        Decision::Decline => "declined",
    };
    let site = &state.0.jsm;
    {
        let mut memory = site.write();
        let position = site.find(&memory, &key, caller)?;
        let first = memory.change(position, Effect::Decided, |issue, at| {
            let open = issue.approval.as_mut().filter(|approval| approval.decision.is_none());
            open.map(|approval| approval.decision = Some((decision, at))).is_some()
        })?;
        if !first {
            return Err(Denial::bad("This approval has been answered already."));
        }
    }
    one(state, caller, Path((key, id))).await
}

fn shown(site: &Site, caller: Caller, issue: u64, created: Millis, approval: &Approval) -> Value {
    let decision = approval.decision.map_or("pending", |(decision, _)| decision);
    let memory = site.read();
    let mut shown = json!({
        "id": approval.id.to_string(),
        "name": "Waiting for approval",
        "finalDecision": decision,
        "canAnswerApproval": caller.is_agent() && approval.decision.is_none(),
        "approvers": [{ "approver": view::person(&memory, AGENT), "approverDecision": decision }],
        "createdDate": DeskDate::from(created),
        "_links": { "self": format!("{}/rest/servicedeskapi/request/{issue}/approval/{}", site.base, approval.id) },
    });
    if let (Some((_, at)), Some(fields)) = (approval.decision, shown.as_object_mut()) {
        fields.insert("completedDate".to_owned(), json!(DeskDate::from(at)));
    }
    shown
}
