//! Accounts of connections: connected by a person's consent, shown, given back.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{failure::Failure, id::FlowId, name::Name};

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Body, Named, Query},
    pages::rfc3339,
    problem::Problem,
};
use crate::engine::{Connectedness, FlowView, NewFlow};

/// How long the agent may take to prepare the address, or to do another of its parts.
const AGENT_PART: Duration = Duration::from_secs(62);
/// Longest wait for a flow to come to rest, in ms.
const MOST_WAIT: u64 = 60_000;

/// Which connection.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// The project, if the connection's name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
}

/// Which connection, and which flow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// The project, if the connection's name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// A flow to show as well.
    #[param(value_type = Option<String>)]
    flow: Option<FlowId>,
    /// Waits until the flow is no longer in this state, or needs a person, at most 60,000 ms.
    wait_ms: Option<u64>,
    /// The state that the caller knows already.
    seen: Option<String>,
}

/// Which connection, and how.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Leave {
    /// The project, if the connection's name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// Also if the agent that has the tokens is away. They stay valid then until they expire.
    #[serde(default)]
    force: bool,
}

/// A wish to connect an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConsent {
    /// Id or name of the agent that shall own the connection; otherwise one is chosen.
    agent: Option<String>,
}

/// A person's word.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The flow.
    #[schema(value_type = String)]
    flow: FlowId,
    /// Whether it is the right account.
    right: bool,
}

/// A flow.
#[derive(Serialize, ToSchema)]
pub(super) struct Flow {
    flow: String,
    connection: String,
    project: String,
    /// The agent that does it.
    agent: String,
    /// `starting`, `waiting`, `redeeming`, `asking`, `confirming`, `done` or `failed`.
    state: &'static str,
    /// Where the person consents, while that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where the provider sends the person back to; it must know this address.
    redirect_uri: String,
    /// Whether the client has nothing to prove itself with.
    public_client: bool,
    /// The account, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Why nothing came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Failure>,
}

/// What is known of the tokens of a connection.
#[derive(Serialize, ToSchema)]
pub(super) struct Connected {
    connection: String,
    project: String,
    /// `connected`, `not_connected` or `needs_consent`.
    state: &'static str,
    /// The agent that refreshes the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Number of the newest tokens; 0 for none.
    generation: u64,
    /// Whether the other agents of the group can use them.
    shared: bool,
    /// The account, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_by: Option<String>,
    /// What is wrong, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    trouble: Option<Failure>,
    /// The flow that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
}

/// What became of the tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// Whether the provider revoked them.
    revoked: bool,
}

impl From<FlowView> for Flow {
    fn from(view: FlowView) -> Self {
        Self {
            flow: view.flow.to_string(),
            connection: view.path.connection.to_string(),
            project: view.path.project.to_string(),
            agent: view.agent,
            state: view.state,
            url: view.url,
            redirect_uri: view.redirect_uri,
            public_client: view.public_client,
            account: view.label,
            failure: view.failure,
        }
    }
}

fn shown(known: Connectedness, flow: Option<FlowView>) -> Connected {
    let (label, at, by) = known.account.map_or((None, None, None), |account| {
        (Some(account.label), Some(rfc3339(account.connected_ms)), Some(account.connected_by))
    });
    let state = match (&known.trouble, known.generation, known.owner.is_some() || label.is_some()) {
        (Some(trouble), _, _) if trouble.code.as_str() == "oauth.needs_consent" => "needs_consent",
        (_, 0, _) | (_, _, false) => "not_connected",
        (_, _, true) => "connected",
    };
    Connected {
        connection: known.path.connection.to_string(),
        project: known.path.project.to_string(),
        state,
        owner: known.owner,
        generation: known.generation,
        shared: known.shared,
        account: label,
        connected_at: at,
        connected_by: by,
        trouble: known.trouble,
        flow: flow.map(Flow::from),
    }
}

/// Begins to connect an account: answers with the address where a person consents.
#[utoipa::path(post, path = "/v1/environments/{environment}/connections/{connection}/oauth",
    params(("environment" = String, Path), ("connection" = String, Path), Of), request_body = NewConsent,
    responses((status = 201, body = Flow), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 503, description = "no agent can do it now", body = Problem)))]
