//! The parameters of `create`.

use wherry_sdk::prelude::*;

use crate::id::Id;

/// # Create records of a table
///
/// Creates one thing per record. Records that Jira refuses are rejected with its reason, and the others go on. Jira has
/// no way to recognise a repetition, so the activity is unsafe: a run that breaks off is not repeated by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Create {
    /// What to create.
    pub(crate) table: Table,
    /// Id of the service desk of records that do not name one. For Requests, Customers and Organizations.
    #[serde(default)]
    pub(crate) service_desk: Option<Id>,
    /// Id of the request type of records that do not name one. For Requests.
    #[serde(default)]
    pub(crate) request_type: Option<Id>,
}

/// What can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[allow(missing_docs, reason = "a description in the schema would say no more than the name")]
pub(crate) enum Table {
    Requests,
    RequestComments,
    RequestParticipants,
    Customers,
    Organizations,
}

impl Table {
    /// As projects write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "Requests",
            Self::RequestComments => "RequestComments",
            Self::RequestParticipants => "RequestParticipants",
            Self::Customers => "Customers",
            Self::Organizations => "Organizations",
        }
    }
}

impl Create {
    /// Refuses parameters that do not belong to the table.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |name: &str| {
            let message = format!("{name}: the table {} does not take it", self.table.name());
            Err(Error::config("connector.params_invalid", message))
        };
        let takes_desk = matches!(self.table, Table::Requests | Table::Customers | Table::Organizations);
        if self.service_desk.is_some() && !takes_desk {
            return wrong("serviceDesk");
        }
        if self.request_type.is_some() && self.table != Table::Requests {
            return wrong("requestType");
        }
        Ok(())
    }
}
