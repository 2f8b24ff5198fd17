//! Connections of deployed projects: listed from what is deployed, tested and described by an agent.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{
    failure::{Failure, FailureClass},
    name::Name,
};
use wherry_proto::{
    MAX_ASK,
    frame::{Question, Trouble},
};

use super::{
    Web,
    auth::{Reader, Runner},
    body::{Body, Named, Query},
    pages::List,
    path::PathTaken,
    problem::Problem,
};
use crate::engine::{Answered, Freshened, Inquiry};

/// How long an agent may take, unless the caller says otherwise.
const LIMIT_MS: u64 = 30_000;
/// Shortest time that an agent may be given.
const LEAST_MS: u64 = 1_000;
/// Refusals of an agent that another moment or another agent cures.
const LATER: [&str; 4] = ["agent.busy", "agent.draining", "agent_policy.hours", "connector.not_ready"];
/// The owner of the agent keeps to it what connectors write.
const NOT_ALLOWED: &str = "connection.describe_not_allowed";

/// A connection of a deployed project.
#[derive(Serialize, ToSchema)]
pub(super) struct Connection {
    name: String,
    project: String,
    connector: String,
    /// Of the connector, as it is deployed.
    version: Option<String>,
    deployment: String,
    deployment_number: u64,
}

/// Of which project.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// The project, if the connection's name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
}

/// How to test.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTest {
    /// Id or name of the agent that does it; otherwise the one with the least to do.
    agent: Option<String>,
    /// Longest time for it, 1,000 to 60,000 ms; 30,000, if absent.
    limit_ms: Option<u64>,
}

/// What to ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQuestion {
    /// The activity that it is about, if any.
    #[serde(default)]
    activity: String,
    /// In the connector's own words, at most 16 KiB; `{}`, if absent.
    #[schema(value_type = Option<Object>)]
    question: Option<Value>,
    /// Id or name of the agent that does it; otherwise the one with the least to do.
    agent: Option<String>,
    /// Longest time for it, 1,000 to 60,000 ms; 30,000, if absent.
    limit_ms: Option<u64>,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(super) struct Tested {
    connection: String,
    project: String,
    deployment_number: u64,
    /// The agent that did it.
    agent: String,
    duration_ms: u64,
    /// `ok` or `failed`.
    result: &'static str,
    /// What has to be looked at: `network`, `authentication`, `permission`, `configuration` or `connector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    area: Option<&'static str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    /// What went wrong, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Failure>,
    /// How the agent got to the system; absent if it did not come to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathTaken>,
    /// What the test did to the connector; absent if the environment's lock does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<ConnectorUpdate>,
}

/// The version of a connector before and after a test. Unless a policy suspends it, a test brings the newest version
/// that needs no person's word to every agent of the environment's group.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectorUpdate {
    name: String,
    from: String,
    to: String,
    /// Agents that have `to` ready.
    agents_updated: usize,
    /// Agents that are connected.
    agents_total: usize,
    /// Enrolled agents that are not.
    agents_away: usize,
}

impl From<Freshened> for ConnectorUpdate {
    fn from(fresh: Freshened) -> Self {
        let Freshened { name, from, to, agents_updated, agents_total, agents_away } = fresh;
        let (name, from, to) = (name.to_string(), from.to_string(), to.to_string());
        Self { name, from, to, agents_updated, agents_total, agents_away }
    }
}

/// What the connector answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Described {
    connection: String,
    project: String,
    deployment_number: u64,
    /// The agent that asked.
    agent: String,
    duration_ms: u64,
    /// In the connector's own words.
    #[schema(value_type = Object)]
    answer: Box<RawValue>,
}

/// Connections of the deployed projects.
#[utoipa::path(get, path = "/v1/environments/{environment}/connections", params(("environment" = String, Path), Of),
    responses((status = 200, body = List<Connection>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
    Query(of): Query<Of>,
) -> Result<Json<List<Connection>>, Problem> {
    let mut items = Vec::new();
    for (deployment, snapshot) in web.ledger.operations(environment).await? {
        if of.project.as_ref().is_some_and(|project| *project != deployment.project) {
            continue;
        }
        for (name, connection) in &snapshot.project.connections {
            items.push(Connection {
                name: name.to_string(),
                project: deployment.project.to_string(),
                connector: connection.connector.to_string(),
                version: snapshot.connectors.get(&connection.connector).map(|pin| pin.version.to_string()),
                deployment: deployment.id.to_string(),
                deployment_number: deployment.number,
            });
        }
    }
    Ok(Json(List::whole(items)))
}

/// Tests a connection from an agent's place in the network. That it does not work is an answer, not a problem.
#[utoipa::path(post, path = "/v1/environments/{environment}/connections/{connection}/test",
    params(("environment" = String, Path), ("connection" = String, Path), Of), request_body = NewTest,
    responses((status = 200, body = Tested), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 503, description = "no agent answers", body = Problem)))]
