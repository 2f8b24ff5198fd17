//! The way out of a connector that describes itself: none.

use http::{HeaderName, Request};

use crate::egress::{Body, Egress, EgressError, EgressFuture};

/// Why.
pub(crate) const REASON: &str = "a connector may not send requests while it describes itself";

/// Refuses every request: a descriptor depends on nothing.
pub(crate) struct Nowhere;

impl Egress for Nowhere {
    fn send(&self, _: Request<Body>) -> EgressFuture {
        Box::pin(std::future::ready(Err(EgressError::InvalidRequest { reason: REASON.into() })))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}
