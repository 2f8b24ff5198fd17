//! From a table and its parameters to what is asked of Jira.

use serde_json::Map;
use wherry_sdk::Paging;
use wherry_sdk::prelude::*;

use super::children::{Children, Parents, Shape};
use super::list::List;
use super::params::{Approval, Ownership, Query, Table, Texts};
use crate::Cx;
use crate::id::Id;
use crate::site::{self, Api, Flavour};

/// Records asked for at once unless the project says otherwise: the most that the service desk gives.
pub(super) const PAGE: u64 = 100;
/// Requests that can be named.
const NAMED: usize = 1_000;

/// What is to be read.
pub(super) enum Reading {
    /// One list.
    List(List),
    /// A list, or a single object, for each of many requests.
    Children(Children),
    /// People, whose pages end in their own way.
    Users(List),
}

/// Finds out what is to be read, and refuses parameters that do not fit.
pub(super) fn reading(cx: &Cx<'_>, params: &Query) -> Result<Reading> {
    params.check()?;
    let size = params.page_size.unwrap_or(PAGE);
    let desk = params.service_desk.as_ref().or(cx.options().service_desk.as_ref()).map(Id::as_str);
    let needed = |value: Option<&str>, name| value.map(str::to_owned).ok_or_else(|| params.lacks(name));
    let needed_desk = || needed(desk, "serviceDesk");
    let term = params.search_term.as_deref();
    Ok(Reading::List(match params.table {
        Table::Requests if params.issue.is_none() => requests(params, desk, size)?,
        Table::Requests => return children(params, desk, "", Shape::Itself),
        Table::RequestComments => return children(params, desk, "comment", Shape::List),
        Table::RequestParticipants => return children(params, desk, "participant", Shape::List),
        Table::RequestSLACycles => return children(params, desk, "sla", Shape::Cycles),
        Table::ServiceDesks => List::of_desk(&["servicedesk"], size),
        Table::Organizations => organizations(desk, size),
        Table::RequestTypes => request_types(params, desk, size),
        Table::RequestTypeFields => fields(&needed_desk()?, &needed(params.request_type(), "requestType")?),
        Table::Customers => below(&needed_desk()?, &["customer"], size).experimental().with("query", term),
        Table::Queues => below(&needed_desk()?, &["queue"], size),
        Table::QueueRequests => {
            let queue = needed(params.queue.as_ref().map(Id::as_str), "queue")?;
            below(&needed_desk()?, &["queue", &queue, "issue"], size).below("queueId", &queue)
        }
        Table::Issues => issues(params, site::flavour(cx)?, size)?,
        Table::Users => return Ok(Reading::Users(users(term, site::flavour(cx)?))),
    }))
}

/// A list that belongs to a desk.
fn below(desk: &str, path: &[&str], size: u64) -> List {
    List::of_desk(&[&["servicedesk", desk], path].concat(), size).below("serviceDeskId", desk)
}

fn organizations(desk: Option<&str>, size: u64) -> List {
    match desk {
        Some(desk) => below(desk, &["organization"], size),
        None => List::of_desk(&["organization"], size),
    }
}

fn request_types(params: &Query, desk: Option<&str>, size: u64) -> List {
    let list = match desk {
        Some(desk) => List::of_desk(&["servicedesk", desk, "requesttype"], size),
        None => List::of_desk(&["requesttype"], size).experimental(),
    };
    list.with("searchQuery", params.search_term.as_deref()).with_each("expand", &params.expand)
}

/// The fields of a form, which come all at once.
fn fields(desk: &str, kind: &str) -> List {
    let list = below(desk, &["requesttype", kind, "field"], PAGE).below("requestTypeId", kind);
    List { paging: Paging::single(), records: "requestTypeFields", ..list }
}

