//! Policies of the organisation and of environments.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wherry_domain::{name::Name, policy};

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::engine::PolicyView;

/// A value to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewValue {
    /// `true` or `false`, a time such as `6h`, or a list of names; `any` for all of them.
    #[schema(value_type = Object)]
    value: serde_json::Value,
}

/// A policy.
#[derive(Serialize, ToSchema)]
pub(super) struct Policy {
    key: &'static str,
    /// What it does.
    meaning: &'static str,
    /// Its value where nobody set one.
    #[schema(value_type = Object)]
    default: policy::Value,
    /// What holds here.
    #[schema(value_type = Object)]
    value: policy::Value,
    /// Who decided: `default`, `organisation` or `environment`.
    set_at: &'static str,
    /// Name of the token that set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_by: Option<String>,
    /// When it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_on: Option<String>,
    /// Of `disable_auto_connector_update`: the environments whose locks are held, so that only an operator's key moves
    /// them. Where the policy holds and the environment is missing here, no operator is known yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held_in: Vec<String>,
    /// Where one was set just now: what may not be meant, such as publishers that nobody knows and connectors that run
    /// now and stop. For people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl From<PolicyView> for Policy {
    fn from(view: PolicyView) -> Self {
        let PolicyView { policy, value, set, organisation, held_in, warnings } = view;
        let set_at = match (&set, &organisation) {
            (Some(record), _) if record.environment.is_some() => "environment",
            (Some(_), _) | (None, Some(_)) => "organisation",
            (None, None) => "default",
        };
        let record = set.or(organisation);
        let set_on = record.as_ref().map(|record| rfc3339(record.set_ms));
        let (key, meaning, default) = (policy.key(), policy.meaning(), policy.default());
        let held_in = held_in.into_iter().map(|name| name.to_string()).collect();
        let set_by = record.map(|record| record.set_by);
        Self { key, meaning, default, value, set_at, set_by, set_on, held_in, warnings }
    }
}

/// Every policy of the organisation.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, body = List<Policy>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Policy>>, Problem> {
    let all = web.ledger.policies(None).await?;
    Ok(Json(List::whole(all.into_iter().map(Policy::from).collect())))
}

/// Sets a policy of the organisation. What is deployed stays, and `warnings` says what of it runs no more.
#[utoipa::path(put, path = "/v1/policies/{key}", params(("key" = String, Path)), request_body = NewValue,
    responses((status = 200, body = Policy), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(key): Named<String>,
    Body(new): Body<NewValue>,
) -> Result<Json<Policy>, Problem> {
    let set = web.ledger.set_policy(caller.name, None, known(&key)?, text(&new.value)).await?;
    Ok(Json(set.into()))
}

/// Gives a policy of the organisation its default again.
#[utoipa::path(delete, path = "/v1/policies/{key}", params(("key" = String, Path)),
    responses((status = 200, body = Policy), (status = 404, body = Problem)))]
pub(super) async fn unset(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(key): Named<String>,
) -> Result<Json<Policy>, Problem> {
    Ok(Json(web.ledger.unset_policy(caller.name, None, known(&key)?).await?.into()))
}

/// Every policy as it holds in an environment.
#[utoipa::path(get, path = "/v1/environments/{environment}/policies", params(("environment" = String, Path)),
    responses((status = 200, body = List<Policy>), (status = 404, body = Problem)))]
pub(super) async fn list_here(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
) -> Result<Json<List<Policy>>, Problem> {
    let all = web.ledger.policies(Some(environment)).await?;
    Ok(Json(List::whole(all.into_iter().map(Policy::from).collect())))
}

/// Tightens a policy in an environment.
#[utoipa::path(put, path = "/v1/environments/{environment}/policies/{key}",
    params(("environment" = String, Path), ("key" = String, Path)), request_body = NewValue,
    responses((status = 200, body = Policy), (status = 404, body = Problem),
        (status = 409, description = "looser than the organisation's", body = Problem), (status = 422, body = Problem)))]
pub(super) async fn tighten(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named((environment, key)): Named<(Name, String)>,
    Body(new): Body<NewValue>,
) -> Result<Json<Policy>, Problem> {
    let set = web.ledger.set_policy(caller.name, Some(environment), known(&key)?, text(&new.value)).await?;
    Ok(Json(set.into()))
}

/// Gives a policy in an environment the organisation's value again.
#[utoipa::path(delete, path = "/v1/environments/{environment}/policies/{key}",
    params(("environment" = String, Path), ("key" = String, Path)),
    responses((status = 200, body = Policy), (status = 404, body = Problem)))]
pub(super) async fn relax(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named((environment, key)): Named<(Name, String)>,
) -> Result<Json<Policy>, Problem> {
    Ok(Json(web.ledger.unset_policy(caller.name, Some(environment), known(&key)?).await?.into()))
}

fn known(key: &str) -> Result<policy::Policy, Problem> {
    key.parse().map_err(|error: policy::UnknownPolicy| {
        Problem::new(axum::http::StatusCode::NOT_FOUND, "policy.unknown", error.to_string())
    })
}

/// The value as people write it on the command line.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(names) => names.iter().map(text_of).collect::<Vec<_>>().join(","),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Object(_) => value.to_string(),
    }
}

fn text_of(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
