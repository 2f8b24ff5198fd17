//! What records of each table look like.

use serde_json::Map;
use wherry_sdk::prelude::*;

use crate::id::Id;

/// A record; which one of these it is says the parameter `table`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands in the descriptor only")]
pub(crate) enum NewRecord {
    /// For Requests.
    Request(NewRequest),
    /// For RequestComments.
    Comment(NewComment),
    /// For RequestParticipants.
    Participants(NewParticipants),
    /// For Customers.
    Customer(NewCustomer),
    /// For Organizations.
    Organization(NewOrganization),
}

/// A request to raise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct NewRequest {
    /// Without it the parameter `serviceDesk` counts.
    #[serde(default)]
    pub(crate) service_desk_id: Option<Id>,
    /// Without it the parameter `requestType` counts.
    #[serde(default)]
    pub(crate) request_type_id: Option<Id>,
    /// Values by the id of their field, as `wherry connection describe` shows them for the request type.
    #[serde(default)]
    pub(crate) request_field_values: Map<String, Value>,
    /// Account id of the customer whose request it is; the name on Data Center.
    #[serde(default)]
    pub(crate) raise_on_behalf_of: Option<String>,
    /// Account ids of others who follow it; names on Data Center.
    #[serde(default)]
    pub(crate) request_participants: Vec<String>,
    /// How the request came in, for Jira's own statistics.
    #[serde(default)]
    pub(crate) channel: Option<String>,
    /// Whether long texts among the values are documents in Atlassian's format. Cloud only.
    #[serde(default)]
    pub(crate) is_adf_request: Option<bool>,
}

/// A comment to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct NewComment {
    /// Key or id of the request.
    #[serde(alias = "issueIdOrKey", alias = "issueId")]
    pub(crate) issue_key: Id,
    /// The text.
    pub(crate) body: String,
    /// Whether customers see it. It has to be said, because what was shown cannot be taken back.
    pub(crate) public: bool,
}

/// Participants to add to a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct NewParticipants {
    /// Key or id of the request.
    #[serde(alias = "issueIdOrKey", alias = "issueId")]
    pub(crate) issue_key: Id,
    /// Whom, on Cloud.
    #[serde(default)]
    pub(crate) account_ids: Vec<String>,
    /// Whom, on Data Center.
    #[serde(default)]
    pub(crate) usernames: Vec<String>,
}

/// A customer to make an account for, or an account to make a customer of a service desk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct NewCustomer {
    /// The address of a new customer.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// The name of a new customer; without it the address is shown.
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    /// An account that exists, instead of an address. Cloud.
    #[serde(default)]
    pub(crate) account_id: Option<String>,
    /// An account that exists, instead of an address. Data Center.
    #[serde(default)]
    pub(crate) username: Option<String>,
    /// The desk whose customer it becomes. Without it the parameter `serviceDesk` counts, if there is one.
    #[serde(default)]
    pub(crate) service_desk_id: Option<Id>,
}

/// An organisation to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct NewOrganization {
    /// Its name.
    pub(crate) name: String,
    /// The desk it belongs to. Without it the parameter `serviceDesk` counts, if there is one.
    #[serde(default)]
    pub(crate) service_desk_id: Option<Id>,
}