/// The requests that the account sees, narrowed.
fn requests(params: &Query, desk: Option<&str>, size: u64) -> Result<List> {
    if params.request_type.is_some() && desk.is_none() {
        return Err(params.lacks("serviceDesk"));
    }
    let mut ownership = params.ownership.clone();
    for (given, name, wanted) in [
        (params.organization.is_some(), "organization", Ownership::Organization),
        (params.approval.is_some(), "approval", Ownership::Approver),
    ] {
        if given && ownership.is_empty() {
            ownership.push(wanted);
        } else if given && !ownership.contains(&wanted) {
            let message = format!("the parameter {name} needs {} among ownership, or no ownership", wanted.name());
            return Err(Error::config("connector.params_invalid", message));
        }
    }
    let ownership: Vec<String> = ownership.into_iter().map(|one| one.name().to_owned()).collect();
    Ok(List::of_desk(&["request"], size)
        .with("searchTerm", params.search_term.as_deref())
        .with_each("requestOwnership", &ownership)
        .with("requestStatus", params.request_status.map(|status| status.name()))
        .with("approvalStatus", params.approval.map(Approval::name))
        .with("organizationId", params.organization.as_ref().map(Id::as_str))
        .with("serviceDeskId", desk)
        .with("requestTypeId", params.request_type())
        .with_each("expand", if params.table == Table::Requests { &params.expand } else { &[] }))
}

fn children(params: &Query, desk: Option<&str>, path: &'static str, shape: Shape) -> Result<Reading> {
    let size = params.page_size.unwrap_or(PAGE);
    let parents = match &params.issue {
        Some(issues) => {
            let named = issues.each();
            if named.is_empty() || named.len() > NAMED {
                let message = format!("issue: {} are named, 1 to {NAMED} are accepted", named.len());
                return Err(Error::config("connector.params_invalid", message));
            }
            Parents::Named(named)
        }
        None => Parents::Found(Box::new(requests(params, desk, PAGE)?)),
    };
    let mut query: Vec<_> = params.expand.iter().map(|expand| ("expand", expand.clone())).collect();
    if params.table == Table::RequestComments {
        query.extend([("public", params.public.to_string()), ("internal", params.internal.to_string())]);
    }
    Ok(Reading::Children(Children { parents, path, query, shape, size }))
}

/// Cloud hands out tokens and wants a query that narrows; Data Center counts.
fn issues(params: &Query, flavour: Flavour, size: u64) -> Result<List> {
    let jql = params.jql.as_deref().filter(|jql| !jql.trim().is_empty()).ok_or_else(|| params.lacks("jql"))?;
    let all = vec!["*navigable".to_owned()];
    // Cloud gives nothing but ids if no fields are named.
    let fields = if params.fields.is_empty() { &all } else { &params.fields };
    let mut body = Map::from_iter([("jql".to_owned(), json!(jql)), ("fields".to_owned(), json!(fields))]);
    let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    let expand = (!params.expand.is_empty()).then_some(&params.expand);
    let (api, path, paging): (_, &[&str], _) = match flavour {
        Flavour::Cloud => {
            set("maxResults", size.into());
            if let Some(expand) = expand {
                set("expand", expand.join(",").into());
            }
            if !params.reconcile_issues.is_empty() {
                set("reconcileIssues", json!(params.reconcile_issues));
            }
            let api = if params.texts == Texts::Documents { Api::Documents } else { Api::Plain };
            (api, &["search", "jql"], Paging::token("nextPageToken", "nextPageToken").last_at("isLast"))
        }
        Flavour::DataCenter if params.texts == Texts::Documents => {
            let message = "texts: Data Center has no documents, leave it at plain";
            return Err(Error::config("connector.params_invalid", message));
        }
        Flavour::DataCenter => {
            if let Some(expand) = expand {
                set("expand", json!(expand));
            }
            (Api::Plain, &["search"], Paging::offset("startAt", "maxResults", size).total_at("total"))
        }
    };
    let list = List::of_desk(path, size);
    Ok(List { api, body: Some(Value::Object(body)), paging: paging.in_body(), records: "issues", ..list })
}

/// Whose name or address has the words; without words, everybody that the account may see.
fn users(term: Option<&str>, flavour: Flavour) -> List {
    let list = List { api: Api::Plain, records: "", ..List::of_desk(&["user", "search"], PAGE) };
    match (flavour, term) {
        (Flavour::Cloud, Some(term)) => List { api: Api::Documents, ..list }.with("query", Some(term)),
        (Flavour::Cloud, None) => {
            List { api: Api::Documents, path: vec!["users".to_owned(), "search".to_owned()], ..list }
        }
        // A dot stands for everybody.
        (Flavour::DataCenter, term) => list.with("username", Some(term.unwrap_or("."))),
    }
}