pub(super) async fn test(
    State(web): State<Web>,
    Runner(caller): Runner,
    Named((environment, connection)): Named<(Name, Name)>,
    Query(of): Query<Of>,
    Body(new): Body<NewTest>,
) -> Result<Json<Tested>, Problem> {
    let (limit, question) = (limit(new.limit_ms)?, Question::Test);
    let fresh = web.ledger.freshen(caller.name, environment.clone(), of.project.clone(), connection.clone()).await?;
    let inquiry =
        Inquiry { environment, project: of.project, connection: connection.clone(), agent: new.agent, question, limit };
    let Answered { deployment, agent, answer } = web.ledger.ask(inquiry).await?;
    let now_s = i64::try_from(web.clock.wall_unix_millis() / 1_000).unwrap_or(i64::MAX);
    let path = answer.path.map(|path| PathTaken::of(path, now_s));
    let trouble = answer.result.err();
    if let Some(trouble) = trouble.as_ref().filter(|trouble| LATER.contains(&trouble.failure.code.as_str())) {
        return Err(refused(trouble));
    }
    Ok(Json(Tested {
        connection: connection.to_string(),
        project: deployment.project.to_string(),
        deployment_number: deployment.number,
        agent: agent.to_string(),
        duration_ms: millis(answer.duration),
        result: if trouble.is_some() { "failed" } else { "ok" },
        area: trouble.as_ref().map(|trouble| trouble.area.as_str()),
        advice: trouble.as_ref().map(|trouble| trouble.area.advice_on(&trouble.failure.code)),
        failure: trouble.map(|trouble| trouble.failure),
        path,
        connector: fresh.map(ConnectorUpdate::from),
    }))
}

/// Asks a connector about the system behind a connection, such as for the fields of a request type. Only agents whose
/// owner allows it let the answer out.
#[utoipa::path(post, path = "/v1/environments/{environment}/connections/{connection}/describe",
    params(("environment" = String, Path), ("connection" = String, Path), Of), request_body = NewQuestion,
    responses((status = 200, body = Described), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 424, description = "the system behind the connection cannot be asked now", body = Problem),
        (status = 503, description = "no agent answers", body = Problem)))]
pub(super) async fn describe(
    State(web): State<Web>,
    _caller: Runner,
    Named((environment, connection)): Named<(Name, Name)>,
    Query(of): Query<Of>,
    Body(new): Body<NewQuestion>,
) -> Result<Json<Described>, Problem> {
    let limit = limit(new.limit_ms)?;
    let question = new.question.unwrap_or_else(|| json!({})).to_string().into_bytes();
    let inquiry = Inquiry {
        environment,
        project: of.project,
        connection: connection.clone(),
        agent: new.agent,
        question: Question::Discover { activity: new.activity, question },
        limit,
    };
    let Answered { deployment, agent, answer } = web.ledger.ask(inquiry).await?;
    let document = answer.result.map_err(|trouble| refused(&trouble))?;
    let answered = serde_json::from_slice(&document).map_err(|_| {
        let message = format!("the answer of agent {agent} is not JSON: upgrade the agent");
        Problem::new(StatusCode::BAD_GATEWAY, "connection.answer_invalid", message)
    })?;
    Ok(Json(Described {
        connection: connection.to_string(),
        project: deployment.project.to_string(),
        deployment_number: deployment.number,
        agent: agent.to_string(),
        duration_ms: millis(answer.duration),
        answer: answered,
    }))
}

fn limit(asked: Option<u64>) -> Result<Duration, Problem> {
    let limit = asked.unwrap_or(LIMIT_MS);
    let most = millis(MAX_ASK);
    if (LEAST_MS..=most).contains(&limit) {
        return Ok(Duration::from_millis(limit));
    }
    Err(Problem::invalid("request.invalid", format!("limit_ms is {limit}: give it {LEAST_MS} to {most}")))
}

/// What an agent could not answer.
fn refused(trouble: &Trouble) -> Problem {
    let Trouble { failure, area } = trouble;
    let status = match (failure.code.as_str(), failure.class) {
        (NOT_ALLOWED, _) => StatusCode::FORBIDDEN,
        (code, _) if LATER.contains(&code) => StatusCode::SERVICE_UNAVAILABLE,
        // What the owner's policy does not allow.
        (code, FailureClass::Permanent) if code.starts_with("agent_policy.") => StatusCode::FORBIDDEN,
        // It is the customer's system that is not well, not this one.
        (_, FailureClass::Retry) => StatusCode::FAILED_DEPENDENCY,
        (_, FailureClass::Permanent) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, failure.code.as_str(), format!("{} ({area})", failure.message)).after(failure.retry_after)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
