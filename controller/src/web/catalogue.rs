//! Signed documents of change control: the publishers list, and what was revoked.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wherry_domain::name::Name;
use wherry_trust::chain::{Level, PublishersList};

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named},
    pages::rfc3339,
    problem::Problem,
};
use crate::engine::RevokedPublisher;

/// The publishers list that agents are given.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedList {
    /// `controller` or `operator`: who signs it. Once operators do, only they can change it.
    signed_by: &'static str,
    version: u64,
    /// Until when agents take it over.
    expires_at: String,
    /// The key that a list has to name so that this controller can sign the index: `ed25519:` and base64url.
    catalogue_key: String,
    /// Environments whose locks name a release of a revoked key: nothing of it runs there until they get another version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<String>,
    /// The DSSE envelope as it was signed.
    #[schema(value_type = Object)]
    envelope: Box<RawValue>,
}

/// A publishers list that an operator signed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewList {
    /// Its DSSE envelope. The version is one higher than that of the list in force.
    #[schema(value_type = Object)]
    envelope: Box<RawValue>,
}

/// A release that runs no more.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    name: String,
    version: String,
    digest: String,
    /// When it was revoked first.
    revoked_at: String,
    /// Environments whose locks name it: nothing of it runs there until they get another version.
    environments: Vec<String>,
}

/// A publisher's key that is good for nothing any more.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedKey {
    /// The publishers that had it: they are trusted no longer.
    names: Vec<String>,
    key: String,
    /// Environments whose locks name a release that it signed: nothing of it runs there until they get another version.
    environments: Vec<String>,
}

/// The publishers list in force, as it was signed.
#[utoipa::path(get, path = "/v1/catalogue/publishers", responses((status = 200, body = SignedList)))]
pub(super) async fn show(State(web): State<Web>, _caller: Reader) -> Result<Json<SignedList>, Problem> {
    let view = web.ledger.publishers_list().await?;
    let unreadable = || Problem::invalid("catalogue.malformed", "the publishers list cannot be shown");
    let (list, _) = PublishersList::read(&view.envelope).map_err(|_| unreadable())?;
    let text = String::from_utf8(view.envelope).map_err(|_| unreadable())?;
    Ok(Json(SignedList {
        signed_by: match view.level {
            Level::Controller => "controller",
            Level::Operator => "operator",
        },
        version: list.version,
        expires_at: rfc3339(list.expires_ms),
        catalogue_key: view.catalogue_key.to_string(),
        environments: view.environments.iter().map(ToString::to_string).collect(),
        envelope: RawValue::from_string(text).map_err(|_| unreadable())?,
    }))
}

/// Takes over a publishers list that an operator signed.
#[utoipa::path(put, path = "/v1/catalogue/publishers", request_body = NewList, responses((status = 200, body = SignedList)))]
pub(super) async fn replace(
    State(web): State<Web>,
    Admin(caller): Admin,
    Body(new): Body<NewList>,
) -> Result<Json<SignedList>, Problem> {
    web.ledger.replace_publishers(caller.name.clone(), new.envelope.get().as_bytes().to_vec()).await?;
    show(State(web), Reader(caller)).await
}

/// Revokes a publisher: nothing that its key signed runs any more, and the key is never trusted again.
#[utoipa::path(post, path = "/v1/publishers/{name}/revoke", params(("name" = String, Path)),
    responses((status = 200, body = RevokedKey)))]
pub(super) async fn revoke_publisher(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(name): Named<String>,
) -> Result<Json<RevokedKey>, Problem> {
    let RevokedPublisher { key, names, environments } = web.ledger.revoke_publisher(caller.name, name).await?;
    let environments = environments.iter().map(ToString::to_string).collect();
    Ok(Json(RevokedKey { names: names.into_iter().collect(), key: key.to_string(), environments }))
}

/// Revokes one version of a connector: no agent runs it any more.
#[utoipa::path(post, path = "/v1/connectors/{name}/versions/{version}/revoke",
    params(("name" = String, Path), ("version" = String, Path)), responses((status = 200, body = Revoked)))]
pub(super) async fn revoke_release(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named((name, version)): Named<(Name, semver::Version)>,
) -> Result<Json<Revoked>, Problem> {
    let (connector, environments) = web.ledger.revoke_release(caller.name, name, version).await?;
    Ok(Json(Revoked {
        name: connector.name.to_string(),
        version: connector.version.to_string(),
        digest: connector.digest.to_string(),
        revoked_at: rfc3339(connector.revoked_ms.unwrap_or_default()),
        environments: environments.into_iter().map(|name| name.to_string()).collect(),
    }))
}
