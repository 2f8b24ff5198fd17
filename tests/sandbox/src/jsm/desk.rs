//! `/rest/servicedeskapi`, one module per resource.

mod approvals;
mod attachments;
mod comments;
mod create;
mod customers;
mod desks;
mod organisations;
mod participants;
mod queues;
mod requests;
mod sla;
mod status;
mod types;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::MethodRouter;

use super::Site;
use super::access::Caller;
use super::catalogue::{self, DESKS};
use super::denial::Denial;
use super::input::Parameters;
use super::issue::Issue;
use super::paging::{DeskPage, Window};
use crate::Sandbox;

type Shared = State<Arc<Sandbox>>;
type Routes = Router<Arc<Sandbox>>;

pub(super) fn routes() -> Routes {
    Router::new()
        .merge(desks::routes())
        .merge(types::routes())
        .merge(queues::routes())
        .merge(customers::routes())
        .merge(organisations::routes())
        .merge(requests::routes())
        .merge(comments::routes())
        .merge(participants::routes())
        .merge(attachments::routes())
        .merge(sla::routes())
        .merge(status::routes())
        .merge(approvals::routes())
}

/// A route under the base of the interface.
fn at(path: &str, methods: MethodRouter<Arc<Sandbox>>) -> Routes {
    Router::new().route(&format!("/rest/servicedeskapi{path}"), methods)
}

/// The desk of an id, if the caller may enter it.
fn enter(id: &str) -> Result<u8, Denial> {
    let missing = || Denial::missing(format!("Service Desk with ID '{id}' does not exist."));
    let at = catalogue::position(&DESKS, |desk| desk.id == id).ok_or_else(missing)?;
    if catalogue::desk(at).open {
        return Ok(at);
    }
    Err(Denial::forbidden("You do not have permission to access this service desk."))
}

impl Site {
    fn page<'a>(&'a self, uri: &'a Uri, query: &'a Parameters) -> Result<DeskPage<'a>, Denial> {
        Ok(DeskPage { base: &self.base, uri, query, window: Window::desk(query)? })
    }

    /// Reads the request of a key or id.
    fn look<T>(&self, key: &str, caller: Caller, read: impl FnOnce(&Issue) -> T) -> Result<T, Denial> {
        let memory = self.read();
        let position = self.find(&memory, key, caller)?;
        let issue = memory.at(position).ok_or_else(|| Denial::missing("The request does not exist."))?;
        if issue.kind.is_none() {
            return Err(Denial::missing("The request you are trying to access does not exist."));
        }
        Ok(read(&issue))
    }
}

/// The people that a list of account ids or names means.
fn people(site: &Site, ids: &[String]) -> Result<Vec<usize>, Denial> {
    let memory = site.read();
    let find = |id: &String| {
        let known = memory.people.find(id);
        known.ok_or_else(|| Denial::bad(format!("User '{id}' could not be found.")))
    };
    ids.iter().map(find).collect()
}

/// A list of people, as each flavour names them.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Persons {
    #[serde(default)]
    account_ids: Vec<String>,
    #[serde(default)]
    usernames: Vec<String>,
}

impl Persons {
    fn find(&self, site: &Site) -> Result<Vec<usize>, Denial> {
        let ids: &[String] = if self.account_ids.is_empty() { &self.usernames } else { &self.account_ids };
        if ids.is_empty() {
            return Err(Denial::new(StatusCode::BAD_REQUEST, "name at least one user"));
        }
        people(site, ids)
    }
}
