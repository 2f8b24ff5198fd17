//! Participants: customers who follow a request that is not theirs.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;

use super::{Persons, Routes, Shared, at, view};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::denial::Denial;
use crate::jsm::input::{Body, Parameters};
use crate::jsm::memory::Effect;
use crate::jsm::paging::push;

pub(super) fn routes() -> Routes {
    at("/request/{key}/participant", get(list).post(add).delete(remove))
}

async fn list(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    query: Parameters,
) -> Result<Response, Denial> {
    answer(&sandbox.jsm, &key, caller, &uri, &query)
}

async fn add(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    Body(persons): Body<Persons>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let wanted = persons.find(site)?;
    change(site, &key, caller, |all| {
        for person in wanted {
            if !all.contains(&person) {
                all.push(person);
            }
        }
    })?;
    answer(site, &key, caller, &uri, &Parameters::default())
}

async fn remove(
    State(sandbox): Shared,
    caller: Caller,
    Path(key): Path<String>,
    uri: Uri,
    Body(persons): Body<Persons>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let unwanted = persons.find(site)?;
    change(site, &key, caller, |all| all.retain(|person| !unwanted.contains(person)))?;
    answer(site, &key, caller, &uri, &Parameters::default())
}

fn change(site: &Site, key: &str, caller: Caller, change: impl FnOnce(&mut Vec<usize>)) -> Result<(), Denial> {
    site.look(key, caller, |_| ())?;
    let mut memory = site.write();
    let position = site.find(&memory, key, caller)?;
    memory.change(position, Effect::Shared, |issue, _| change(&mut issue.participants))?;
    Ok(())
}

fn answer(site: &Site, key: &str, caller: Caller, uri: &Uri, query: &Parameters) -> Result<Response, Denial> {
    let all = site.look(key, caller, |issue| issue.participants.clone())?;
    let memory = site.read();
    Ok(site.page(uri, query)?.answer(&all, |at, out| push(out, &view::person(&memory, *at))))
}