pub(super) async fn begin(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, connection)): Named<(Name, Name)>,
    Query(of): Query<Of>,
    Body(new): Body<NewConsent>,
) -> Result<(StatusCode, Json<Flow>), Problem> {
    let redirect_uri = web.redirect_uri.to_string();
    let new =
        NewFlow { environment, project: of.project, connection, agent: new.agent, who: caller.name, redirect_uri };
    let mut told = web.ledger.begin_flow(new).await?;
    let view = at_rest(&mut told, Some("starting"), AGENT_PART).await;
    failed(&view)?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// What is known of the tokens of a connection, and of a flow.
#[utoipa::path(get, path = "/v1/environments/{environment}/connections/{connection}/oauth",
    params(("environment" = String, Path), ("connection" = String, Path), Look),
    responses((status = 200, body = Connected), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named((environment, connection)): Named<(Name, Name)>,
    Query(look): Query<Look>,
) -> Result<Json<Connected>, Problem> {
    let wait = look.wait_ms.unwrap_or(0);
    if wait > MOST_WAIT {
        return Err(Problem::invalid("request.query_invalid", format!("wait_ms is at most {MOST_WAIT}")));
    }
    let flow = match look.flow {
        None => None,
        Some(flow) => {
            let mut told = web.ledger.flow(flow).await?;
            let view = at_rest(&mut told, look.seen.as_deref(), Duration::from_millis(wait)).await;
            let here = view.path.connection == connection && view.path.environment == environment;
            // The address is for whoever began the flow.
            Some(FlowView { url: None, ..view }).filter(|_| here)
        }
    };
    let known = web.ledger.connectedness(environment, look.project, connection).await?;
    Ok(Json(shown(known, flow)))
}

/// Says whether the account of a flow is the right one. Only whoever began the flow can.
#[utoipa::path(post, path = "/v1/environments/{environment}/connections/{connection}/oauth/confirm",
    params(("environment" = String, Path), ("connection" = String, Path), Of), request_body = Confirmation,
    responses((status = 200, body = Flow), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn confirm(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((_environment, _connection)): Named<(Name, Name)>,
    Query(_of): Query<Of>,
    Body(word): Body<Confirmation>,
) -> Result<Json<Flow>, Problem> {
    let mut told = web.ledger.confirm_flow(caller.name, word.flow, word.right).await?;
    let view = at_rest(&mut told, Some("asking"), AGENT_PART).await;
    if word.right {
        failed(&view)?;
    }
    Ok(Json(view.into()))
}

/// Gives the tokens of a connection back.
#[utoipa::path(delete, path = "/v1/environments/{environment}/connections/{connection}/oauth",
    params(("environment" = String, Path), ("connection" = String, Path), Leave),
    responses((status = 200, body = Disconnected), (status = 404, body = Problem),
        (status = 503, description = "the agent that has them is away", body = Problem)))]
pub(super) async fn disconnect(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, connection)): Named<(Name, Name)>,
    Query(leave): Query<Leave>,
) -> Result<Json<Disconnected>, Problem> {
    let place = (environment, leave.project, connection);
    let revoked = web.ledger.disconnect(caller.name, place, leave.force).await?;
    Ok(Json(Disconnected { revoked }))
}

/// The flow once the next step is a person's or it is over, and it is not as it was seen; or as it is in the end.
async fn at_rest(told: &mut watch::Receiver<FlowView>, seen: Option<&str>, limit: Duration) -> FlowView {
    let moved = told.wait_for(|view| view.is_at_rest() && seen != Some(view.state));
    if let Ok(Ok(view)) = tokio::time::timeout(limit, moved).await {
        return view.clone();
    }
    // It took too long, or the flow was forgotten: what was seen last is the answer.
    told.borrow().clone()
}

/// A flow that failed is told as a problem to whoever waits for its next step.
fn failed(view: &FlowView) -> Result<(), Problem> {
    let Some(failure) = &view.failure else { return Ok(()) };
    let status = match failure.class {
        wherry_domain::failure::FailureClass::Retry => StatusCode::FAILED_DEPENDENCY,
        wherry_domain::failure::FailureClass::Permanent => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Err(Problem::new(status, failure.code.as_str(), failure.message.clone()))
}
