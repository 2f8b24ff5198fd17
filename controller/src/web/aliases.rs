//! Aliases of environments.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{name::Name, project::Mapping};

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Body, Named, Query},
    pages::List,
    problem::Problem,
};
use crate::engine::{self, MappingView};

/// Which aliases.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only of this project.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
}

/// An alias in an environment.
#[derive(Serialize, ToSchema)]
pub(super) struct Alias {
    project: String,
    alias: String,
    /// The connector that the deployed project expects behind it; absent while the project does not declare it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    /// What the environment says for the next deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    /// What is in force: the newest deployment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed: Option<String>,
}

/// What an environment says of a project.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// From alias to connection.
    #[serde(default)]
    #[schema(value_type = Object)]
    aliases: BTreeMap<Name, Name>,
    /// Values in place of the project's own.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: BTreeMap<Name, Value>,
}

impl From<Mapping> for Said {
    fn from(Mapping { aliases, variables }: Mapping) -> Self {
        Self { aliases, variables }
    }
}

/// What an environment says of a project from now on.
#[derive(Serialize, ToSchema)]
pub(super) struct SaidNow {
    /// From alias to connection.
    #[schema(value_type = Object)]
    aliases: BTreeMap<Name, Name>,
    /// Values in place of the project's own.
    #[schema(value_type = Object)]
    variables: BTreeMap<Name, Value>,
    /// What makes no sense to what is deployed there, such as a connection that it does not have. For people: the next
    /// deployment may bring it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl From<engine::Said> for SaidNow {
    fn from(engine::Said { mapping: Mapping { aliases, variables }, warnings }: engine::Said) -> Self {
        Self { aliases, variables, warnings }
    }
}

/// A connection for an alias.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// A connection of the project.
    #[schema(value_type = String)]
    connection: Name,
}

/// Aliases of an environment.
#[utoipa::path(get, path = "/v1/environments/{environment}/aliases", params(("environment" = String, Path), Which),
    responses((status = 200, body = List<Alias>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
    Query(which): Query<Which>,
) -> Result<Json<List<Alias>>, Problem> {
    let views = web.ledger.mappings(environment, which.project).await?;
    Ok(Json(List::whole(views.iter().flat_map(of_project).collect())))
}

fn of_project(view: &MappingView) -> Vec<Alias> {
    let declared = view.deployed.iter().flat_map(|snapshot| snapshot.project.aliases.keys());
    let mut names: Vec<&Name> = declared.chain(view.mapping.aliases.keys()).collect();
    names.sort();
    names.dedup();
    let row = |alias: &Name| {
        let deployed = view.deployed.as_ref();
        Alias {
            project: view.project.to_string(),
            alias: alias.to_string(),
            connector: deployed.and_then(|one| one.project.aliases.get(alias)).map(|found| found.connector.to_string()),
            connection: view.mapping.aliases.get(alias).map(ToString::to_string),
            deployed: deployed.and_then(|one| one.mapping.aliases.get(alias)).map(ToString::to_string),
        }
    };
    names.into_iter().map(row).collect()
}

/// What an environment says of a project, for its next deployment.
#[utoipa::path(get, path = "/v1/environments/{environment}/projects/{project}/mapping",
    params(("environment" = String, Path), ("project" = String, Path)), responses((status = 200, body = Said)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named((environment, project)): Named<(Name, Name)>,
) -> Result<Json<Said>, Problem> {
    let views = web.ledger.mappings(environment, Some(project)).await?;
    Ok(Json(views.into_iter().next().map(|view| view.mapping).unwrap_or_default().into()))
}

/// Says everything of a project anew. It counts from the next deployment on.
#[utoipa::path(put, path = "/v1/environments/{environment}/projects/{project}/mapping",
    params(("environment" = String, Path), ("project" = String, Path)), request_body = Said,
    responses((status = 200, body = SaidNow), (status = 422, body = Problem)))]
pub(super) async fn replace(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, project)): Named<(Name, Name)>,
    Body(Said { aliases, variables }): Body<Said>,
) -> Result<Json<SaidNow>, Problem> {
    let said = web.ledger.set_mapping(caller.name, environment, project, Mapping { aliases, variables }).await?;
    Ok(Json(said.into()))
}

/// Maps an alias to a connection. It counts from the next deployment on.
#[utoipa::path(put, path = "/v1/environments/{environment}/projects/{project}/aliases/{alias}",
    params(("environment" = String, Path), ("project" = String, Path), ("alias" = String, Path)), request_body = Target,
    responses((status = 200, body = SaidNow), (status = 409, body = Problem)))]
pub(super) async fn set(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, project, alias)): Named<(Name, Name, Name)>,
    Body(target): Body<Target>,
) -> Result<Json<SaidNow>, Problem> {
    let said = web.ledger.set_alias(caller.name, environment, project, (alias, target.connection)).await?;
    Ok(Json(said.into()))
}

/// Takes the mapping of an alias away. It counts from the next deployment on.
#[utoipa::path(delete, path = "/v1/environments/{environment}/projects/{project}/aliases/{alias}",
    params(("environment" = String, Path), ("project" = String, Path), ("alias" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, project, alias)): Named<(Name, Name, Name)>,
) -> Result<StatusCode, Problem> {
    web.ledger.remove_alias(caller.name, environment, project, alias).await?;
    Ok(StatusCode::NO_CONTENT)
}
