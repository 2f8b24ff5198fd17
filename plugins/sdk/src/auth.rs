//! The ways to authenticate that a system knows.

use serde_json::{Map, Value};

/// One way to authenticate. The host carries it out; the connector never sees credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth(pub(crate) Map<String, Value>);

impl Auth {
    /// A scheme under a name of its own. `method` is one the host knows, such as `basic` or `oauth2`.
    pub fn new(id: &str, method: &str) -> Self {
        Self(Map::from_iter([("id".to_owned(), id.into()), ("type".to_owned(), method.into())]))
    }

    /// No credentials.
    pub fn none() -> Self {
        Self::new("none", "none")
    }

    /// User name and password.
    pub fn basic() -> Self {
        Self::new("basic", "basic")
    }

    /// A token in the header `Authorization`.
    pub fn bearer() -> Self {
        Self::new("bearer", "bearer")
    }

    /// The same with a setting of the method, such as the name of a header or the scopes of OAuth.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}
