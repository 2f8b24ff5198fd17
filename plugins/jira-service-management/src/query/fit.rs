//! Which parameters belong to which table.

use wherry_sdk::prelude::*;

use super::params::{Query, Table, Texts};

/// The most that Jira gives of anything at once, which is bare ids.
const MOST: u64 = 5_000;
/// Issues that Cloud brings up to date.
const RECONCILED: usize = 50;
/// What narrows requests, and what hangs on them.
const REQUESTS: [&str; 9] = [
    "serviceDesk",
    "requestType",
    "issue",
    "organization",
    "requestStatus",
    "ownership",
    "approval",
    "searchTerm",
    "pageSize",
];

impl Query {
    pub(super) fn request_type(&self) -> Option<&str> {
        self.request_type.as_ref().map(|id| id.as_str())
    }

    /// The table needs a parameter that is not there.
    pub(super) fn lacks(&self, name: &str) -> Error {
        let message = format!("the table {} needs the parameter {name}", self.table);
        Error::config("connector.params_invalid", message)
    }

    /// Names of the parameters that the project sets, except those for every table.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("serviceDesk", self.service_desk.is_some()),
            ("requestType", self.request_type.is_some()),
            ("queue", self.queue.is_some()),
            ("issue", self.issue.is_some()),
            ("organization", self.organization.is_some()),
            ("requestStatus", self.request_status.is_some()),
            ("ownership", !self.ownership.is_empty()),
            ("approval", self.approval.is_some()),
            ("searchTerm", self.search_term.is_some()),
            ("jql", self.jql.is_some()),
            ("fields", !self.fields.is_empty()),
            ("expand", !self.expand.is_empty()),
            ("reconcileIssues", !self.reconcile_issues.is_empty()),
            ("texts", self.texts != Texts::Plain),
            ("public", !self.public),
            ("internal", !self.internal),
            ("pageSize", self.page_size.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
    }

    /// Refuses what does not belong to the table, or is out of its limits.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::config("connector.params_invalid", message));
        let takes = self.table.takes();
        if let Some(name) = self.given().find(|name| !takes.contains(name)) {
            return wrong(format!("{name}: the table {} does not take it; it takes {}", self.table, takes.join(", ")));
        }
        if let Some(size) = self.page_size.filter(|size| !(1..=MOST).contains(size)) {
            return wrong(format!("pageSize: {size} is not between 1 and {MOST}"));
        }
        if self.reconcile_issues.len() > RECONCILED {
            return wrong(format!("reconcileIssues: at most {RECONCILED} are accepted"));
        }
        if !self.public && !self.internal {
            return wrong("public, internal: nothing is left to read if both are false".to_owned());
        }
        Ok(())
    }
}

impl Table {
    /// Names of the parameters that it takes.
    fn takes(self) -> Vec<&'static str> {
        let requests = |more: &[&'static str]| [&REQUESTS, more].concat();
        match self {
            Self::Requests => requests(&["expand"]),
            Self::RequestComments => requests(&["expand", "public", "internal"]),
            Self::RequestParticipants | Self::RequestSLACycles => requests(&[]),
            Self::RequestTypes => vec!["serviceDesk", "searchTerm", "expand", "pageSize"],
            Self::RequestTypeFields => vec!["serviceDesk", "requestType"],
            Self::ServiceDesks => vec!["pageSize"],
            Self::Organizations | Self::Queues => vec!["serviceDesk", "pageSize"],
            Self::Customers => vec!["serviceDesk", "searchTerm", "pageSize"],
            Self::QueueRequests => vec!["serviceDesk", "queue", "pageSize"],
            Self::Users => vec!["searchTerm"],
            Self::Issues => vec!["jql", "fields", "expand", "reconcileIssues", "texts", "pageSize"],
        }
    }
}
