//! Rosters of groups: who has a group's keys. Readers verify them; this side only keeps them.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use wherry_domain::name::Name;

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named, Query},
    pages::List,
    problem::Problem,
};
use crate::engine::RosterView;

/// Entries in a part: 200 of at most 4 KiB.
const PART: usize = 200;
/// Wrapped keys that come with one entry: one for each epoch that is in use.
const MAX_WRAPS: usize = 1_000;

/// A part of a group's roster.
#[derive(Serialize, ToSchema)]
pub(super) struct Roster {
    organisation: String,
    group_id: String,
    group: String,
    /// How many entries there are; 0 if the group has no keys yet.
    n: u64,
    /// Entries as they were signed, in order.
    entries: Vec<String>,
}

impl From<RosterView> for Roster {
    fn from(view: RosterView) -> Self {
        let RosterView { organisation, group, group_name, n, entries } = view;
        let (organisation, group_id) = (organisation.to_string(), group.to_string());
        Self { organisation, group_id, group: group_name.to_string(), n, entries }
    }
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// Those after this one; all, if absent. At most 200 come at once.
    #[serde(default)]
    after: u64,
}

/// An entry to append.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEntry {
    /// The entry as an operator signed it; it names the one that it follows.
    entry: String,
    /// Keys wrapped to those whom it admits.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    wraps: Vec<Box<RawValue>>,
}

/// To whom.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipient {
    /// `x25519:` and base64url.
    recipient: String,
}

/// An agent that waits to be admitted to its group's keys.
#[derive(Serialize, ToSchema)]
pub(super) struct PendingJoin {
    agent: String,
    name: String,
    /// The operator's invitation.
    invite: String,
    /// The agent's keys, with its proof.
    join: String,
}

/// A group's roster.
#[utoipa::path(get, path = "/v1/groups/{group}/roster", params(("group" = String, Path), After),
    responses((status = 200, body = Roster)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named(group): Named<Name>,
    Query(After { after }): Query<After>,
) -> Result<Json<Roster>, Problem> {
    Ok(Json(web.ledger.roster(group, after, PART).await?.into()))
}

/// Appends what an operator signed.
#[utoipa::path(post, path = "/v1/groups/{group}/roster", params(("group" = String, Path)), request_body = NewEntry,
    responses((status = 201, body = Roster), (status = 409, body = Problem)))]
pub(super) async fn append(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(group): Named<Name>,
    Body(new): Body<NewEntry>,
) -> Result<(StatusCode, Json<Roster>), Problem> {
    if new.wraps.len() > MAX_WRAPS {
        return Err(Problem::invalid("request.invalid", format!("at most {MAX_WRAPS} wraps come with an entry")));
    }
    let wraps = new.wraps.iter().map(|wrap| wrap.get().as_bytes().to_vec()).collect();
    let view = web.ledger.append_roster(caller.name, group, new.entry.into_bytes(), wraps).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// Forgets a group's roster, keys and secrets for good, so that its next agent founds it anew.
#[utoipa::path(delete, path = "/v1/groups/{group}/roster", params(("group" = String, Path)),
    responses((status = 204)))]
pub(super) async fn reset(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(group): Named<Name>,
) -> Result<StatusCode, Problem> {
    web.ledger.reset_roster(caller.name, group).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keys of a group wrapped to one recipient, for recovery.
#[utoipa::path(get, path = "/v1/groups/{group}/wraps", params(("group" = String, Path), Recipient),
    responses((status = 200, body = List<String>)))]
pub(super) async fn wraps(
    State(web): State<Web>,
    _caller: Admin,
    Named(group): Named<Name>,
    Query(Recipient { recipient }): Query<Recipient>,
) -> Result<Json<List<String>>, Problem> {
    Ok(Json(List::whole(web.ledger.wraps(group, recipient).await?)))
}

/// Agents that wait to be admitted to a group's keys, for recovery.
#[utoipa::path(get, path = "/v1/groups/{group}/joins", params(("group" = String, Path)),
    responses((status = 200, body = List<PendingJoin>)))]
pub(super) async fn joins(
    State(web): State<Web>,
    _caller: Admin,
    Named(group): Named<Name>,
) -> Result<Json<List<PendingJoin>>, Problem> {
    let all = web.ledger.pending_joins(group).await?.into_iter();
    let view = |(agent, name, invite, join): (wherry_domain::id::AgentId, Name, String, String)| PendingJoin {
        agent: agent.to_string(),
        name: name.to_string(),
        invite,
        join,
    };
    Ok(Json(List::whole(all.map(view).collect())))
}
