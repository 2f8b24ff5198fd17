//! Agents and the tokens that admit them.

mod stock;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{digest::Digest, id::AgentId, name::Name};
use wherry_trust::sealing::invite::Invite;

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named, Query},
    pages::{self, List, rfc3339},
    problem::Problem,
};
use crate::engine::{AgentView, Page};

/// A token that the caller has made: the controller learns its hash alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEnrolmentToken {
    token_id: String,
    /// `sha256:` and 64 hex digits.
    #[schema(value_type = String)]
    auth_hash: Digest,
    /// Its life, at most a day.
    expires_in_s: u64,
    /// The operator's invitation to the group's keys, made with the token. Without it the agent gets no secrets.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    invite: Option<Invite>,
}

/// A registered token.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentToken {
    token_id: String,
    group: String,
    expires_at: String,
    /// Where agents enrol.
    agent_endpoint: String,
}

/// An agent.
#[derive(Serialize, ToSchema)]
pub(super) struct Agent {
    id: String,
    name: String,
    group: String,
    /// `awaiting`, `live`, `suspect`, `lost` or `locked`.
    state: &'static str,
    draining: bool,
    /// Why it is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<String>,
    version: String,
    slots: u32,
    running: usize,
    enrolled_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<String>,
    certificate_expires_at: String,
    secret_names: Vec<String>,
    /// Digests of the components on its disk.
    connectors: Vec<String>,
    /// The same with names and versions. Only where one agent is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<stock::Component>,
    /// Whether it has its group's keys: `none`, `pending_keys`, `member` or `removed`.
    keys: &'static str,
    /// Why it does not follow its group's roster, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_trouble: Option<KeysTrouble>,
    /// What it has of the connectors it should have, for each environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stock: Vec<stock::Stock>,
    /// Why it did not take over the newest locks, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_trouble: Option<stock::Trouble>,
    /// Walls around the code of connectors that its system does not give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_walls: Vec<String>,
    /// That its owner has a policy of his own, if he has.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_policy: Option<stock::OwnerPolicy>,
}

/// Why an agent does not follow its group's roster.
#[derive(Serialize, ToSchema)]
pub(super) struct KeysTrouble {
    /// Stable code, such as `roster.forked`.
    code: String,
    message: String,
}

impl From<AgentView> for Agent {
    fn from(view: AgentView) -> Self {
        let AgentView { agent, group, state, slots, running, keys, keys_trouble, stock } = view;
        let owner_policy = stock.as_ref().and_then(stock::owner_policy);
        let inventory = stock.as_ref().and_then(|view| view.inventory.as_ref());
        let missing_walls = inventory.map(|inventory| inventory.walls.clone()).unwrap_or_default();
        let (stock, stock_trouble) = stock.map(stock::shown).unwrap_or_default();
        Self {
            id: agent.id.to_string(),
            name: agent.name.to_string(),
            group,
            state,
            draining: agent.draining,
            locked: agent.locked,
            version: agent.version,
            slots,
            running,
            enrolled_at: rfc3339(agent.enrolled_ms),
            last_seen_at: (agent.seen_ms > 0).then(|| rfc3339(agent.seen_ms)),
            certificate_expires_at: rfc3339(agent.certificate_ends_ms),
            secret_names: agent.secret_names,
            connectors: agent.connectors.iter().map(ToString::to_string).collect(),
            components: Vec::new(),
            keys,
            keys_trouble: keys_trouble
                .map(|trouble| KeysTrouble { code: trouble.code.to_string(), message: trouble.message }),
            stock,
            stock_trouble,
            missing_walls,
            owner_policy,
        }
    }
}

/// Which agents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only those of this group.
    group: Option<String>,
    /// Items in a part, 1 to 200.
    limit: Option<usize>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
}

/// Why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// For the audit and for people, at most 200 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Registers an enrolment token.
#[utoipa::path(post, path = "/v1/groups/{group}/enrolment-tokens", params(("group" = String, Path)),
    request_body = NewEnrolmentToken, responses((status = 201, body = EnrolmentToken)))]
