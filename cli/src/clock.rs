//! Elapsed time, for progress and deadlines of a tool that lives for minutes.

use std::time::{Duration, Instant};

/// A point in time to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the tool has no daemon, and no decision depends on this clock")]
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
