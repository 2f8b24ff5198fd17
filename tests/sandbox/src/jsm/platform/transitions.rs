//! Steps of the workflow, as agents take them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::comments::look;
use super::issues::Update;
use super::{DONE, Routes, Shared};
use crate::jsm::catalogue;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::memory::Effect;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/issue/{key}/transitions", get(list).post(step))
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let status = look(site, &key, caller, |issue| issue.status)?;
    let wanted = query.get("transitionId");
    let steps = catalogue::transitions(status).filter(|(id, ..)| wanted.is_none_or(|wanted| wanted == *id));
    let shown = steps.map(|(id, name, to)| {
        json!({
            "id": id,
            "name": name,
            "to": site.rendered.statuses.get(usize::from(*to)),
            "hasScreen": false,
            "isGlobal": false,
            "isInitial": false,
            "isAvailable": true,
            "isConditional": false,
        })
    });
    Ok(Json(json!({ "expand": "transitions", "transitions": shown.collect::<Vec<_>>() })))
}

async fn step(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path(key): Path<String>,
    Body(wanted): Body<Update>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let status = look(site, &key, caller, |issue| issue.status)?;
    let id = wanted.transition.as_ref().and_then(|transition| transition.get("id")).and_then(Value::as_str);
    let known = id.and_then(|id| catalogue::transitions(status).find(|(known, ..)| *known == id));
    let (.., target) = known.ok_or_else(|| {
        Denial::bad("It seems that you have tried to perform an illegal workflow operation: the transition is not valid for this issue.")
    })?;
    let mut memory = site.write();
    let position = site.find(&memory, &key, caller)?;
    memory.change(position, Effect::Transitioned, |issue, at| issue.step(*target, at))?;
    Ok(DONE.into_response())
}
