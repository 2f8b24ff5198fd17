//! Who the caller is, how the controller is, and a copy of everything it remembers.

use axum::{Json, body::Body, extract::State, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;
use wherry_daemon::{
    audits::Audited,
    store::{Integrity, StoreStats},
};

use super::{
    Web,
    auth::{Admin, Reader},
    pages::rfc3339,
    problem::Problem,
};
use crate::{backup, engine::Totals, model::Scope};

/// The caller.
#[derive(Serialize, ToSchema)]
pub(super) struct Whoami {
    token: String,
    scopes: Vec<Scope>,
    organisation: String,
    version: &'static str,
}

/// The controller.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    version: &'static str,
    organisation: String,
    /// Pin of the root key, for enrolment tokens.
    ca_pin: String,
    /// Where agents enrol.
    agent_endpoint: String,
    agents: Totals,
    runs: Totals,
    store: StoreView,
}

/// Counters of the store since the start.
#[derive(Serialize, ToSchema)]
struct StoreView {
    commits: u64,
    records: u64,
    syncs: u64,
    disk_bytes: u64,
    /// The last look through all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<AuditView>,
}

/// A look through the whole store.
#[derive(Serialize, ToSchema)]
struct AuditView {
    at: String,
    /// Whether the store held exactly what was committed.
    sound: bool,
    /// How that was noticed, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl StoreView {
    fn new(stats: StoreStats, audited: Option<Audited>) -> Self {
        let StoreStats { commits, records, syncs, disk_bytes, .. } = stats;
        Self { commits, records, syncs, disk_bytes, audit: audited.and_then(AuditView::new) }
    }
}

impl AuditView {
    fn new(audited: Audited) -> Option<Self> {
        let damage = match audited.integrity {
            Integrity::Unchecked => return None,
            Integrity::Sound { .. } => None,
            Integrity::Differs(how) => Some(how),
        };
        Some(Self { at: rfc3339(audited.at_ms), sound: damage.is_none(), damage })
    }
}

/// Who the caller is.
#[utoipa::path(get, path = "/v1/whoami", responses((status = 200, body = Whoami)))]
pub(super) async fn whoami(Reader(caller): Reader) -> Json<Whoami> {
    let organisation = caller.organisation.to_string();
    Json(Whoami { token: caller.name, scopes: caller.scopes, organisation, version: env!("CARGO_PKG_VERSION") })
}

/// How the controller is.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(web): State<Web>, Reader(caller): Reader) -> Result<Json<Status>, Problem> {
    let (agents, runs) = web.ledger.totals().await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        organisation: caller.organisation.to_string(),
        ca_pin: web.pin.as_str().to_owned(),
        agent_endpoint: web.agent_endpoint.to_string(),
        agents,
        runs,
        store: StoreView::new(web.ledger.store.stats(), web.audits.last()),
    }))
}

/// A copy of everything the controller remembers; the authority's keys are not in it.
#[utoipa::path(post, path = "/v1/backup", responses((status = 200, content_type = "application/octet-stream")))]
pub(super) async fn backup(State(web): State<Web>, _caller: Admin) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(backup::stream(&web.ledger)))
}
