//! What queries can ask of an issue.

use std::borrow::Cow;

use crate::jsm::catalogue::{self, Category, FIELDS};
use crate::jsm::date::Millis;
use crate::jsm::issue::Issue;
use crate::jsm::people::People;

/// A field in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Project,
    Key,
    Status,
    StatusCategory,
    Resolution,
    Priority,
    IssueType,
    RequestType,
    Reporter,
    Assignee,
    Organisation,
    Labels,
    Created,
    Updated,
    Resolved,
    Summary,
    Description,
    Comment,
    Text,
    /// The id of a custom field.
    Custom(String),
}

impl Field {
    /// By name, by `cf[…]`, or by the name of a custom field.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let custom = |number: &str| {
            let known = FIELDS.iter().find(|field| field.is_custom() && field.number.to_string() == number);
            known.map(|field| Self::Custom(field.id()))
        };
        let lower = name.to_lowercase();
        if let Some(number) = lower.strip_prefix("cf[").and_then(|rest| rest.strip_suffix(']')) {
            return custom(number).ok_or_else(|| unknown(name));
        }
        Ok(match lower.as_str() {
            "project" => Self::Project,
            "key" | "issue" | "issuekey" | "id" => Self::Key,
            "status" => Self::Status,
            "statuscategory" => Self::StatusCategory,
            "resolution" => Self::Resolution,
            "priority" => Self::Priority,
            "issuetype" | "type" => Self::IssueType,
            "request type" | "request-type" => Self::RequestType,
            "reporter" | "creator" => Self::Reporter,
            "assignee" => Self::Assignee,
            "organizations" => Self::Organisation,
            "labels" => Self::Labels,
            "created" | "createddate" => Self::Created,
            "updated" | "updateddate" => Self::Updated,
            "resolved" | "resolutiondate" => Self::Resolved,
            "summary" => Self::Summary,
            "description" => Self::Description,
            "comment" => Self::Comment,
            "text" => Self::Text,
            _ => {
                let known = FIELDS.iter().find(|field| field.is_custom() && field.name.eq_ignore_ascii_case(name));
                Self::Custom(known.ok_or_else(|| unknown(name))?.id())
            }
        })
    }

    /// The moment that the field holds.
    pub(super) fn moment(&self, issue: &Issue) -> Option<Millis> {
        match self {
            Self::Created => Some(issue.created),
            Self::Updated => Some(issue.updated),
            Self::Resolved => issue.resolved(),
            Self::Key => Some((Millis::from(issue.desk) << 40) + Millis::try_from(issue.number).unwrap_or_default()),
            Self::Status => Some(issue.status.into()),
            Self::Priority => Some(issue.priority.into()),
            Self::Project | Self::StatusCategory | Self::Resolution | Self::IssueType | Self::RequestType => None,
            Self::Reporter | Self::Assignee | Self::Organisation | Self::Labels | Self::Summary => None,
            Self::Description | Self::Comment | Self::Text | Self::Custom(_) => None,
        }
    }

    pub(super) fn is_date(&self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Resolved)
    }

    /// Calls `look` with each name of the field's value until it is satisfied. No call: the field is empty.
    pub(super) fn any<'a>(&self, issue: &'a Issue, people: &'a People, look: &mut dyn FnMut(&str) -> bool) -> bool {
        let desk = issue.desk();
        match self {
            Self::Project => look(desk.key) || look(desk.project) || look(desk.name),
            Self::Key => look(&issue.key()) || look(&issue.id.to_string()),
            Self::Status => look(catalogue::status(issue.status).name) || look(catalogue::status(issue.status).id),
            Self::StatusCategory => match catalogue::status(issue.status).category {
                Category::New => look("new") || look("To Do") || look("2"),
                Category::Moving => look("indeterminate") || look("In Progress") || look("4"),
                Category::Done => look("done") || look("3"),
            },
            Self::Resolution => look(if issue.is_open() { "Unresolved" } else { "Done" }),
            Self::Priority => {
                look(catalogue::priority(issue.priority).1) || look(catalogue::priority(issue.priority).0)
            }
            Self::IssueType => {
                look(catalogue::issue_type(issue.issue_type).1) || look(catalogue::issue_type(issue.issue_type).0)
            }
            Self::RequestType => issue.kind().is_some_and(|kind| look(kind.name) || look(kind.id)),
            Self::Reporter => people.get(issue.reporter).is_some_and(|person| look(&person.id) || look(&person.email)),
            Self::Assignee => issue
                .assignee
                .and_then(|at| people.get(at))
                .is_some_and(|person| look(&person.id) || look(&person.email)),
            Self::Organisation => issue.organisation.is_some_and(|id| look(&id.to_string())),
            Self::Labels => issue.labels.iter().any(|label| look(label)),
            Self::Summary => look(&issue.summary),
            Self::Description => issue.description.as_deref().is_some_and(look),
            Self::Comment => issue.comments.iter().any(|comment| look(&comment.body)),
            Self::Text => {
                look(&issue.summary)
                    || issue.description.as_deref().is_some_and(&mut *look)
                    || issue.comments.iter().any(|comment| look(&comment.body))
                    || issue.values.values().filter_map(|value| value.as_str()).any(look)
            }
            Self::Custom(id) => custom(issue, id).iter().any(|text| look(text)),
            Self::Created | Self::Updated | Self::Resolved => false,
        }
    }
}

/// What a custom field's value is called.
fn custom(issue: &Issue, id: &str) -> Vec<Cow<'static, str>> {
    let Some(value) = issue.value(id) else { return Vec::new() };
    let values = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    values.iter().flat_map(names).map(Cow::Owned).collect()
}

/// What a single value is called: a text by itself, a choice or person by each of its texts.
fn names(value: &serde_json::Value) -> Vec<String> {
    match (value.as_str(), value.as_object()) {
        (Some(text), _) => vec![text.to_owned()],
        (None, Some(fields)) => fields.values().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        (None, None) => vec![value.to_string()],
    }
}

fn unknown(name: &str) -> String {
    format!("Field '{name}' does not exist or you do not have permission to view it.")
}
