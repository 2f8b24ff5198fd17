//! The audit.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Web,
    auth::Admin,
    body::Query,
    pages::{List, Paging, rfc3339},
    problem::Problem,
};
use crate::engine::Page;

/// One entry; each seals the one before by its hash.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    n: u64,
    at: String,
    who: String,
    what: String,
    target: String,
    detail: String,
    prev: String,
    hash: String,
}

/// The audit, newest first.
#[utoipa::path(get, path = "/v1/audit", params(Paging), responses((status = 200, body = List<Entry>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Admin,
    Query(paging): Query<Paging>,
) -> Result<Json<List<Entry>>, Problem> {
    let (limit, before) = paging.read()?;
    let Page { items, next } = web.ledger.audit(before, limit).await?;
    let items = items.into_iter().map(|entry| Entry {
        n: entry.n,
        at: rfc3339(entry.at_ms),
        who: entry.who,
        what: entry.what,
        target: entry.target,
        detail: entry.detail,
        prev: entry.prev.to_string(),
        hash: entry.hash.to_string(),
    });
    Ok(Json(List { items: items.collect(), next_cursor: next.map(|n| n.to_string()) }))
}
