//! A request as the service desk shows it, written straight into the answer.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::jsm::Site;
use crate::jsm::catalogue::{self, Category, Use};
use crate::jsm::date::{DeskDate, Millis};
use crate::jsm::field::Kind;
use crate::jsm::issue::{Comment, Issue};
use crate::jsm::memory::{File, Memory};

/// A request with what was asked for besides.
pub(super) struct Request<'a> {
    pub(super) site: &'a Site,
    pub(super) memory: &'a Memory,
    pub(super) issue: &'a Issue,
    pub(super) expand: &'a [&'a str],
}

/// What can be asked for besides.
const EXPANDS: [&str; 8] =
    ["serviceDesk", "requestType", "participant", "sla", "status", "attachment", "action", "comment"];

/// A value on a form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldValue<'a> {
    field_id: String,
    label: &'static str,
    value: Held<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered_value: Option<Html>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Held<'a> {
    Text(&'a str),
    Raw(&'a RawValue),
    Tree(Value),
}

#[derive(Serialize)]
struct Html {
    html: String,
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (issue, site, kind) = (self.issue, self.site, usize::from(self.issue.kind.unwrap_or_default()));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_expands", &EXPANDS)?;
        map.serialize_entry("issueId", &issue.id.to_string())?;
        map.serialize_entry("issueKey", &issue.key())?;
        map.serialize_entry("requestTypeId", &issue.kind().map(|kind| kind.id))?;
        map.serialize_entry("serviceDeskId", issue.desk().id)?;
        map.serialize_entry("createdDate", &DeskDate::from(issue.created))?;
        map.serialize_entry("reporter", &person(self.memory, issue.reporter))?;
        map.serialize_entry("requestFieldValues", &self.values())?;
        map.serialize_entry("currentStatus", &status(issue.status, since(issue)))?;
        for wanted in self.expand {
            match *wanted {
                "serviceDesk" => {
                    map.serialize_entry("serviceDesk", &site.rendered.desks.get(usize::from(issue.desk)))?
                }
                "requestType" => map.serialize_entry("requestType", &site.rendered.types.get(kind))?,
                "participant" => {
                    let all: Vec<_> = issue.participants.iter().map(|at| person(self.memory, *at)).collect();
                    map.serialize_entry("participants", &whole(&all))?;
                }
                "status" => map.serialize_entry("status", &whole(&statuses(issue)))?,
                "sla" => map.serialize_entry("sla", &whole(&super::sla::all(site, issue)))?,
                "action" => map.serialize_entry("actions", &actions())?,
                "comment" => {
                    let all = issue.comments.iter().filter(|comment| comment.public);
                    let all: Vec<_> = all.map(|one| comment(site, self.memory, issue, one, &[])).collect();
                    map.serialize_entry("comments", &whole(&all))?;
                }
                "attachment" => {
                    let files = issue.attachments.iter().filter_map(|id| self.memory.file(*id));
                    let all: Vec<_> = files.map(|file| attachment(site, self.memory, file)).collect();
                    map.serialize_entry("attachments", &whole(&all))?;
                }
                _ => {}
            }
        }
        map.serialize_entry("_links", &self.links())?;
        map.end()
    }
}

impl Request<'_> {
    fn values(&self) -> Vec<FieldValue<'_>> {
        let form = self.issue.kind().map_or(&[][..], |kind| kind.fields);
        form.iter().filter_map(|used| self.value(used)).collect()
    }

    fn value(&self, Use { field, .. }: &'static Use) -> Option<FieldValue<'_>> {
        let (issue, id) = (self.issue, field.id());
        let value = match (&field.kind, id.as_str()) {
            (_, "summary") => Held::Text(&issue.summary),
            (_, "description") => Held::Text(issue.description.as_deref()?),
            (Kind::Priority, _) => Held::Raw(self.site.rendered.priorities.get(usize::from(issue.priority))?),
            (Kind::Labels, _) if issue.labels.is_empty() => return None,
            (Kind::Labels, _) => Held::Tree(json!(issue.labels)),
            (_, id) => Held::Tree(issue.value(id)?),
        };
        let html = matches!(field.kind, Kind::LongText).then(|| issue.description.as_deref().map(html)).flatten();
        Some(FieldValue { field_id: id, label: field.name, value, rendered_value: html.map(|html| Html { html }) })
    }

    fn links(&self) -> Value {
        let (base, issue) = (&self.site.base, self.issue);
        json!({
            "jiraRest": format!("{base}/rest/api/2/issue/{}", issue.id),
            "web": format!("{base}/servicedesk/customer/portal/{}/{}", issue.desk().id, issue.key()),
            "self": format!("{base}/rest/servicedeskapi/request/{}", issue.id),
        })
    }
}

