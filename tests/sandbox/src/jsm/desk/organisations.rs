//! Organisations of customers, and which desks they belong to.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Persons, Routes, Shared, at, enter, view};
use crate::jsm::Site;
use crate::jsm::denial::Denial;
use crate::jsm::gate::Agent;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::memory::{Full, Memory};
use crate::jsm::paging::push;
use crate::jsm::people::{LIMIT, Organisation};

pub(super) fn routes() -> Routes {
    at("/organization", get(list).post(create))
        .merge(at("/organization/{organisation}", get(one).delete(delete)))
        .merge(at("/organization/{organisation}/user", get(members).post(join).delete(leave)))
        .merge(at("/servicedesk/{desk}/organization", get(of_desk).post(admit).delete(dismiss)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrganisation {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Membership {
    organization_id: u64,
}

fn shown(site: &Site, organisation: &Organisation) -> Value {
    let link = format!("{}/rest/servicedeskapi/organization/{}", site.base, organisation.id);
    json!({ "id": organisation.id.to_string(), "name": organisation.name, "_links": { "self": link } })
}

/// Does something with the organisation of an id.
fn with<T>(memory: &mut Memory, id: &str, act: impl FnOnce(&mut Organisation) -> T) -> Result<T, Denial> {
    let missing = || Denial::missing(format!("There is no organization with the id '{id}'."));
    let at = memory.people.organisation(id).ok_or_else(missing)?;
    memory.people.organisations.get_mut(at).map(act).ok_or_else(missing)
}

fn listed(
    site: &Site,
    uri: &Uri,
    query: &Parameters,
    wanted: impl Fn(&Organisation) -> bool,
) -> Result<Response, Denial> {
    let memory = site.read();
    let living = memory.people.organisations.iter().filter(|one| !one.gone && wanted(one));
    let all: Vec<_> = living.map(|organisation| shown(site, organisation)).collect();
    Ok(site.page(uri, query)?.answer(&all, |organisation, out| push(out, organisation)))
}

async fn list(State(sandbox): Shared, _: Agent, uri: Uri, query: Parameters) -> Result<Response, Denial> {
    listed(&sandbox.jsm, &uri, &query, |_| true)
}

async fn of_desk(
    State(sandbox): Shared,
    _: Agent,
    Path(desk): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let at = enter(&desk)?;
    listed(&sandbox.jsm, &uri, &query, |organisation| organisation.desks.contains(&at))
}

async fn create(State(sandbox): Shared, _: Agent, Body(wanted): Body<NewOrganisation>) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(Denial::bad("The name of an organization has 1 to 200 characters."));
    }
    let mut memory = site.write();
    let all = &mut memory.people.organisations;
    if all.iter().any(|one| !one.gone && one.name.eq_ignore_ascii_case(name)) {
        return Err(Denial::bad("An organization with this name already exists."));
    }
    if all.len() >= LIMIT {
        return Err(Full.into());
    }
    let id = all.len() as u64 + 1;
    let organisation = Organisation { id, name: name.to_owned(), members: Vec::new(), desks: Vec::new(), gone: false };
    let body = shown(site, &organisation);
    all.push(organisation);
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn one(State(sandbox): Shared, _: Agent, Path(id): Path<String>) -> Result<Json<Value>, Denial> {
    with(&mut sandbox.jsm.write(), &id, |organisation| Json(shown(&sandbox.jsm, organisation)))
}

async fn delete(State(sandbox): Shared, _: Agent, Path(id): Path<String>) -> Result<StatusCode, Denial> {
    with(&mut sandbox.jsm.write(), &id, |organisation| organisation.gone = true)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn members(
    State(sandbox): Shared,
    _: Agent,
    Path(id): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let all = with(&mut site.write(), &id, |organisation| organisation.members.clone())?;
    let memory = site.read();
    Ok(site.page(&uri, &query)?.answer(&all, |at, out| push(out, &view::person(&memory, *at))))
}

async fn join(
    State(sandbox): Shared,
    _: Agent,
    Path(id): Path<String>,
    Body(persons): Body<Persons>,
) -> Result<StatusCode, Denial> {
    let persons = persons.find(&sandbox.jsm)?;
    with(&mut sandbox.jsm.write(), &id, |organisation| {
        let new = persons.into_iter().filter(|person| !organisation.members.contains(person)).collect::<Vec<_>>();
        organisation.members.extend(new);
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn leave(
    State(sandbox): Shared,
    _: Agent,
    Path(id): Path<String>,
    Body(persons): Body<Persons>,
) -> Result<StatusCode, Denial> {
    let persons = persons.find(&sandbox.jsm)?;
    with(&mut sandbox.jsm.write(), &id, |organisation| organisation.members.retain(|one| !persons.contains(one)))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn admit(
    State(sandbox): Shared,
    _: Agent,
    Path(desk): Path<String>,
    Body(wanted): Body<Membership>,
) -> Result<StatusCode, Denial> {
    let at = enter(&desk)?;
    with(&mut sandbox.jsm.write(), &wanted.organization_id.to_string(), |organisation| {
        if !organisation.desks.contains(&at) {
            organisation.desks.push(at);
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn dismiss(
    State(sandbox): Shared,
    _: Agent,
    Path(desk): Path<String>,
    Body(wanted): Body<Membership>,
) -> Result<StatusCode, Denial> {
    let at = enter(&desk)?;
    let id = wanted.organization_id.to_string();
    with(&mut sandbox.jsm.write(), &id, |organisation| organisation.desks.retain(|desk| *desk != at))?;
    Ok(StatusCode::NO_CONTENT)
}
