//! The catalogue of connectors.

use axum::{
    Json,
    extract::{FromRequest, Request, State},
    http::StatusCode,
};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use wherry_domain::name::Name;

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Named, unread},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::{
    engine::{Differing, Placement},
    model,
};

/// Content type of a package.
const PACKAGE: &str = "application/vnd.wherry.connector";
/// Largest package: a component of 32 MiB, its envelope and its descriptor, a quarter of a megabyte each.
pub(super) const MAX_PACKAGE: usize = (32 << 20) + (512 << 10);

/// One version of a connector.
#[derive(Serialize, ToSchema)]
pub(super) struct Connector {
    name: String,
    version: String,
    digest: String,
    length: u64,
    publisher: String,
    published_at: String,
    /// Since when no agent runs it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// Whether it is revoked with the key that signed it, and not by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    key_revoked: bool,
    #[schema(value_type = Vec<Object>)]
    activities: Vec<wherry_trust::release::Activity>,
    /// The environments whose locks name this version. Only where the versions of one connector are listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<Placed>,
    /// Whether it was published before, so that this time changed nothing: what the release says, such as its notes, is
    /// what it said then. Only where one is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
}

/// A version of a connector in an environment.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectorPlacement)]
pub(super) struct Placed {
    environment: String,
    /// Whether only a share of the attempts runs on it.
    on_trial: bool,
    /// Whether only an operator's key moves the lock of the environment.
    held: bool,
    /// Agents with a session.
    agents: usize,
    /// Enrolled agents without one: nobody knows yet what they have ready.
    agents_away: usize,
    /// Agents with a session that have it ready.
    ready: usize,
    /// Those that will not have it as things stand.
    refused: Vec<RefusedBy>,
    /// Each agent of the environment that does not run it, with what it has and why; at most a hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differing: Vec<DiffersBy>,
}

/// An agent that does not run the version that its environment wants.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectorDifference)]
pub(super) struct DiffersBy {
    /// Its name.
    agent: String,
    /// The version that it runs, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    has: Option<String>,
    /// `away`, `no_locks` (an old agent), `behind` (it follows another lock), `preparing`, `refused` or `quarantined`.
    state: &'static str,
    /// Why: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The same in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<Differing> for DiffersBy {
    fn from(Differing { agent, has, state, why }: Differing) -> Self {
        let (code, message) = why.map(|(code, message)| (code.to_string(), message)).unzip();
        let has = has.map(|version| version.to_string());
        Self { agent: agent.to_string(), has, state, code, message }
    }
}

/// An agent that will not run a version as things stand.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectorRefusal)]
pub(super) struct RefusedBy {
    agent: String,
    /// Stable code.
    code: String,
    message: String,
}

impl From<Placement> for Placed {
    fn from(Placement { environment, on_trial, held, readiness, differing }: Placement) -> Self {
        let refused = readiness.refused.into_iter().map(|(agent, code, message)| RefusedBy {
            agent: agent.to_string(),
            code: code.to_string(),
            message,
        });
        Self {
            environment: environment.to_string(),
            on_trial,
            held,
            agents: readiness.agents,
            agents_away: readiness.away,
            ready: readiness.ready,
            refused: refused.collect(),
            differing: differing.into_iter().map(DiffersBy::from).collect(),
        }
    }
}

impl From<model::Connector> for Connector {
    fn from(connector: model::Connector) -> Self {
        Self {
            name: connector.name.to_string(),
            version: connector.version.to_string(),
            digest: connector.digest.to_string(),
            length: connector.length,
            publisher: connector.publisher,
            published_at: rfc3339(connector.published_ms),
            revoked_at: connector.revoked_ms.map(rfc3339),
            key_revoked: connector.key_revoked,
            activities: connector.activities,
            environments: Vec::new(),
            unchanged: None,
        }
    }
}

/// The newest version of each connector that is not revoked; where all are, the newest one.
#[utoipa::path(get, path = "/v1/connectors", responses((status = 200, body = List<Connector>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Connector>>, Problem> {
    let mut all = web.ledger.connectors(None).await?;
    // What is revoked comes after everything else of its name, and within that the newest first.
    all.sort_by(|one, other| (&one.name, one.revoked_ms.is_some()).cmp(&(&other.name, other.revoked_ms.is_some())));
    all.dedup_by(|next, first| next.name == first.name);
    Ok(Json(List::whole(all.into_iter().map(Connector::from).collect())))
}

/// Every version of a connector, newest first.
#[utoipa::path(get, path = "/v1/connectors/{name}/versions", params(("name" = String, Path)),
    responses((status = 200, body = List<Connector>)))]
pub(super) async fn versions(
    State(web): State<Web>,
    _caller: Reader,
    Named(name): Named<Name>,
) -> Result<Json<List<Connector>>, Problem> {
    let all = web.ledger.connectors(Some(name.clone())).await?;
    if all.is_empty() {
        let message = format!("there is no connector {name}: see wherry connector list");
        return Err(Problem::new(StatusCode::NOT_FOUND, "connector.not_found", message));
    }
    let mut placements = web.ledger.placements(name).await?;
    let versions = all.into_iter().map(|connector| {
        let placed = placements.remove(&connector.digest).unwrap_or_default();
        Connector { environments: placed.into_iter().map(Placed::from).collect(), ..connector.into() }
    });
    Ok(Json(List::whole(versions.collect())))
}

/// Publishes a connector: one line with the signed release, one with its descriptor if the release names one, then
/// the component.
#[utoipa::path(post, path = "/v1/connectors", request_body(content = Vec<u8>, content_type = "application/vnd.wherry.connector"),
    responses((status = 201, body = Connector), (status = 200, description = "known already", body = Connector),
        (status = 422, body = Problem)))]
pub(super) async fn publish(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    request: Request,
) -> Result<(StatusCode, Json<Connector>), Problem> {
    if request.headers().get("content-type").is_none_or(|value| value != PACKAGE) {
        let message = format!("send a package with content-type: {PACKAGE}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.media_type", message));
    }
    let package = Bytes::from_request(request, &web).await.map_err(unread)?;
    let end = package.iter().position(|byte| *byte == b'\n').ok_or_else(|| {
        Problem::invalid(
            "connector.package_malformed",
            "a package is one line with the signed release, one with the descriptor, then the component",
        )
    })?;
    let (envelope, rest) = (package.slice(..end), package.slice(end + 1..));
    let (connector, fresh) = web.ledger.publish(caller.name, envelope.to_vec(), rest.to_vec()).await?;
    let view = Connector { unchanged: (!fresh).then_some(true), ..connector.into() };
    Ok((if fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(view)))
}
