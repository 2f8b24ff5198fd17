//! The last gate before an effect: no request leaves a run whose lease is over.
//!
//! A process that was frozen wakes up with answers waiting for its connectors. They would go on with the next request
//! before any timer could stop them, so the lease is asked where the request leaves.

use std::sync::Arc;

use http::{HeaderName, Request};
use wherry_daemon::clock::Clock;
use wherry_host::{Body, Egress, EgressFuture};

use crate::{egress::StillMay, runs::Lease};

/// A way out that closes with the lease.
pub(super) struct Gate {
    pub(super) inner: Arc<dyn Egress>,
    pub(super) lease: Lease,
    pub(super) clock: Clock,
}

impl Egress for Gate {
    fn send(&self, mut request: Request<Body>) -> EgressFuture {
        let (lease, clock) = (self.lease.clone(), self.clock.clone());
        let may = StillMay(Arc::new(move || lease.may_begin_effect(clock.now())));
        if !(may.0)() {
            return Box::pin(std::future::ready(Err(StillMay::over())));
        }
        request.extensions_mut().insert(may);
        self.inner.send(request)
    }

    fn protected_headers(&self) -> &[HeaderName] {
        self.inner.protected_headers()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runs::Runs;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};
    use wherry_domain::{fence::Fence, id::RunId, lease::LeaseTerms, time::Timestamp};
    use wherry_host::EgressError;
    use wherry_proto::frame::Attempt;

    /// Takes every request and says so with an error that nothing else gives.
    struct Outside;

    impl Egress for Outside {
        fn send(&self, _: Request<Body>) -> EgressFuture {
            Box::pin(std::future::ready(Err(EgressError::RequestAborted)))
        }

        fn protected_headers(&self) -> &[HeaderName] {
            &[]
        }
    }

    #[tokio::test]
    async fn no_request_leaves_after_the_lease() {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        let (runs, attempt) = (Runs::default(), Attempt { run: RunId::from_u128(1), fence: Fence::from_bits(1) });
        let running = runs.begin(attempt, LeaseTerms::default(), clock.now()).unwrap();
        let gate = Gate { inner: Arc::new(Outside), lease: running.lease(), clock: clock.clone() };
        assert_eq!(refusal(&gate).await, EgressError::RequestAborted);
        hand.advance(Duration::from_secs(49));
        runs.renewed(&[attempt], clock.now());
        hand.advance(Duration::from_secs(49));
        assert_eq!(refusal(&gate).await, EgressError::RequestAborted);
        hand.advance(Duration::from_secs(1));
        assert!(matches!(refusal(&gate).await, EgressError::PolicyDenied { .. }));
        runs.renewed(&[attempt], clock.now());
        assert!(matches!(refusal(&gate).await, EgressError::PolicyDenied { .. }), "it came too late");
    }

    async fn refusal(gate: &Gate) -> EgressError {
        let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        gate.send(Request::new(body)).await.map(drop).unwrap_err()
    }
}
