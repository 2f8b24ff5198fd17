//! The parameters of `query`.

use std::fmt;

use wherry_sdk::prelude::*;

use crate::id::{Id, Ids};

/// # Query a table
///
/// Reads the records of a table, as Jira's interface has them. Which parameters a table takes stands with each of them.
/// Records of tables that belong to something else carry its key too.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Query {
    /// What to read.
    pub(crate) table: Table,
    /// Id of a service desk. Required for Customers, RequestTypeFields, Queues and QueueRequests; narrows Requests,
    /// RequestComments, RequestParticipants, RequestSLACycles, RequestTypes and Organizations.
    #[serde(default)]
    pub(crate) service_desk: Option<Id>,
    /// Id of a request type of the service desk. Required for RequestTypeFields; narrows Requests and what hangs on
    /// them.
    #[serde(default)]
    pub(crate) request_type: Option<Id>,
    /// Id of a queue. Required for QueueRequests.
    #[serde(default)]
    pub(crate) queue: Option<Id>,
    /// Keys or ids of requests: one, or a list of at most 1,000. For Requests, RequestComments, RequestParticipants and
    /// RequestSLACycles; without it they are those of all requests that the other parameters select.
    #[serde(default)]
    pub(crate) issue: Option<Ids>,
    /// Id of an organisation that the account belongs to, for Requests and what hangs on them.
    #[serde(default)]
    pub(crate) organization: Option<Id>,
    /// For Requests and what hangs on them.
    #[serde(default)]
    pub(crate) request_status: Option<RequestStatus>,
    /// Why the account sees the requests. Jira takes OWNED_REQUESTS, PARTICIPATED_REQUESTS and ALL_ORGANIZATIONS if
    /// nothing is said. To read all requests of a desk as one of its agents, use QueueRequests or Issues.
    #[serde(default)]
    pub(crate) ownership: Vec<Ownership>,
    /// Only requests that the account has to approve, or had to.
    #[serde(default)]
    pub(crate) approval: Option<Approval>,
    /// Words to look for: in the summaries of Requests, in the names of RequestTypes, Customers and Users.
    #[serde(default)]
    pub(crate) search_term: Option<String>,
    /// Which Issues, in Jira's query language. On Cloud it must narrow what is found. Required for Issues.
    #[serde(default)]
    pub(crate) jql: Option<String>,
    /// Fields of Issues, by id. By default `*navigable`.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// What to include besides, as Jira calls it, such as `sla` for Requests or `changelog` for Issues.
    #[serde(default)]
    pub(crate) expand: Vec<String>,
    /// Ids of Issues that were changed a moment ago, at most 50: Cloud finds them although its index is late.
    #[serde(default)]
    pub(crate) reconcile_issues: Vec<u64>,
    /// How long texts of Issues are written.
    #[serde(default)]
    pub(crate) texts: Texts,
    /// Whether RequestComments include those that customers see.
    #[serde(default = "yes")]
    pub(crate) public: bool,
    /// Whether RequestComments include those that only agents see.
    #[serde(default = "yes")]
    pub(crate) internal: bool,
    /// Records asked for at once; Jira may give fewer. 100 by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 5000))]
    pub(crate) page_size: Option<u64>,
}

const fn yes() -> bool {
    true
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($word:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        #[allow(missing_docs, reason = "a description in the schema would say no more than the name")]
        pub(crate) enum $name { $($word),* }

        impl $name {
            /// As Jira and projects write it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// What can be read.
    Table {
        Requests, RequestComments, RequestParticipants, RequestSLACycles, RequestTypes, RequestTypeFields, ServiceDesks,
        Organizations, Customers, Users, Queues, QueueRequests, Issues,
    }
}

macro_rules! constants {
    ($(#[$meta:meta])* $name:ident { $($word:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        #[schemars(inline)]
        #[allow(missing_docs, reason = "a description in the schema would say no more than the name")]
        pub(crate) enum $name { $(#[serde(rename = $text)] $word),* }

        impl $name {
            /// As Jira writes it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$word => $text),* }
            }
        }
    };
}

constants! {
    /// Whether requests are done.
    RequestStatus { Open = "OPEN_REQUESTS", Closed = "CLOSED_REQUESTS", All = "ALL_REQUESTS" }
}

constants! {
    /// Why an account sees a request.
    Ownership {
        Owned = "OWNED_REQUESTS", Participated = "PARTICIPATED_REQUESTS", Organization = "ORGANIZATION",
        AllOrganizations = "ALL_ORGANIZATIONS", Approver = "APPROVER", All = "ALL_REQUESTS",
    }
}

constants! {
    /// Whether an approval is still to be given.
    Approval { Pending = "MY_PENDING_APPROVAL", History = "MY_HISTORY_APPROVAL" }
}

/// How long texts of issues are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Texts {
    /// As text with Jira's own marks, on Cloud and on Data Center.
    #[default]
    Plain,
    /// As documents in Atlassian's format, on Cloud only.
    Documents,
}
