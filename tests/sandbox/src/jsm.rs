//! A look-alike of Jira Service Management: `/rest/servicedeskapi` and the part of the platform, `/rest/api`, that
//! connectors need. It pages, validates, refuses and forgets like the real one; the README lists every path.

pub(crate) mod access;
mod catalogue;
mod control;
mod date;
mod denial;
mod desk;
mod document;
mod field;
mod finder;
pub(crate) mod flavour;
mod gate;
mod input;
mod issue;
mod jql;
mod memory;
mod paging;
mod people;
mod platform;
mod rendered;
mod seed;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::Sandbox;
use access::{Access, CLOUD_ID, Caller};
pub(crate) use control::routes as control;
use denial::{Api, Denial};
use finder::{Finder, Found};
use flavour::Flavour;
pub(crate) use gate::Limit;
use issue::{Issue, Reference};
use jql::Scope;
use memory::{Full, Memory};
use people::People;
use rendered::Rendered;

/// The site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) flavour: Flavour,
    /// The address in every link.
    pub(crate) base: String,
    pub(crate) access: Access,
    rendered: Rendered,
    memory: RwLock<Memory>,
    finder: Finder,
    /// How long a new issue stays out of searches, in milliseconds.
    lag: AtomicU64,
}

impl Site {
    pub(crate) fn new(flavour: Flavour, base: String, requests: usize) -> Self {
        let memory = RwLock::new(Memory::new(People::seeded(flavour, &base), requests));
        let (access, rendered) = (Access::generate(flavour), Rendered::new(flavour, &base));
        Self { flavour, base, access, rendered, memory, finder: Finder::default(), lag: AtomicU64::new(0) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a query finds among the issues that the caller may see.
    fn search(&self, memory: &Memory, jql: &str, caller: Caller) -> Result<Found, Denial> {
        let query = jql::parse(jql).map_err(Denial::bad)?;
        let scope = Scope { people: &memory.people, caller: caller.person };
        let hidden_since = self.hidden_since();
        let sees = |issue: &Issue| issue.desk().open && (caller.is_agent() || issue.reporter == caller.person);
        let compute = || {
            let mut ranked = Vec::new();
            for position in 0..memory.len() {
                let Some(issue) = memory.at(position) else { continue };
                if issue.created < hidden_since && sees(&issue) && query.matches(&issue, scope) {
                    ranked.push((query.rank(&issue), position));
                }
            }
            ranked.sort_unstable();
            ranked.into_iter().map(|(_, position)| position).collect()
        };
        if hidden_since != i64::MAX {
            return Ok(Found::new(compute()));
        }
        Ok(self.finder.live(&format!("{} {jql}", caller.person), memory.version(), compute))
    }

    /// Issues created since then are not in the index yet.
    fn hidden_since(&self) -> date::Millis {
        match self.lag.load(Ordering::Relaxed) {
            0 => i64::MAX,
            lag => date::now().saturating_sub_unsigned(lag),
        }
    }

    /// Where the issue of a key or id is, if the caller may see it.
    fn find(&self, memory: &Memory, text: &str, caller: Caller) -> Result<usize, Denial> {
        let missing = || Denial::missing("Issue does not exist or you do not have permission to see it.");
        let position = Reference::parse(text).and_then(|reference| memory.find(reference)).ok_or_else(missing)?;
        let issue = memory.at(position).ok_or_else(missing)?;
        let concerned = issue.reporter == caller.person || issue.participants.contains(&caller.person);
        if issue.desk().open && (caller.is_agent() || concerned) { Ok(position) } else { Err(missing()) }
    }
}

impl From<Full> for Denial {
    fn from(_: Full) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "the sandbox is full")
    }
}

/// Both interfaces, also behind the gateway of Cloud.
pub(crate) fn routes(sandbox: &Arc<Sandbox>) -> Router<Arc<Sandbox>> {
    let gated = |router: Router<Arc<Sandbox>>| router.route_layer(from_fn_with_state(sandbox.clone(), gate::gate));
    let flavour = sandbox.jsm.flavour;
    let both = || gated(desk::routes().merge(platform::routes(flavour)));
    match flavour {
        Flavour::Cloud => {
            both().nest(&format!("/ex/jira/{CLOUD_ID}"), both()).route("/oauth/token/accessible-resources", get(sites))
        }
        Flavour::DataCenter => both(),
    }
}

/// For which sites a token is good, as `api.atlassian.com` says it: this one, and one of somebody else before it.
async fn sites(State(sandbox): State<Arc<Sandbox>>, headers: HeaderMap) -> Response {
    let site = &sandbox.jsm;
    if site.access.caller(&headers, true).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let scopes = ["read:servicedesk-request"];
    Json(json!([
        { "id": "11111111-2222-3333-4444-555555555555", "url": "https://other.example", "name": "other", "scopes": scopes },
        { "id": CLOUD_ID, "url": site.base, "name": "sandbox", "scopes": scopes },
    ]))
    .into_response()
}

/// How the site refuses a caller who asks too often, or breaks down.
pub(crate) fn failure(site: &Site, path: &str, status: StatusCode, limit: Limit) -> Response {
    let message =
        if status == StatusCode::TOO_MANY_REQUESTS { "Rate limit exceeded." } else { "Internal server error" };
    let mut response = Denial::new(status, message).render(Api::of(path));
    if status != StatusCode::INTERNAL_SERVER_ERROR {
        gate::limits(response.headers_mut(), site.flavour, limit);
    }
    response
}
