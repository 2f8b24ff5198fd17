//! The options of a connection.

use wherry_sdk::prelude::*;

use crate::id::Id;

/// What a connection says beside its URL and its authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Options {
    /// Which Jira it is. `auto` asks it.
    #[serde(default)]
    pub(crate) flavour: Choice,
    /// The service desk that activities work with unless they name another one.
    #[serde(default)]
    pub(crate) service_desk: Option<Id>,
    /// The language of names and messages, as the header Accept-Language says it, such as `de-DE`. By default that of
    /// the account.
    #[serde(default)]
    pub(crate) request_language: Option<String>,
}

/// Which Jira it is, or how to find out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum Choice {
    #[default]
    #[allow(missing_docs, reason = "a description in the schema would say no more than the name")]
    Auto,
    #[allow(missing_docs, reason = "as above")]
    Cloud,
    #[allow(missing_docs, reason = "as above")]
    DataCenter,
}