/// All of a list as the page that an expanded answer holds.
fn whole(all: &[impl Serialize]) -> Value {
    json!({ "_expands": [], "size": all.len(), "start": 0, "limit": 50, "isLastPage": true, "values": all })
}

fn actions() -> Value {
    let allowed = json!({ "allowed": true });
    json!({ "addAttachment": allowed, "addComment": allowed, "addParticipant": allowed, "removeParticipant": allowed })
}

/// A person as the service desk shows them.
pub(super) fn person(memory: &Memory, at: usize) -> Option<&RawValue> {
    memory.people.get(at).map(|person| &*person.desk)
}

/// When the request reached its status.
fn since(issue: &Issue) -> Millis {
    issue.history.last().map_or(issue.created, |(_, at)| *at)
}

pub(super) fn status(at: u8, since: Millis) -> Value {
    let status = catalogue::status(at);
    let category = match status.category {
        Category::New => "NEW",
        Category::Moving => "INDETERMINATE",
        Category::Done => "DONE",
    };
    json!({ "status": status.name, "statusCategory": category, "statusDate": DeskDate::from(since) })
}

/// Every status that the request has had, newest first.
pub(super) fn statuses(issue: &Issue) -> Vec<Value> {
    let later = issue.history.iter().rev().map(|(at, since)| status(*at, *since));
    later.chain(std::iter::once(status(0, issue.created))).collect()
}

/// A comment.
pub(super) fn comment(site: &Site, memory: &Memory, issue: &Issue, comment: &Comment, expand: &[&str]) -> Value {
    let mut shown = json!({
        "_expands": ["attachment", "renderedBody"],
        "id": comment.id.to_string(),
        "body": comment.body,
        "public": comment.public,
        "author": person(memory, comment.author),
        "created": DeskDate::from(comment.created),
        "_links": { "self": format!("{}/rest/servicedeskapi/request/{}/comment/{}", site.base, issue.id, comment.id) },
    });
    if let Some(fields) = shown.as_object_mut() {
        if expand.contains(&"renderedBody") {
            fields.insert("renderedBody".to_owned(), json!({ "html": html(&comment.body) }));
        }
        if expand.contains(&"attachment") {
            let files = comment.attachments.iter().filter_map(|id| memory.file(*id));
            let files: Vec<_> = files.map(|file| attachment(site, memory, file)).collect();
            fields.insert("attachments".to_owned(), whole(&files));
        }
    }
    shown
}

/// A file.
pub(super) fn attachment(site: &Site, memory: &Memory, file: &File) -> Value {
    let content = format!("{}/rest/api/3/attachment/content/{}", site.base, file.id);
    json!({
        "filename": file.name,
        "author": person(memory, file.author),
        "created": DeskDate::from(file.created),
        "size": file.bytes.len(),
        "mimeType": file.media_type,
        "_links": {
            "self": format!("{}/rest/servicedeskapi/attachment/{}", site.base, file.id),
            "jiraRest": format!("{}/rest/api/2/attachment/{}", site.base, file.id),
            "content": content,
            "thumbnail": content,
        },
    })
}

/// A text as it is shown on a page.
fn html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<p>{}</p>", escaped.replace('\n', "<br/>\n"))
}
