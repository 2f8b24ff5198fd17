//! Searches: with page tokens on Cloud, with offsets on Data Center.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::view::{Fields, Issue, Text};
use super::{Routes, Shared};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::finder::Found;
use crate::jsm::flavour::Flavour;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::issue::Reference;
use crate::jsm::jql;
use crate::jsm::memory::Memory;
use crate::jsm::paging::{json_bytes, push};

/// Most issues on a page with fields, and on one with nothing but ids.
const PAGE: usize = 100;
const BARE_PAGE: usize = 5_000;
/// Most issues on a page of the older search.
const OFFSET_PAGE: usize = 1_000;
const DEFAULT: usize = 50;
/// Most issues of which a caller wants the newest state.
const RECONCILE: usize = 50;

pub(super) fn routes(routes: Routes, flavour: Flavour) -> Routes {
    match flavour {
        Flavour::Cloud => routes
            .at("/search/jql", get(tokens).post(tokens_posted))
            .at("/search/approximate-count", post(count))
            .at("/search", get(removed).post(removed)),
        Flavour::DataCenter => routes.at("/search", get(offsets).post(offsets_posted)),
    }
}

/// What is searched for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Search {
    jql: String,
    next_page_token: Option<String>,
    max_results: Option<usize>,
    start_at: Option<usize>,
    fields: Vec<String>,
    reconcile_issues: Vec<u64>,
    #[serde(rename = "fieldsByKeys")]
    _fields_by_keys: bool,
    #[serde(rename = "failFast")]
    _fail_fast: bool,
    #[serde(rename = "expand")]
    _expand: Value,
    #[serde(rename = "properties")]
    _properties: Vec<String>,
    #[serde(rename = "validateQuery")]
    _validate_query: Value,
}

