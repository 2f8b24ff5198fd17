//! The way out of a connector that describes itself: none.

use http::{HeaderName, Request};

use crate::egress::{Body, Egress, EgressError, EgressFuture};

/// Refuses every request: a descriptor depends on nothing.
pub(crate) struct Nowhere;

impl Egress for Nowhere {
    fn send(&self, _: Request<Body>) -> EgressFuture {
        let reason = "a connector may not send requests while it describes itself".into();
        Box::pin(std::future::ready(Err(EgressError::InvalidRequest { reason })))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}
