//! The client of one invocation.

use std::cell::Cell;

use super::answer::Answer;
use super::request::RequestBuilder;
use super::url::Base;
use super::{IntoPath, Method};
use crate::connector::Connector;
use crate::error::{Error, Result};
use crate::host::Host;

/// Makes requests below the connection's URL. Destination, proxy, TLS and credentials are the host's concern.
pub struct Client<'h> {
    pub(crate) host: &'h dyn Host,
    pub(crate) base: Base,
    pub(crate) user_agent: String,
    pub(crate) refusal: fn(&Answer) -> Option<Error>,
    pub(crate) accepts: fn(&Answer) -> Result<()>,
    /// Whether whatever runs may be done again.
    pub(crate) repeatable: bool,
    /// Whether the log says already that the system asks for patience.
    pub(crate) told: Cell<bool>,
}

impl<'h> Client<'h> {
    pub(crate) fn new<C: Connector>(host: &'h dyn Host, base: Base, repeatable: bool) -> Self {
        let user_agent = format!("wherry-{}/{}", C::NAME, C::VERSION);
        let (refusal, accepts) = (C::refusal, C::accepts);
        Self { host, base, user_agent, refusal, accepts, repeatable, told: Cell::new(false) }
    }

    /// Where its paths lie.
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// A request.
    pub fn request(&self, method: Method, path: impl IntoPath) -> RequestBuilder<'_> {
        RequestBuilder::new(self, method, path.into_path())
    }

    /// Asks.
    pub fn get(&self, path: impl IntoPath) -> RequestBuilder<'_> {
        self.request(Method::Get, path)
    }

    /// Sends.
    pub fn post(&self, path: impl IntoPath) -> RequestBuilder<'_> {
        self.request(Method::Post, path)
    }

    /// Replaces.
    pub fn put(&self, path: impl IntoPath) -> RequestBuilder<'_> {
        self.request(Method::Put, path)
    }

    /// Changes.
    pub fn patch(&self, path: impl IntoPath) -> RequestBuilder<'_> {
        self.request(Method::Patch, path)
    }

    /// Removes.
    pub fn delete(&self, path: impl IntoPath) -> RequestBuilder<'_> {
        self.request(Method::Delete, path)
    }
}