impl Search {
    fn of(query: &Parameters) -> Result<Self, Denial> {
        let parse = |id: &str| id.parse().map_err(|_| Denial::bad(format!("'{id}' is no issue id")));
        Ok(Self {
            jql: query.get("jql").unwrap_or_default().to_owned(),
            next_page_token: query.get("nextPageToken").map(str::to_owned),
            max_results: query.number("maxResults")?,
            start_at: query.number("startAt")?,
            fields: query.list("fields").into_iter().map(str::to_owned).collect(),
            reconcile_issues: query.list("reconcileIssues").into_iter().map(parse).collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }

    fn fields(&self, default: &[&str]) -> Fields {
        let names: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        Fields::named(if names.is_empty() { default } else { &names })
    }
}

async fn tokens(State(sandbox): Shared, caller: Caller, text: Text, query: Parameters) -> Result<Response, Denial> {
    by_token(&sandbox.jsm, caller, text, &Search::of(&query)?)
}

async fn tokens_posted(
    State(sandbox): Shared,
    caller: Caller,
    text: Text,
    Body(search): Body<Search>,
) -> Result<Response, Denial> {
    by_token(&sandbox.jsm, caller, text, &search)
}

/// The newer search: no total, no offset, only restricted queries, and nothing but ids unless fields are named.
fn by_token(site: &Site, caller: Caller, text: Text, search: &Search) -> Result<Response, Denial> {
    if !jql::parse(&search.jql).map_err(Denial::bad)?.is_bounded() {
        let message = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.";
        return Err(Denial::bad(message));
    }
    let fields = search.fields(&["id"]);
    let most = if fields.is_bare() { BARE_PAGE } else { PAGE };
    let limit = search.max_results.unwrap_or(DEFAULT).clamp(1, most);
    let memory = site.read();
    let (found, start, number) = match &search.next_page_token {
        Some(token) => resume(site, token)?,
        None => (reconciled(site, &memory, caller, search)?, 0, None),
    };
    let part = found.get(start..).unwrap_or_default();
    let part = part.get(..limit).unwrap_or(part);
    let end = start + part.len();
    let mut body = b"{\"issues\":[".to_vec();
    write(site, &memory, part, &fields, text, &mut body);
    if end >= found.len() {
        body.extend_from_slice(b"],\"isLast\":true}");
        return Ok(json_bytes(body));
    }
    let number = number.unwrap_or_else(|| site.finder.keep(&found));
    let token = URL_SAFE_NO_PAD.encode(format!("{number}:{end}"));
    body.extend_from_slice(format!("],\"isLast\":false,\"nextPageToken\":\"{token}\"}}").as_bytes());
    Ok(json_bytes(body))
}

/// What a token points into, and where.
fn resume(site: &Site, token: &str) -> Result<(Found, usize, Option<u64>), Denial> {
    let refused = || Denial::bad("The provided next page token is invalid or expired.");
    let plain = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (number, start) = plain.as_deref().and_then(|text| text.split_once(':')).ok_or_else(refused)?;
    let (number, start) = (number.parse().map_err(|_| refused())?, start.parse().map_err(|_| refused())?);
    Ok((site.finder.kept(number).ok_or_else(refused)?, start, Some(number)))
}

/// What the index finds, and what it does not know yet of the issues that the caller names.
fn reconciled(site: &Site, memory: &Memory, caller: Caller, search: &Search) -> Result<Found, Denial> {
    if search.reconcile_issues.len() > RECONCILE {
        return Err(Denial::bad(format!("At most {RECONCILE} issues can be reconciled.")));
    }
    let found = site.search(memory, &search.jql, caller)?;
    let query = jql::parse(&search.jql).map_err(Denial::bad)?;
    let scope = jql::Scope { people: &memory.people, caller: caller.person };
    let named = search.reconcile_issues.iter().filter_map(|id| memory.find(Reference::Id(*id)));
    let fits = |at: &usize| !found.contains(at) && memory.at(*at).is_some_and(|issue| query.matches(&issue, scope));
    let late: Vec<_> = named.filter(fits).collect();
    if late.is_empty() {
        return Ok(found);
    }
    Ok(Found::new(late.into_iter().chain(found.iter().copied()).collect()))
}

fn write(site: &Site, memory: &Memory, part: &[usize], fields: &Fields, text: Text, body: &mut Vec<u8>) {
    body.reserve(part.len() * 3_000);
    let issues = part.iter().filter_map(|position| memory.at(*position));
    for (nth, issue) in issues.enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        push(body, &Issue { site, memory, issue: &issue, fields, text });
    }
}

async fn offsets(State(sandbox): Shared, caller: Caller, text: Text, query: Parameters) -> Result<Response, Denial> {
    by_offset(&sandbox.jsm, caller, text, &Search::of(&query)?)
}

async fn offsets_posted(
    State(sandbox): Shared,
    caller: Caller,
    text: Text,
    Body(search): Body<Search>,
) -> Result<Response, Denial> {
    by_offset(&sandbox.jsm, caller, text, &search)
}

/// The older search. Its pages shift when issues come and go in between, as the real ones do.
fn by_offset(site: &Site, caller: Caller, text: Text, search: &Search) -> Result<Response, Denial> {
    let fields = search.fields(&["*navigable"]);
    let limit = search.max_results.unwrap_or(DEFAULT).min(OFFSET_PAGE);
    let memory = site.read();
    let found = site.search(&memory, &search.jql, caller)?;
    let start = search.start_at.unwrap_or_default();
    let part = found.get(start.min(found.len())..).unwrap_or_default();
    let part = part.get(..limit).unwrap_or(part);
    let total = found.len();
    let frame = format!(
        "{{\"expand\":\"schema,names\",\"startAt\":{start},\"maxResults\":{limit},\"total\":{total},\"issues\":["
    );
    let mut body = frame.into_bytes();
    write(site, &memory, part, &fields, text, &mut body);
    body.extend_from_slice(b"]}");
    Ok(json_bytes(body))
}

/// Cloud has taken the older search away.
async fn removed() -> Response {
    let message = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.";
    Denial::new(StatusCode::GONE, message).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    jql: String,
}

async fn count(State(sandbox): Shared, caller: Caller, Body(wanted): Body<Count>) -> Result<Json<Value>, Denial> {
    let found = sandbox.jsm.search(&sandbox.jsm.read(), &wanted.jql, caller)?;
    Ok(Json(json!({ "count": found.len() })))
}
