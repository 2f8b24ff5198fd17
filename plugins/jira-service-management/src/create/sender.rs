//! From a record to requests.

use serde_json::Map;
use wherry_sdk::http::{Answer, Method};
use wherry_sdk::prelude::*;

use super::params::{Create, Table};
use super::patience;
use super::record::{NewComment, NewCustomer, NewOrganization, NewParticipants, NewRequest};
use crate::Cx;
use crate::site::{self, Api, Flavour};

/// What Jira calls what it created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// On Data Center.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Creates what a record describes. Nothing comes back from a dry run, or where Jira says nothing.
pub(super) fn create(cx: &Cx<'_>, params: &Create, record: &Record<'_>) -> Result<Option<Created>> {
    match params.table {
        Table::Requests => request(cx, params, record.parse()?),
        Table::RequestComments => {
            let NewComment { issue_key, body, public } = record.parse()?;
            let path = ["request", issue_key.as_str(), "comment"];
            post(cx, &path, &json!({ "body": body, "public": public }), 201)
        }
        Table::RequestParticipants => {
            let NewParticipants { issue_key, account_ids, usernames } = record.parse()?;
            let people = people(account_ids, usernames)?;
            post(cx, &["request", issue_key.as_str(), "participant"], &people, 200).map(|_| None)
        }
        Table::Customers => customer(cx, params, record.parse()?),
        Table::Organizations => organization(cx, params, record.parse()?),
    }
}

fn request(cx: &Cx<'_>, params: &Create, record: NewRequest) -> Result<Option<Created>> {
    let desk = record.service_desk_id.as_ref().or(params.service_desk.as_ref()).or(cx.options().service_desk.as_ref());
    let desk = desk.ok_or_else(|| lacks("serviceDeskId"))?;
    let kind = record.request_type_id.as_ref().or(params.request_type.as_ref());
    let kind = kind.ok_or_else(|| lacks("requestTypeId"))?;
    // Jira refuses ids that are numbers.
    let mut body = Map::from_iter([
        ("serviceDeskId".to_owned(), json!(desk)),
        ("requestTypeId".to_owned(), json!(kind)),
        ("requestFieldValues".to_owned(), Value::Object(record.request_field_values)),
    ]);
    let participants = record.request_participants;
    for (name, value) in [
        ("raiseOnBehalfOf", record.raise_on_behalf_of.map(Value::from)),
        ("requestParticipants", (!participants.is_empty()).then(|| json!(participants))),
        ("channel", record.channel.map(Value::from)),
        ("isAdfRequest", record.is_adf_request.map(Value::from)),
    ] {
        body.extend(value.map(|value| (name.to_owned(), value)));
    }
    post(cx, &["request"], &Value::Object(body), 201)
}

/// An account for an address, and then the account as a customer of a desk, where one is named.
fn customer(cx: &Cx<'_>, params: &Create, record: NewCustomer) -> Result<Option<Created>> {
    let NewCustomer { email, display_name, account_id, username, service_desk_id } = record;
    let desk = service_desk_id.as_ref().or(params.service_desk.as_ref());
    let Some(email) = email else {
        let desk = desk.ok_or_else(|| lacks("email, or of serviceDeskId beside an account"))?;
        let people = people(account_id.into_iter().collect(), username.into_iter().collect())?;
        return post(cx, &["servicedesk", desk.as_str(), "customer"], &people, 204).map(|_| None);
    };
    let name_field = match site::flavour(cx)? {
        Flavour::Cloud => "displayName",
        Flavour::DataCenter => "fullName",
    };
    let name = display_name.unwrap_or_else(|| email.clone());
    let created = post(cx, &["customer"], &json!({ "email": email, name_field: name }), 201)?;
    let Some(desk) = desk else { return Ok(created) };
    let people = match &created {
        Some(Created { account_id: Some(id), .. }) => json!({ "accountIds": [id] }),
        Some(Created { name: Some(name), .. }) => json!({ "usernames": [name] }),
        Some(Created { .. }) | None => return Err(half_done(unnamed(), &created)),
    };
    post(cx, &["servicedesk", desk.as_str(), "customer"], &people, 204).map_err(|error| half_done(error, &created))?;
    Ok(created)
}

fn organization(cx: &Cx<'_>, params: &Create, record: NewOrganization) -> Result<Option<Created>> {
    let created = post(cx, &["organization"], &json!({ "name": record.name }), 201)?;
    let desk = record.service_desk_id.as_ref().or(params.service_desk.as_ref());
    let Some(desk) = desk else { return Ok(created) };
    let Some(Created { id: Some(id), .. }) = &created else { return Err(half_done(unnamed(), &created)) };
    // Here Jira wants a number.
    let id = id.parse::<u64>().map_or_else(|_| json!(id), Value::from);
    let body = json!({ "organizationId": id });
    post(cx, &["servicedesk", desk.as_str(), "organization"], &body, 204)
        .map_err(|error| half_done(error, &created))?;
    Ok(created)
}

/// The answer to the first of two steps does not say what was created.
fn unnamed() -> Error {
    Error::data("jira.half_created", "the answer does not name what was created")
}

/// The first of two steps stands although the second failed: whoever repeats the record has to know.
fn half_done(error: Error, created: &Option<Created>) -> Error {
    let message = "Jira created it and then refused to add it to the service desk; do not create it again, add what is \
                   named in the details";
    let details = json!({ "created": created, "code": error.code, "refusal": error.details });
    if !error.is_about_one_record() {
        return error.with_details(details);
    }
    Error { message: message.to_owned(), ..error.coded("jira.half_created").with_details(details) }
}

fn people(account_ids: Vec<String>, usernames: Vec<String>) -> Result<Value> {
    match (account_ids.is_empty(), usernames.is_empty()) {
        (false, true) => Ok(json!({ "accountIds": account_ids })),
        (true, false) => Ok(json!({ "usernames": usernames })),
        (true, true) | (false, false) => Err(lacks("either account ids or user names")),
    }
}

fn lacks(what: &str) -> Error {
    Error::data("connector.record_invalid", format!("the record lacks {what}, and no parameter gives it"))
}

/// Sends a body and wants this very status: a page for signing in, for instance, comes with another one.
fn post(cx: &Cx<'_>, path: &[&str], body: &Value, status: u16) -> Result<Option<Created>> {
    let request = || site::request(cx, Api::Desk, Method::Post, path).json(body);
    if cx.is_dry_run() {
        return request().build().map(|_| None);
    }
    let answer = patience::send(cx, request)?;
    if answer.status() != status {
        return Err(unexpected(&answer, status));
    }
    // What was created stands, whatever came of the answer's body.
    Ok(answer.json().ok())
}

fn unexpected(answer: &Answer, status: u16) -> Error {
    if let Err(page) = answer.refuse_page() {
        return page;
    }
    let message = format!("Jira answered {} where {status} says that it is done; look whether it is", answer.status());
    Error::transient("http.answer_unexpected", message).with_details(answer.shown())
}
