//! Customers: accounts that may raise requests.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::{Persons, Routes, Shared, at, enter, view};
use crate::jsm::denial::Denial;
use crate::jsm::gate::{Agent, OptedIn};
use crate::jsm::input::{Body, Parameters};
use crate::jsm::paging::push;
use crate::jsm::people::{LIMIT, Person, person_id};

pub(super) fn routes() -> Routes {
    at("/customer", post(create)).merge(at("/servicedesk/{desk}/customer", get(list).post(add).delete(remove)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewCustomer {
    email: String,
    display_name: Option<String>,
    full_name: Option<String>,
}

async fn create(State(sandbox): Shared, _: Agent, Body(wanted): Body<NewCustomer>) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let name = wanted.display_name.or(wanted.full_name).unwrap_or_else(|| wanted.email.clone());
    let (short, host) = wanted.email.split_once('@').unwrap_or_default();
    if short.is_empty() || !host.contains('.') || wanted.email.contains(char::is_whitespace) {
        return Err(Denial::bad(format!("The email address '{}' is not valid.", wanted.email)));
    }
    let mut memory = site.write();
    if memory.people.find(&wanted.email).is_some() {
        return Err(Denial::bad("An account already exists for this email address."));
    }
    let at = memory.people.all.len();
    if at >= LIMIT {
        return Err(Denial::from(crate::jsm::memory::Full));
    }
    let id = person_id(site.flavour, &wanted.email, at);
    memory.people.all.push(Person::new(site.flavour, &site.base, id, wanted.email, name));
    let shown = Json(view::person(&memory, at));
    Ok((StatusCode::CREATED, shown).into_response())
}

async fn list(
    State(sandbox): Shared,
    _: Agent,
    _: OptedIn,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let (site, at) = (&sandbox.jsm, usize::from(enter(&desk)?));
    let memory = site.read();
    let matching = memory.people.search(query.get("query").unwrap_or_default());
    let customers = memory.people.customers.get(at).map(Vec::as_slice).unwrap_or_default();
    let found: Vec<_> = customers.iter().filter(|at| matching.contains(at)).collect();
    Ok(site.page(&uri, &query)?.answer(&found, |at, out| push(out, &view::person(&memory, **at))))
}

async fn add(
    State(sandbox): Shared,
    _: Agent,
    Path(desk): Path<String>,
    Body(persons): Body<Persons>,
) -> Result<StatusCode, Denial> {
    change(&sandbox, &desk, &persons, |all, person| {
        if !all.contains(&person) {
            all.push(person);
        }
    })
}

async fn remove(
    State(sandbox): Shared,
    _: Agent,
    _: OptedIn,
    Path(desk): Path<String>,
    Body(persons): Body<Persons>,
) -> Result<StatusCode, Denial> {
    change(&sandbox, &desk, &persons, |all, person| all.retain(|other| *other != person))
}

fn change(
    sandbox: &crate::Sandbox,
    desk: &str,
    persons: &Persons,
    change: impl Fn(&mut Vec<usize>, usize),
) -> Result<StatusCode, Denial> {
    let at = usize::from(enter(desk)?);
    let persons = persons.find(&sandbox.jsm)?;
    let mut memory = sandbox.jsm.write();
    if let Some(all) = memory.people.customers.get_mut(at) {
        persons.into_iter().for_each(|person| change(all, person));
    }
    Ok(StatusCode::NO_CONTENT)
}
