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
use crate::model;

/// Content type of a package.
const PACKAGE: &str = "application/vnd.wherry.connector";
/// Largest package: a component of 32 MiB and its envelope.
pub(super) const MAX_PACKAGE: usize = (32 << 20) + (256 << 10);

/// One version of a connector.
#[derive(Serialize, ToSchema)]
pub(super) struct Connector {
    name: String,
    version: String,
    digest: String,
    length: u64,
    publisher: String,
    published_at: String,
    #[schema(value_type = Vec<Object>)]
    activities: Vec<wherry_trust::release::Activity>,
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
            activities: connector.activities,
        }
    }
}

/// The newest version of each connector.
#[utoipa::path(get, path = "/v1/connectors", responses((status = 200, body = List<Connector>)))]
pub(super) async fn list(State(web): State<Web>, _caller: Reader) -> Result<Json<List<Connector>>, Problem> {
    let mut all = web.ledger.connectors(None).await?;
    // Newest first within each name.
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
    Ok(Json(List::whole(all.into_iter().map(Connector::from).collect())))
}

/// Publishes a connector: one line with the signed release, then the component.
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
            "a package is one line with the signed release, then the component",
        )
    })?;
    let (envelope, wasm) = (package.slice(..end), package.slice(end + 1..));
    let (connector, fresh) = web.ledger.publish(caller.name, envelope.to_vec(), wasm.to_vec()).await?;
    Ok((if fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(connector.into())))
}
