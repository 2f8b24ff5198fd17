//! The connection's small durable memory: at most 16 KiB of keys and values together.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::host::Host;

/// What outlives runs. Changes last only if the invocation succeeds, and those of a source once its records have
/// arrived; `plugins/README.md` says what else.
#[derive(Clone, Copy)]
pub struct State<'h>(&'h dyn Host);

impl<'h> State<'h> {
    pub(crate) const fn new(host: &'h dyn Host) -> Self {
        Self(host)
    }

    /// The value of a key. One that another version wrote and this one cannot read is an error.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(bytes) = self.0.state_get(key)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let message = format!(
                "the stored value of {key:?} cannot be read: {error}; rename the connection to begin without it"
            );
            Error::config("connector.state_invalid", message)
        })
    }

    /// Keeps a value as JSON.
    pub fn put(&self, key: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            let message = format!("the value of {key:?} cannot be kept: {error}");
            Error::new(crate::Kind::Internal, "connector.state_invalid", message)
        })?;
        self.0.state_put(key, &bytes)
    }

    /// Forgets a key.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.0.state_delete(key)
    }

    /// All keys with this prefix, sorted.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.0.state_keys(prefix)
    }
}
