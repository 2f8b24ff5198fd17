//! Sealed secrets: they come in sealed, and no path gives one out again.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wherry_domain::name::Name;

use super::{
    Web,
    auth::{Deployer, Reader},
    body::{Body, Named, Query},
    pages::{List, Paging, rfc3339},
    problem::Problem,
};
use crate::engine::{Page, SecretView};

/// A secret, without its value.
#[derive(Serialize, ToSchema)]
pub(super) struct Secret {
    environment: String,
    name: String,
    /// Only grows.
    version: u64,
    /// The epoch of the group's key to which it is sealed.
    epoch: u32,
    /// Who signed the seal: an operator's key, or an agent's after it was sealed anew.
    signer: String,
    set_by: String,
    set_at: String,
    /// Agents that could read the value and were removed since. Set a new value, made with its provider.
    exposed_to: Vec<String>,
}

impl From<SecretView> for Secret {
    fn from(SecretView { record, exposed_to, .. }: SecretView) -> Self {
        Self {
            environment: record.environment.to_string(),
            name: record.name,
            version: record.version,
            epoch: record.epoch,
            signer: record.signer,
            set_by: record.set_by,
            set_at: rfc3339(record.set_ms),
            exposed_to,
        }
    }
}

/// What is known of a secret before it is set.
#[derive(Serialize, ToSchema)]
pub(super) struct Slot {
    /// The version that is there, which counts on over a removal; 0 if it was never set.
    version: u64,
    /// The version to seal the next value as.
    next_version: u64,
    /// The secret, if it is set.
    secret: Option<Secret>,
}

/// A sealed secret to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecret {
    /// The version that it takes the place of, 0 for none.
    replaces: u64,
    /// The sealed secret as JSON; its `version` is above every earlier one.
    #[schema(value_type = Object)]
    sealed: Box<RawValue>,
}

/// Secrets of an environment.
#[utoipa::path(get, path = "/v1/environments/{environment}/secrets",
    params(("environment" = String, Path), Paging), responses((status = 200, body = List<Secret>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Named(environment): Named<Name>,
    Query(paging): Query<Paging>,
) -> Result<Json<List<Secret>>, Problem> {
    let (limit, after) = paging.read()?;
    let Page { items, next } = web.ledger.secrets(environment, after, limit).await?;
    let items = items.into_iter().map(Secret::from).collect();
    Ok(Json(List { items, next_cursor: next.map(|name: Name| name.to_string()) }))
}

/// What is known of a secret, set or not.
#[utoipa::path(get, path = "/v1/environments/{environment}/secrets/{name}",
    params(("environment" = String, Path), ("name" = String, Path)), responses((status = 200, body = Slot)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named((environment, name)): Named<(Name, Name)>,
) -> Result<Json<Slot>, Problem> {
    let (view, version, next_version) = web.ledger.secret(environment, name).await?;
    Ok(Json(Slot { version, next_version, secret: view.map(Secret::from) }))
}

/// Keeps a sealed secret.
#[utoipa::path(put, path = "/v1/environments/{environment}/secrets/{name}", request_body = NewSecret,
    params(("environment" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Secret), (status = 409, body = Problem)))]
pub(super) async fn set(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, name)): Named<(Name, Name)>,
    Body(new): Body<NewSecret>,
) -> Result<Json<Secret>, Problem> {
    let sealed = new.sealed.get().as_bytes().to_vec();
    Ok(Json(web.ledger.set_secret(caller.name, (environment, name), new.replaces, sealed).await?.into()))
}

/// Removes a secret.
#[utoipa::path(delete, path = "/v1/environments/{environment}/secrets/{name}",
    params(("environment" = String, Path), ("name" = String, Path)), responses((status = 204)))]
pub(super) async fn remove(
    State(web): State<Web>,
    Deployer(caller): Deployer,
    Named((environment, name)): Named<(Name, Name)>,
) -> Result<StatusCode, Problem> {
    web.ledger.remove_secret(caller.name, environment, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
