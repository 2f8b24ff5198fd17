//! What an author implements.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::activities::Activities;
use crate::auth::Auth;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::http::Answer;

/// A connector: what it is, what a connection to its system looks like, and what it can do.
pub trait Connector: Sized + 'static {
    /// Its name: lower-case letters, digits and hyphens, such as `acme-crm`.
    const NAME: &'static str;
    /// Its version, usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it is for, in a sentence or two.
    const DESCRIPTION: &'static str = "";
    /// Its licence, as an SPDX expression.
    const LICENSE: &'static str = "";

    /// The `options` of a connection. Secrets are no options: they belong to [`Connector::auth`], and the host puts
    /// them where they are needed.
    type Options: DeserializeOwned + JsonSchema;

    /// The ways to authenticate that the system knows.
    fn auth() -> Vec<Auth> {
        vec![Auth::none()]
    }

    /// Tries the connection: cheap, and without effects outside. Gives a small document for people.
    fn test(cx: &Context<Self::Options>) -> Result<Value>;

    /// What it can do.
    fn activities() -> Activities<Self>;

    /// Codes of its own errors, such as `acme.contact_locked`, at most 128. They may leave the agent; an error under any
    /// other code is told as `connector.error_undeclared`, and its code stands in the agent's log alone. The kit's own
    /// codes (`http.*`, `connector.*`) need no mention.
    fn errors() -> &'static [&'static str] {
        &[]
    }

    /// Reads the system's own error body. Called for every answer whose status is not 2xx; `None` leaves it to the
    /// status, as [`Answer::error`] does.
    fn refusal(_answer: &Answer) -> Option<Error> {
        None
    }

    /// Looks at every answer whose status is 2xx: some systems report failures that way.
    fn accepts(_answer: &Answer) -> Result<()> {
        Ok(())
    }

    /// The last word on every error before it leaves, such as a code that an earlier version promised.
    fn on_error(error: Error) -> Error {
        error
    }
}

/// Answers questions about what only the system itself knows, such as the fields of a request type. A connector that
/// implements it says so in `export!(Acme, discovery)`.
pub trait Discover: Connector {
    /// Answers a question about an activity. Both are the connector's own words: its documentation describes them.
    fn discover(cx: &Context<Self::Options>, activity: &str, question: Value) -> Result<Value>;
}

/// A connection without options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}
