//! Service level agreements of a request: cycles that ended, and the one that goes on.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Routes, Shared, at};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::catalogue::AGREEMENTS;
use crate::jsm::date::{DeskDate, Millis, now, span};
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::Parameters;
use crate::jsm::issue::Issue;
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/request/{key}/sla", get(list)).merge(at("/request/{key}/sla/{metric}", get(one)))
}

/// All agreements of a request.
pub(super) fn all(site: &Site, issue: &Issue) -> Vec<Value> {
    AGREEMENTS.iter().map(|(id, name, goal)| agreement(site, issue, id, name, *goal)).collect()
}

fn agreement(site: &Site, issue: &Issue, id: &str, name: &str, goal: Millis) -> Value {
    // The first response is the first step of the workflow; the resolution is the last.
    let ended = if id == "1" { issue.history.first().map(|(_, at)| *at) } else { issue.resolved() };
    let spent = ended.unwrap_or_else(now) - issue.created;
    let mut cycle = json!({
        "startTime": DeskDate::from(issue.created),
        "breached": spent > goal,
        "goalDuration": span(goal),
        "elapsedTime": span(spent),
        "remainingTime": span(goal - spent),
    });
    let link = format!("{}/rest/servicedeskapi/request/{}/sla/{id}", site.base, issue.id);
    let mut shown = json!({ "id": id, "name": name, "completedCycles": [], "_links": { "self": link } });
    let (Some(cycle_fields), Some(fields)) = (cycle.as_object_mut(), shown.as_object_mut()) else { return shown };
    if let Some(at) = ended {
        cycle_fields.insert("stopTime".to_owned(), json!(DeskDate::from(at)));
        fields.insert("completedCycles".to_owned(), json!([cycle]));
    } else {
        cycle_fields.insert("breachTime".to_owned(), json!(DeskDate::from(issue.created + goal)));
        cycle_fields.insert("paused".to_owned(), json!(false));
        cycle_fields.insert("withinCalendarHours".to_owned(), json!(true));
        fields.insert("ongoingCycle".to_owned(), cycle);
    }
    shown
}

async fn list(
    State(sandbox): Shared,
    Agent(caller): Agent,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let all = site.look(&key, caller, |issue| all(site, issue))?;
    Ok(site.page(&uri, &query)?.answer(&all, |one, out| push(out, one)))
}

async fn one(
    State(sandbox): Shared,
    caller: Caller,
    Path((key, metric)): Path<(String, String)>,
) -> Result<Json<Value>, Denial> {
    let site = &sandbox.jsm;
    let known = AGREEMENTS.iter().find(|(id, ..)| *id == metric);
    let (id, name, goal) = known.ok_or_else(|| Denial::missing(format!("There is no SLA metric '{metric}'.")))?;
    site.look(&key, caller, |issue| agreement(site, issue, id, name, *goal)).map(Json)
}