pub(super) async fn enrolment_token(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(group): Named<Name>,
    Body(new): Body<NewEnrolmentToken>,
) -> Result<(StatusCode, Json<EnrolmentToken>), Problem> {
    if new.token_id.is_empty() || new.token_id.len() > 64 || !new.token_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Problem::invalid("request.invalid", "token_id is 1 to 64 letters and digits"));
    }
    let NewEnrolmentToken { token_id, auth_hash, expires_in_s, invite } = new;
    let token = web
        .ledger
        .create_enrolment_token(caller.name, group.clone(), token_id, auth_hash, expires_in_s, invite)
        .await?;
    let made = EnrolmentToken {
        token_id: token.id,
        group: group.to_string(),
        expires_at: rfc3339(token.expires_ms),
        agent_endpoint: web.agent_endpoint.to_string(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Agents.
#[utoipa::path(get, path = "/v1/agents", params(Which), responses((status = 200, body = List<Agent>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Query(which): Query<Which>,
) -> Result<Json<List<Agent>>, Problem> {
    let (limit, after) = pages::read(which.limit, which.cursor.as_deref())?;
    let Page { items, next } = web.ledger.list_agents(which.group, after, limit).await?;
    let mut items: Vec<Agent> = items.into_iter().map(Agent::from).collect();
    // Of very many agents, who asks for one is told what it should have.
    items.iter_mut().flat_map(|agent| &mut agent.stock).for_each(stock::Stock::shorten);
    Ok(Json(List { items, next_cursor: next.map(|agent: AgentId| agent.to_string()) }))
}

/// An agent, by id or name.
#[utoipa::path(get, path = "/v1/agents/{agent}", params(("agent" = String, Path)), responses((status = 200, body = Agent)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named(agent): Named<String>,
) -> Result<Json<Agent>, Problem> {
    let view = web.ledger.agent(agent).await?;
    let on_disk = view.agent.connectors.clone();
    let known = web.ledger.components(on_disk.iter().copied().collect()).await?;
    Ok(Json(Agent { components: stock::components(&on_disk, &known), ..view.into() }))
}

/// Removes an agent for good.
#[utoipa::path(delete, path = "/v1/agents/{agent}", params(("agent" = String, Path)),
    responses((status = 204), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(agent): Named<String>,
) -> Result<StatusCode, Problem> {
    web.ledger.remove_agent(caller.name, agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the agent no new work.
#[utoipa::path(post, path = "/v1/agents/{agent}/drain", params(("agent" = String, Path)), responses((status = 200, body = Agent)))]
pub(super) async fn drain(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(agent): Named<String>,
) -> Result<Json<Agent>, Problem> {
    Ok(Json(web.ledger.drain(caller.name, agent, true).await?.into()))
}

/// Gives the agent work again.
#[utoipa::path(post, path = "/v1/agents/{agent}/resume", params(("agent" = String, Path)), responses((status = 200, body = Agent)))]
pub(super) async fn resume(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(agent): Named<String>,
) -> Result<Json<Agent>, Problem> {
    Ok(Json(web.ledger.drain(caller.name, agent, false).await?.into()))
}

/// Locks the agent out, at once.
#[utoipa::path(post, path = "/v1/agents/{agent}/lock", params(("agent" = String, Path)), request_body = Why,
    responses((status = 200, body = Agent)))]
pub(super) async fn lock(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(agent): Named<String>,
    Body(why): Body<Why>,
) -> Result<Json<Agent>, Problem> {
    let reason = why.reason.unwrap_or_else(|| format!("by {}", caller.name));
    let reason = reason.chars().filter(|c| !c.is_control()).take(200).collect();
    Ok(Json(web.ledger.lock(caller.name, agent, Some(reason)).await?.into()))
}

/// Lets a locked agent in again.
#[utoipa::path(post, path = "/v1/agents/{agent}/unlock", params(("agent" = String, Path)), responses((status = 200, body = Agent)))]
pub(super) async fn unlock(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(agent): Named<String>,
) -> Result<Json<Agent>, Problem> {
    Ok(Json(web.ledger.lock(caller.name, agent, None).await?.into()))
}
