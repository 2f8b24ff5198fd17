//! An issue as the platform shows it, written straight into the answer.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::jsm::Site;
use crate::jsm::date;
use crate::jsm::document;
use crate::jsm::issue::{self, Comment};
use crate::jsm::memory::{File, Memory};

/// The field that holds the request type.
pub(super) const REQUEST_TYPE: &str = "customfield_10001";

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Plain,
    Document,
}

impl Text {
    pub(super) fn show(self, text: &str) -> Value {
        match self {
            Self::Plain => json!(text),
            Self::Document => document::from_text(text),
        }
    }

    /// The text that a caller sent.
    pub(super) fn take(self, value: &Value) -> Option<String> {
        match self {
            Self::Plain => value.as_str().map(str::to_owned),
            Self::Document => document::to_text(value),
        }
    }
}

/// Which fields are wanted.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    all: bool,
    names: Vec<String>,
    without: Vec<String>,
}

impl Fields {
    pub(crate) fn named(names: &[&str]) -> Self {
        let mut fields = Self::default();
        for name in names {
            match (*name, name.strip_prefix('-')) {
                (_, Some(name)) => fields.without.push(name.to_owned()),
                ("*all" | "*navigable", _) => fields.all = true,
                (name, None) => fields.names.push(name.to_owned()),
            }
        }
        // Whoever only leaves something out wants the rest.
        fields.all |= fields.names.is_empty() && !fields.without.is_empty();
        fields
    }

    pub(super) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether nothing but keys and ids is wanted.
    pub(super) fn is_bare(&self) -> bool {
        !self.all && self.names.iter().all(|name| name == "id" || name == "key" || name == "issuekey")
    }

    fn wants(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|one| one == name);
        (self.all || named(&self.names)) && !named(&self.without)
    }
}

/// An issue with the wanted fields.
pub(crate) struct Issue<'a> {
    pub(crate) site: &'a Site,
    pub(crate) memory: &'a Memory,
    pub(crate) issue: &'a issue::Issue,
    pub(crate) fields: &'a Fields,
    pub(crate) text: Text,
}

impl Serialize for Issue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("expand", "renderedFields,names,schema,operations,editmeta,changelog")?;
        map.serialize_entry("id", &self.issue.id.to_string())?;
        map.serialize_entry("self", &format!("{}/issue/{}", self.api(), self.issue.id))?;
        map.serialize_entry("key", &self.issue.key())?;
        if !self.fields.is_bare() {
            map.serialize_entry("fields", &Values(self))?;
        }
        map.end()
    }
}

impl Issue<'_> {
    fn api(&self) -> String {
        api(self.site, self.text)
    }

    fn person(&self, at: usize) -> Option<&RawValue> {
        self.memory.people.get(at).map(|person| &*person.platform)
    }
}

/// The base of the interface that shows texts like this.
pub(super) fn api(site: &Site, text: Text) -> String {
    format!("{}/rest/api/{}", site.base, if text == Text::Document { 3 } else { 2 })
}

struct Values<'a>(&'a Issue<'a>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Issue { site, memory, issue, fields, text } = self.0;
        let (rendered, desk) = (&site.rendered, usize::from(issue.desk));
        let mut map = serializer.serialize_map(None)?;
        macro_rules! entry {
            ($name:literal, $value:expr) => {
                if fields.wants($name) {
                    map.serialize_entry($name, &$value)?;
                }
            };
        }
        entry!("summary", issue.summary);
        entry!("description", issue.description.as_deref().map(|description| text.show(description)));
        entry!("issuetype", rendered.issue_types.get(usize::from(issue.issue_type)));
        entry!("project", rendered.projects.get(desk));
        entry!("status", rendered.statuses.get(usize::from(issue.status)));
        entry!("priority", rendered.priorities.get(usize::from(issue.priority)));
        entry!("resolution", issue.resolved().map(|_| json!({ "id": "10000", "name": "Done", "description": "" })));
        entry!("resolutiondate", issue.resolved().map(date::platform));
        entry!("created", date::platform(issue.created));
        entry!("updated", date::platform(issue.updated));
        entry!("reporter", self.0.person(issue.reporter));
        entry!("creator", self.0.person(issue.reporter));
        entry!("assignee", issue.assignee.and_then(|at| self.0.person(at)));
        entry!("labels", issue.labels);
        entry!("attachment", attachments(site, memory, issue, *text));
        entry!("comment", comments(site, memory, issue, *text));
        entry!("customfield_10001", issue.kind.and_then(|kind| rendered.type_fields.get(usize::from(kind))));
        for (id, field) in &rendered.fields {
            if (field.is_custom() || id == "duedate") && fields.wants(id) {
                map.serialize_entry(id, &issue.value(id))?;
            }
        }
        map.end()
    }
}

fn comments(site: &Site, memory: &Memory, issue: &issue::Issue, text: Text) -> Value {
    let all: Vec<_> = issue.comments.iter().map(|one| comment(site, memory, issue.id, one, text)).collect();
    json!({ "comments": all, "maxResults": all.len(), "total": all.len(), "startAt": 0 })
}

/// A comment.
pub(super) fn comment(site: &Site, memory: &Memory, issue: u64, comment: &Comment, text: Text) -> Value {
    let author = memory.people.get(comment.author).map(|person| &person.platform);
    json!({
        "self": format!("{}/issue/{issue}/comment/{}", api(site, text), comment.id),
        "id": comment.id.to_string(),
        "author": author,
        "updateAuthor": author,
        "body": text.show(&comment.body),
        "created": date::platform(comment.created),
        "updated": date::platform(comment.updated),
        "jsdPublic": comment.public,
    })
}

fn attachments(site: &Site, memory: &Memory, issue: &issue::Issue, text: Text) -> Vec<Value> {
    let files = issue.attachments.iter().filter_map(|id| memory.file(*id));
    files.map(|file| attachment(site, memory, file, text)).collect()
}

/// A file.
pub(super) fn attachment(site: &Site, memory: &Memory, file: &File, text: Text) -> Value {
    let api = api(site, text);
    json!({
        "self": format!("{api}/attachment/{}", file.id),
        "id": file.id.to_string(),
        "filename": file.name,
        "author": memory.people.get(file.author).map(|person| &person.platform),
        "created": date::platform(file.created),
        "size": file.bytes.len(),
        "mimeType": file.media_type,
        "content": format!("{api}/attachment/content/{}", file.id),
    })
}
