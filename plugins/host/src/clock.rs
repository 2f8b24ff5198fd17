//! The clock that bounds an invocation: monotonic, and the one that a paused test turns.

use tokio::time::Instant;

/// Now. This crate may not depend on the clock of `wherry-daemon`; all it measures is how long things take.
#[expect(clippy::disallowed_methods, reason = "the only place of this crate where time comes in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
