//! An issue, which the service desk calls a request if it has a request type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::{self, Category, DESKS, RequestType, TYPES};
use super::date::Millis;
use super::field::Choice;

/// An issue with everything that hangs on it.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) desk: u8,
    /// The number in its key.
    pub(crate) number: usize,
    /// Position of its request type; none if it was created on the platform.
    pub(crate) kind: Option<u8>,
    pub(crate) issue_type: u8,
    pub(crate) summary: Cow<'static, str>,
    pub(crate) description: Option<Cow<'static, str>>,
    pub(crate) priority: u8,
    pub(crate) status: u8,
    pub(crate) reporter: usize,
    pub(crate) assignee: Option<usize>,
    /// Shared with this organisation.
    pub(crate) organisation: Option<u64>,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    /// Statuses after the first one, oldest first.
    pub(crate) history: Vec<(u8, Millis)>,
    pub(crate) labels: Vec<String>,
    /// Custom fields and the due date, by id.
    pub(crate) values: BTreeMap<String, Value>,
    /// The impact of a seeded issue: kept apart, so that a hundred thousand of them are cheap.
    pub(crate) impact: Option<&'static Choice>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) participants: Vec<usize>,
    pub(crate) attachments: Vec<u64>,
    pub(crate) approval: Option<Approval>,
    pub(crate) properties: BTreeMap<String, Value>,
    pub(crate) links: Vec<Link>,
    pub(crate) gone: bool,
}

/// A comment.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: usize,
    pub(crate) body: Cow<'static, str>,
    pub(crate) public: bool,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) attachments: Vec<u64>,
}

/// A decision that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Approval {
    pub(crate) id: u64,
    /// `approved` or `declined`, once somebody decided.
    pub(crate) decision: Option<(&'static str, Millis)>,
}

/// A link to something elsewhere; the global id makes writing it twice the same as once.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) global_id: Option<String>,
    pub(crate) object: Value,
}

impl Issue {
    pub(crate) fn desk(&self) -> &'static catalogue::Desk {
        catalogue::desk(self.desk)
    }

    pub(crate) fn kind(&self) -> Option<&'static RequestType> {
        TYPES.get(usize::from(self.kind?))
    }

    pub(crate) fn key(&self) -> String {
        format!("{}-{}", self.desk().key, self.number)
    }

    pub(crate) fn is_open(&self) -> bool {
        catalogue::status(self.status).category != Category::Done
    }

    /// When it reached a status that ends it.
    pub(crate) fn resolved(&self) -> Option<Millis> {
        if self.is_open() { None } else { Some(self.history.last().map_or(self.created, |(_, at)| *at)) }
    }

    /// What callers recognise it by: the external reference, else the first label.
    pub(crate) fn reference(&self) -> Option<&str> {
        let reference = self.values.get("customfield_10020").and_then(Value::as_str);
        reference.or_else(|| self.labels.first().map(String::as_str))
    }

    /// What a caller sends for it: the same for two issues that were made of one record.
    pub(crate) fn content(&self) -> impl std::hash::Hash {
        let kind = (self.desk, self.kind, self.issue_type, self.priority, self.reporter);
        let values = serde_json::to_string(&self.values).unwrap_or_default();
        (kind, self.summary.clone(), self.description.clone(), values, self.participants.clone())
    }

    /// The value of a custom field.
    pub(crate) fn value(&self, id: &str) -> Option<Value> {
        match (self.values.get(id), self.impact) {
            (Some(value), _) => Some(value.clone()).filter(|value| !value.is_null()),
            (None, Some(choice)) if catalogue::IMPACT.is_named(id) => {
                Some(serde_json::json!({ "id": choice.id, "value": choice.label }))
            }
            (None, _) => None,
        }
    }

    /// Takes the step to a status.
    pub(crate) fn step(&mut self, status: u8, at: Millis) {
        self.status = status;
        self.updated = at;
        self.history.push((status, at));
    }
}

/// What a key or id says: the desk and the number in it, or the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    Key(u8, usize),
    Id(u64),
}

impl Reference {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.rsplit_once('-') {
            Some((project, number)) => {
                let desk = catalogue::position(&DESKS, |desk| desk.key.eq_ignore_ascii_case(project))?;
                Some(Self::Key(desk, number.parse().ok()?))
            }
            None => text.parse().ok().map(Self::Id),
        }
    }
}

impl Issue {
    /// An issue of which nothing is known yet but where it belongs and whose it is.
    pub(crate) fn blank(desk: u8, issue_type: u8, reporter: usize, at: Millis) -> Self {
        Self {
            id: 0,
            desk,
            number: 0,
            kind: None,
            issue_type,
            summary: Cow::Borrowed(""),
            description: None,
            priority: catalogue::MEDIUM,
            status: 0,
            reporter,
            assignee: None,
            organisation: None,
            created: at,
            updated: at,
            history: Vec::new(),
            labels: Vec::new(),
            values: BTreeMap::new(),
            impact: None,
            comments: Vec::new(),
            participants: Vec::new(),
            attachments: Vec::new(),
            approval: None,
            properties: BTreeMap::new(),
            links: Vec::new(),
            gone: false,
        }
    }
}
