//! A new request: checked field by field against the form of its type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::view::Request;
use super::{Shared, enter, people, types};
use crate::jsm::Site;
use crate::jsm::access::Caller;
use crate::jsm::catalogue::{self, MEDIUM, PRIORITIES, RequestType};
use crate::jsm::date::now;
use crate::jsm::denial::Denial;
use crate::jsm::field::{Kind, named};
use crate::jsm::input::Body;
use crate::jsm::issue::{Approval, Issue};
use crate::jsm::paging::{json_bytes, push};

/// What a caller sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewRequest {
    service_desk_id: String,
    request_type_id: String,
    #[serde(default)]
    request_field_values: Map<String, Value>,
    #[serde(default)]
    request_participants: Vec<String>,
    raise_on_behalf_of: Option<String>,
    #[serde(rename = "channel")]
    _channel: Option<String>,
}

/// The values of a form, checked.
#[derive(Debug, Default)]
struct Form {
    summary: String,
    description: Option<String>,
    priority: Option<u8>,
    labels: Vec<String>,
    values: BTreeMap<String, Value>,
}

pub(super) async fn create(
    State(sandbox): Shared,
    caller: Caller,
    Body(wanted): Body<NewRequest>,
) -> Result<Response, Denial> {
    let site = &sandbox.jsm;
    let desk = enter(&wanted.service_desk_id).map_err(|denial| match denial.status() {
        StatusCode::NOT_FOUND => Denial::bad("The service desk does not exist."),
        _ => denial,
    })?;
    let (at, kind) = types::known(desk, &wanted.request_type_id)
        .map_err(|_| Denial::bad("The request type does not exist at this service desk."))?;
    let form = Form::fill(site, kind, &wanted.request_field_values)?;
    let reporter = match &wanted.raise_on_behalf_of {
        Some(id) if caller.is_agent() => people(site, std::slice::from_ref(id))?.first().copied(),
        Some(_) => return Err(Denial::forbidden("You do not have permission to raise requests on behalf of others.")),
        None => None,
    };
    let participants = people(site, &wanted.request_participants)?;
    let mut memory = site.write();
    let reporter = reporter.unwrap_or(caller.person);
    let approval = kind.approval.then(|| Approval { id: memory.fresh_id(), decision: None });
    let organisation = memory.people.home(reporter);
    let issue = Issue { participants, approval, organisation, kind: Some(at), ..form.issue(desk, kind, reporter) };
    let issue = memory.create(issue)?.into_owned();
    let mut body = Vec::new();
    push(&mut body, &Request { site, memory: &memory, issue: &issue, expand: &[] });
    let location = format!("{}/rest/servicedeskapi/request/{}", site.base, issue.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], json_bytes(body)).into_response())
}

impl Form {
    /// Every fault at once, by field.
    fn fill(site: &Site, kind: &RequestType, given: &Map<String, Value>) -> Result<Self, Denial> {
        let (mut form, mut faults) = (Self::default(), BTreeMap::new());
        for used in kind.fields {
            let (id, field) = (used.field.id(), used.field);
            let value = given.get(&id).unwrap_or(&Value::Null);
            let missing = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
            if missing && used.required {
                faults.insert(id, format!("{} is required.", field.name));
            } else if let Err(fault) = field.take(value).and_then(|value| form.put(site, &id, &field.kind, value)) {
                faults.insert(id, fault);
            }
        }
        for id in given.keys().filter(|id| !kind.fields.iter().any(|used| used.field.is_named(id))) {
            let fault = format!("Field '{id}' cannot be set. It is not on the appropriate screen, or unknown.");
            faults.insert(id.clone(), fault);
        }
        if faults.is_empty() { Ok(form) } else { Err(Denial::fields(faults)) }
    }

    fn put(&mut self, site: &Site, id: &str, kind: &Kind, value: Value) -> Result<(), String> {
        match (kind, value) {
            (_, Value::Null) => {}
            (_, Value::String(text)) if id == "summary" => self.summary = text,
            (_, Value::String(text)) if id == "description" => self.description = Some(text),
            (Kind::Priority, value) => {
                let wanted = named(&value).unwrap_or_default();
                let at = catalogue::position(&PRIORITIES, |(id, name)| *id == wanted || *name == wanted);
                self.priority = Some(at.ok_or("The priority selected is invalid.")?);
            }
            (Kind::Labels, Value::Array(labels)) => {
                self.labels = labels.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            }
            (Kind::User, value) => {
                let wanted = named(&value).unwrap_or_default();
                let memory = site.read();
                let person = memory.people.find(wanted).and_then(|at| memory.people.get(at));
                let shown = serde_json::to_value(&person.ok_or(format!("User '{wanted}' does not exist."))?.desk);
                self.values.insert(id.to_owned(), shown.unwrap_or_default());
            }
            (_, value) => {
                self.values.insert(id.to_owned(), value);
            }
        }
        Ok(())
    }

    fn issue(self, desk: u8, kind: &RequestType, reporter: usize) -> Issue {
        let at = now();
        Issue {
            summary: Cow::Owned(self.summary),
            description: self.description.map(Cow::Owned),
            priority: self.priority.unwrap_or(MEDIUM),
            labels: self.labels,
            values: self.values,
            ..Issue::blank(desk, u8::try_from(kind.issue_type).unwrap_or_default(), reporter, at)
        }
    }
}
