//! Fields as callers set them on the platform: checked, and put into an issue.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::view::Text;
use crate::jsm::Site;
use crate::jsm::catalogue::{self, DESKS, FIELDS, ISSUE_TYPES, PRIORITIES};
use crate::jsm::field::{Kind, named};
use crate::jsm::issue::Issue;

/// Faults by field.
pub(super) type Faults = BTreeMap<String, String>;

/// The project and type of a new issue.
pub(super) fn place(given: &Map<String, Value>) -> Result<(u8, u8), Faults> {
    let text = |field: &str, key: &str| given.get(field).and_then(|value| value.get(key)).and_then(Value::as_str);
    let project = text("project", "key").or_else(|| text("project", "id"));
    let desk =
        catalogue::position(&DESKS, |desk| desk.open && project.is_some_and(|p| p == desk.key || p == desk.project));
    let wanted = text("issuetype", "id").or_else(|| text("issuetype", "name"));
    let kind = catalogue::position(&ISSUE_TYPES, |(id, name, _)| wanted.is_some_and(|w| w == *id || w == *name));
    match (desk, kind) {
        (Some(desk), Some(kind)) => Ok((desk, kind)),
        (desk, kind) => {
            let mut faults = Faults::new();
            if desk.is_none() {
                faults.insert("project".to_owned(), "Specify a valid project ID or key".to_owned());
            }
            if kind.is_none() {
                faults.insert("issuetype".to_owned(), "Specify an issue type".to_owned());
            }
            Err(faults)
        }
    }
}

/// Puts fields into an issue; the faults of all fields at once.
pub(super) fn put(site: &Site, text: Text, given: &Map<String, Value>, issue: &mut Issue) -> Result<(), Faults> {
    let mut faults = Faults::new();
    for (id, value) in given.iter().filter(|(id, _)| *id != "project" && *id != "issuetype") {
        if let Err(fault) = put_one(site, text, id, value, issue) {
            faults.insert(id.clone(), fault);
        }
    }
    if issue.summary.trim().is_empty() && !faults.contains_key("summary") {
        faults.insert("summary".to_owned(), "You must specify a summary of the issue.".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn put_one(site: &Site, text: Text, id: &str, value: &Value, issue: &mut Issue) -> Result<(), String> {
    if id == "assignee" || id == "reporter" {
        let person = if value.is_null() { None } else { Some(person(site, value)?) };
        match (id, person) {
            ("assignee", person) => issue.assignee = person,
            (_, Some(person)) => issue.reporter = person,
            (_, None) => return Err("Reporter is required.".to_owned()),
        }
        return Ok(());
    }
    if id == "description" {
        let wrong = "Operation value must be an Atlassian Document (see the Atlassian Document Format)";
        let taken = if value.is_null() { None } else { Some(text.take(value).ok_or(wrong)?) };
        issue.description = taken.map(Cow::Owned);
        return Ok(());
    }
    let field = FIELDS
        .into_iter()
        .find(|field| field.is_named(id))
        .ok_or_else(|| format!("Field '{id}' cannot be set. It is not on the appropriate screen, or unknown."))?;
    let taken = field.take(value)?;
    match (&field.kind, taken) {
        (Kind::Text, Value::String(summary)) if id == "summary" => issue.summary = Cow::Owned(summary),
        (Kind::Text, _) if id == "summary" => issue.summary = Cow::Borrowed(""),
        (Kind::Priority, Value::Null) => issue.priority = catalogue::MEDIUM,
        (Kind::Priority, value) => {
            let wanted = named(&value).unwrap_or_default();
            let at = catalogue::position(&PRIORITIES, |(id, name)| *id == wanted || *name == wanted);
            issue.priority = at.ok_or("The priority selected is invalid.")?;
        }
        (Kind::Labels, value) => {
            let labels = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            issue.labels = labels.map(str::to_owned).collect();
        }
        (Kind::User, value) if !value.is_null() => {
            let memory = site.read();
            let shown =
                memory.people.get(memory.people.find(named(&value).unwrap_or_default()).ok_or("User does not exist.")?);
            let shown = shown.map(|person| serde_json::to_value(&person.platform).unwrap_or_default());
            issue.values.insert(id.to_owned(), shown.unwrap_or_default());
        }
        (_, value) => {
            issue.values.insert(id.to_owned(), value);
        }
    }
    Ok(())
}

fn person(site: &Site, value: &Value) -> Result<usize, String> {
    let wanted = named(value).ok_or("expected an object with an accountId or name")?;
    site.read().people.find(wanted).ok_or_else(|| format!("User '{wanted}' does not exist."))
}
