//! What is the same in every answer, written once.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::catalogue::{self, Category, DESKS, FIELDS, ISSUE_TYPES, PRIORITIES, STATUSES, TYPES};
use super::field::Field;
use super::flavour::Flavour;
use super::people::raw;

/// JSON by position in the catalogue.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) statuses: Vec<Box<RawValue>>,
    pub(crate) priorities: Vec<Box<RawValue>>,
    pub(crate) issue_types: Vec<Box<RawValue>>,
    pub(crate) projects: Vec<Box<RawValue>>,
    /// As the service desk shows them.
    pub(crate) desks: Vec<Box<RawValue>>,
    pub(crate) types: Vec<Box<RawValue>>,
    /// The value of the field that holds the request type.
    pub(crate) type_fields: Vec<Box<RawValue>>,
    /// Ids of all fields.
    pub(crate) fields: Vec<(String, &'static Field)>,
}

impl Rendered {
    pub(crate) fn new(flavour: Flavour, base: &str) -> Self {
        let api = format!("{base}/rest/api/{}", if flavour == Flavour::Cloud { 3 } else { 2 });
        let desk = format!("{base}/rest/servicedeskapi");
        Self {
            statuses: STATUSES.iter().map(|status| raw(&status_json(&api, status))).collect(),
            priorities: PRIORITIES.iter().map(|one| raw(&priority_json(base, &api, one))).collect(),
            issue_types: ISSUE_TYPES.iter().map(|one| raw(&issue_type_json(base, &api, one))).collect(),
            projects: DESKS.iter().map(|one| raw(&project_json(base, &api, one))).collect(),
            desks: DESKS.iter().map(|one| raw(&desk_json(&desk, one))).collect(),
            types: TYPES.iter().map(|one| raw(&type_json(base, &desk, one))).collect(),
            type_fields: TYPES.iter().map(|one| raw(&type_field(base, &desk, one))).collect(),
            fields: FIELDS.iter().map(|field| (field.id(), *field)).collect(),
        }
    }
}

/// A category as the platform shows it.
pub(crate) fn category_json(api: &str, category: Category) -> Value {
    let (id, key, name, colour) = match category {
        Category::New => (2, "new", "To Do", "blue-gray"),
        Category::Moving => (4, "indeterminate", "In Progress", "yellow"),
        Category::Done => (3, "done", "Done", "green"),
    };
    json!({ "self": format!("{api}/statuscategory/{id}"), "id": id, "key": key, "name": name, "colorName": colour })
}

fn status_json(api: &str, status: &catalogue::Status) -> Value {
    json!({
        "self": format!("{api}/status/{}", status.id),
        "id": status.id,
        "name": status.name,
        "description": "",
        "iconUrl": format!("{api}/images/status.png"),
        "statusCategory": category_json(api, status.category),
    })
}

fn priority_json(base: &str, api: &str, (id, name): &(&str, &str)) -> Value {
    json!({ "self": format!("{api}/priority/{id}"), "id": id, "name": name, "iconUrl": format!("{base}/priority.svg") })
}

fn issue_type_json(base: &str, api: &str, (id, name, description): &(&str, &str, &str)) -> Value {
    json!({
        "self": format!("{api}/issuetype/{id}"),
        "id": id,
        "name": name,
        "description": description,
        "iconUrl": format!("{base}/issuetype.svg"),
        "subtask": false,
        "hierarchyLevel": 0,
    })
}

fn project_json(base: &str, api: &str, desk: &catalogue::Desk) -> Value {
    let avatar = |size: u32| (format!("{size}x{size}"), json!(format!("{base}/projects/{}-{size}.png", desk.key)));
    json!({
        "self": format!("{api}/project/{}", desk.project),
        "id": desk.project,
        "key": desk.key,
        "name": desk.name,
        "projectTypeKey": "service_desk",
        "simplified": false,
        "avatarUrls": sizes(avatar),
    })
}

fn desk_json(desk_api: &str, desk: &catalogue::Desk) -> Value {
    json!({
        "id": desk.id,
        "projectId": desk.project,
        "projectKey": desk.key,
        "projectName": desk.name,
        "_links": { "self": format!("{desk_api}/servicedesk/{}", desk.id) },
    })
}

fn type_json(base: &str, desk_api: &str, kind: &catalogue::RequestType) -> Value {
    let desk = catalogue::desk(u8::try_from(kind.desk).unwrap_or_default());
    let issue_type = catalogue::issue_type(u8::try_from(kind.issue_type).unwrap_or_default()).0;
    let icon = |size: u32| (format!("{size}x{size}"), json!(format!("{base}/icons/{}-{size}.png", kind.id)));
    json!({
        "_expands": ["field"],
        "id": kind.id,
        "name": kind.name,
        "description": kind.description,
        "helpText": kind.help,
        "issueTypeId": issue_type,
        "serviceDeskId": desk.id,
        "groupIds": [kind.group],
        "icon": {
            "id": kind.id,
            "_links": { "iconUrls": sizes(icon) },
        },
        "_links": { "self": format!("{desk_api}/servicedesk/{}/requesttype/{}", desk.id, kind.id) },
    })
}

fn type_field(base: &str, desk_api: &str, kind: &catalogue::RequestType) -> Value {
    json!({ "requestType": type_json(base, desk_api, kind) })
}

/// A picture in every size.
fn sizes(one: impl Fn(u32) -> (String, Value)) -> Map<String, Value> {
    [16, 24, 32, 48].map(one).into_iter().collect()
}
