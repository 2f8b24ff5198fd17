//! Requests: the list that a caller may see, and single ones.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::view::Request;
use super::{Routes, Shared, at, create, enter, types};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::finder::Found;
use crate::jsm::input::Parameters;
use crate::jsm::issue::Issue;
use crate::jsm::memory::Memory;
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/request", get(list).post(create::create))
        .merge(at("/request/{key}", get(one)))
        .merge(at("/request/{key}/notification", get(subscribed)))
}

/// What a list is narrowed to.
struct Filter {
    ownership: Vec<Ownership>,
    open: Option<bool>,
    desk: Option<u8>,
    kind: Option<u8>,
    organisation: Option<u64>,
    words: String,
}

/// Why a caller sees a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Owned,
    Participated,
    Organisation,
    AllOrganisations,
    Approver,
    All,
}

impl Filter {
    fn of(query: &Parameters) -> Result<Self, Denial> {
        let ownership: Vec<_> =
            query.list("requestOwnership").into_iter().map(Ownership::parse).collect::<Result<_, _>>()?;
        let desk = query.get("serviceDeskId").map(enter).transpose()?;
        let kind = match (query.get("requestTypeId"), desk) {
            (Some(kind), Some(desk)) => Some(types::known(desk, kind)?.0),
            (Some(_), None) => return Err(Denial::bad("The serviceDeskId is required if a requestTypeId is given.")),
            (None, _) => None,
        };
        let open = match query.get("requestStatus") {
            None | Some("ALL_REQUESTS") => None,
            Some("OPEN_REQUESTS") => Some(true),
            Some("CLOSED_REQUESTS") => Some(false),
            Some(other) => return Err(Denial::bad(format!("'{other}' is no valid requestStatus"))),
        };
        let organisation = query.number("organizationId")?.map(|id| id as u64);
        let default = || vec![Ownership::Owned, Ownership::Participated, Ownership::AllOrganisations];
        let words = query.get("searchTerm").unwrap_or_default().to_lowercase();
        let ownership = if ownership.is_empty() { default() } else { ownership };
        Ok(Self { ownership, open, desk, kind, organisation, words })
    }

    fn fits(&self, issue: &Issue, memory: &Memory, caller: Caller) -> bool {
        issue.kind.is_some()
            && issue.desk().open
            && self.desk.is_none_or(|desk| issue.desk == desk)
            && self.kind.is_none_or(|kind| issue.kind == Some(kind))
            && self.open.is_none_or(|open| issue.is_open() == open)
            && (self.words.is_empty() || issue.summary.to_lowercase().contains(&self.words))
            && self.ownership.iter().any(|ownership| ownership.holds(issue, memory, caller, self.organisation))
    }
}

impl Ownership {
    fn parse(text: &str) -> Result<Self, Denial> {
        Ok(match text {
            "OWNED_REQUESTS" => Self::Owned,
            "PARTICIPATED_REQUESTS" => Self::Participated,
            "ORGANIZATION" => Self::Organisation,
            "ALL_ORGANIZATIONS" => Self::AllOrganisations,
            "APPROVER" => Self::Approver,
            "ALL_REQUESTS" => Self::All,
            other => return Err(Denial::bad(format!("'{other}' is no valid requestOwnership"))),
        })
    }

    fn holds(self, issue: &Issue, memory: &Memory, caller: Caller, organisation: Option<u64>) -> bool {
        let (owned, participates) = (issue.reporter == caller.person, issue.participants.contains(&caller.person));
        let shared = || {
            let mut all = memory.people.organisations.iter();
            all.any(|one| issue.organisation == Some(one.id) && one.members.contains(&caller.person))
        };
        match self {
            Self::Owned => owned,
            Self::Participated => participates,
            Self::AllOrganisations => shared(),
            Self::Organisation => organisation.is_some() && issue.organisation == organisation && shared(),
            Self::Approver => caller.is_agent() && issue.approval.is_some(),
            Self::All => owned || participates || shared(),
        }
    }
}

async fn list(State(sandbox): Shared, caller: Caller, uri: Uri, query: Parameters) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let page = site.page(&uri, &query)?;
    let filter = Filter::of(&query)?;
    let memory = site.read();
    let found = visible(site, &memory, &filter, &query, caller);
    let expand = query.list("expand");
    Ok(page.answer(&found, |position, out| write(site, &memory, *position, &expand, out)))
}

/// Positions of the requests in the filter, newest first.
fn visible(site: &Site, memory: &Memory, filter: &Filter, query: &Parameters, caller: Caller) -> Found {
    let words: Vec<_> = query.without(&["start", "limit", "expand"]).collect();
    let search = format!("requests {} {words:?}", caller.person);
    site.finder.live(&search, memory.version(), || {
        let fits = |at: &usize| memory.at(*at).is_some_and(|issue| filter.fits(&issue, memory, caller));
        (0..memory.len()).rev().filter(fits).collect()
    })
}

/// Writes the request at a position.
pub(super) fn write(site: &Site, memory: &Memory, position: usize, expand: &[&str], out: &mut Vec<u8>) {
    match memory.at(position) {
        Some(issue) => push(out, &Request { site, memory, issue: &issue, expand }),
        None => push(out, &Value::Null),
    }
}

async fn one(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let id = site.look(&key, caller, |issue| issue.id.to_string())?;
    let memory = site.read();
    let position = site.find(&memory, &id, caller)?;
    let mut body = Vec::new();
    write(site, &memory, position, &query.list("expand"), &mut body);
    Ok(crate::jsm::paging::json_bytes(body))
}

async fn subscribed(State(sandbox): Shared, caller: Caller, Path(key): Path<String>) -> Result<Response, Denial> {
    let subscribed = sandbox.jsm.look(&key, caller, |issue| issue.reporter == caller.person)?;
    Ok(Json(json!({ "subscribed": subscribed })).into_response())
}
