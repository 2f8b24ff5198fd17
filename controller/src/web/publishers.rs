//! Trusted publishers of connectors.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wherry_trust::{
    keys::PublicKey,
    release::{Prefix, Publisher as Trusted},
};

use super::{
    Web,
    auth::{Admin, Reader},
    body::{Body, Named},
    pages::{List, rfc3339},
    problem::Problem,
};
use crate::model;

/// A publisher to trust.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPublisher {
    /// For people, 1 to 63 characters.
    name: String,
    /// `ed25519:` and base64url.
    #[schema(value_type = String)]
    key: PublicKey,
    /// Connectors it may sign: `*`, `acme-*` or one name; all, if absent.
    #[serde(default = "Prefix::all")]
    #[schema(value_type = String)]
    prefix: Prefix,
}

/// A trusted publisher.
#[derive(Serialize, ToSchema)]
pub(super) struct Publisher {
    name: String,
    key: String,
    prefix: String,
    created_at: String,
}

impl From<model::Publisher> for Publisher {
    fn from(publisher: model::Publisher) -> Self {
        let Trusted { name, key, prefix } = publisher.trusted;
        Self { name, key: key.to_string(), prefix: prefix.to_string(), created_at: rfc3339(publisher.created_ms) }
    }
}

/// Trusted publishers.
#[utoipa::path(get, path = "/v1/publishers", responses((status = 200, body = List<Publisher>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Publisher>>, Problem> {
    let all = web.ledger.publishers().await?;
    Ok(Json(List::whole(all.into_iter().map(Publisher::from).collect())))
}

/// Trusts a publisher.
#[utoipa::path(post, path = "/v1/publishers", request_body = NewPublisher, responses((status = 201, body = Publisher)))]
pub(super) async fn trust(
    State(web): State<Web>,
    Admin(caller): Admin,
    Body(new): Body<NewPublisher>,
) -> Result<(StatusCode, Json<Publisher>), Problem> {
    if new.name.is_empty()
        || new.name.len() > 63
        || !new.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        let message = "a publisher's name has 1 to 63 letters, digits, dots, hyphens and underscores";
        return Err(Problem::invalid("request.invalid", message));
    }
    let trusted = Trusted { name: new.name, key: new.key, prefix: new.prefix };
    let publisher = web.ledger.trust_publisher(caller.name, trusted).await?;
    Ok((StatusCode::CREATED, Json(publisher.into())))
}

/// Trusts a publisher no longer.
#[utoipa::path(delete, path = "/v1/publishers/{name}", params(("name" = String, Path)), responses((status = 204)))]
pub(super) async fn distrust(
    State(web): State<Web>,
    Admin(caller): Admin,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    web.ledger.distrust_publisher(caller.name, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
