//! Environments and groups.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wherry_domain::name::Name;

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::model;

/// An environment to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEnvironment {
    #[schema(value_type = String)]
    name: Name,
    /// The group that serves it; made if there is none of that name.
    #[schema(value_type = String)]
    group: Name,
}

/// An environment.
#[derive(Serialize, ToSchema)]
pub(super) struct Environment {
    id: String,
    name: String,
    group: String,
    created_at: String,
}

impl From<(model::Environment, model::Group)> for Environment {
    fn from((environment, group): (model::Environment, model::Group)) -> Self {
        Self {
            id: environment.id.to_string(),
            name: environment.name.to_string(),
            group: group.name.to_string(),
            created_at: rfc3339(environment.created_ms),
        }
    }
}

/// A group of agents.
#[derive(Serialize, ToSchema)]
pub(super) struct Group {
    id: String,
    name: String,
    environments: Vec<String>,
    agents: usize,
}

/// Environments.
#[utoipa::path(get, path = "/v1/environments", responses((status = 200, body = List<Environment>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Environment>>, Problem> {
    let all = web.ledger.environments().await?;
    Ok(Json(List::whole(all.into_iter().map(Environment::from).collect())))
}

/// Makes an environment.
#[utoipa::path(post, path = "/v1/environments", request_body = NewEnvironment,
    responses((status = 201, body = Environment), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(web): State<Web>,
    Admin(caller): Admin,
    Body(new): Body<NewEnvironment>,
) -> Result<(StatusCode, Json<Environment>), Problem> {
    let made = web.ledger.create_environment(caller.name, new.name, new.group).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// An environment.
#[utoipa::path(get, path = "/v1/environments/{environment}", params(("environment" = String, Path)),
    responses((status = 200, body = Environment), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named(name): Named<Name>,
) -> Result<Json<Environment>, Problem> {
    let found = web.ledger.environments().await?.into_iter().find(|(environment, _)| environment.name == name);
    let message = format!("there is no environment {name}: see wherry environment list");
    let found = found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "environment.not_found", message))?;
    Ok(Json(found.into()))
}

/// Removes an environment that nothing depends on.
#[utoipa::path(delete, path = "/v1/environments/{environment}", params(("environment" = String, Path)),
    responses((status = 204), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(name): Named<Name>,
) -> Result<StatusCode, Problem> {
    web.ledger.delete_environment(caller.name, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Groups of agents.
#[utoipa::path(get, path = "/v1/groups", responses((status = 200, body = List<Group>)))]
pub(super) async fn groups(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Group>>, Problem> {
    let all = web.ledger.groups().await?.into_iter();
    let view = |(group, environments, agents): (model::Group, Vec<Name>, usize)| Group {
        id: group.id.to_string(),
        name: group.name.to_string(),
        environments: environments.iter().map(ToString::to_string).collect(),
        agents,
    };
    Ok(Json(List::whole(all.map(view).collect())))
}
