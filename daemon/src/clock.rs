//! The one place that reads clocks.
//!
//! Decisions use [`Clock::now`], which goes on while the machine sleeps and never jumps; the wall
//! clock is for people and for files.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::sync::watch;
use wherry_domain::time::Timestamp;

/// How long a sleeper trusts tokio's timer, which stands still while the machine sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A cheap, cloneable clock: the system's or one that a test turns by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Manual>>,
}

#[derive(Debug)]
struct Manual {
    now: watch::Sender<u64>,
    wall_millis: AtomicU64,
}

/// Turns the clock it was made with; see [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct Hand {
    manual: Arc<Manual>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `start` until its [`Hand`] turns it.
    pub fn manual(start: Timestamp) -> (Self, Hand) {
        let manual = Arc::new(Manual { now: watch::Sender::new(start.as_millis()), wall_millis: AtomicU64::new(0) });
        (Self { manual: Some(Arc::clone(&manual)) }, Hand { manual })
    }

    /// Milliseconds that only grow and go on through suspend. Means nothing to another process.
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            Some(manual) => Timestamp::from_millis(*manual.now.borrow()),
            None => Timestamp::from_millis(monotonic_micros() / 1_000),
        }
    }

    /// Milliseconds since 1970 as the machine believes; may jump either way.
    pub fn wall_unix_millis(&self) -> u64 {
        match &self.manual {
            Some(manual) => manual.wall_millis.load(SeqCst),
            None => wall_millis(),
        }
    }

    /// Resolves at `deadline`, at most about a second late after the machine slept.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match &self.manual {
            Some(manual) => {
                let mut now = manual.now.subscribe();
                // The sender lives as long as `self`, so waiting cannot fail.
                drop(now.wait_for(|now| *now >= deadline.as_millis()).await);
            }
            None => loop {
                let left = deadline.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            },
        }
    }

    /// Resolves after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().plus(duration)).await;
    }
}

impl Hand {
    /// Turns both clocks forward.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.manual.wall_millis.fetch_add(millis, SeqCst);
        self.manual.now.send_modify(|now| *now = now.saturating_add(millis));
    }

    /// Sets the wall clock alone, in milliseconds since 1970.
    pub fn set_wall_unix_millis(&self, millis: u64) {
        self.manual.wall_millis.store(millis, SeqCst);
    }
}

/// Microseconds of a clock that counts through suspend where the system has one.
pub(crate) fn monotonic_micros() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let id = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let id = ClockId::Monotonic;
    micros(clock_gettime(id))
}

/// Milliseconds since 1970.
pub(crate) fn wall_millis() -> u64 {
    micros(clock_gettime(ClockId::Realtime)) / 1_000
}

fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.wall_unix_millis() > 1_700_000_000_000);
    }

    #[tokio::test]
    async fn a_sleeper_on_a_manual_clock_wakes_when_the_hand_passes_its_deadline() {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(100));
        let sleeper = clock.sleep_until(Timestamp::from_millis(150));
        tokio::pin!(sleeper);
        hand.advance(Duration::from_millis(49));
        assert!(futures_ready(sleeper.as_mut()).await.is_none());
        hand.advance(Duration::from_millis(1));
        tokio::time::timeout(Duration::from_secs(5), sleeper).await.unwrap();
        assert_eq!(clock.wall_unix_millis(), 50);
    }

    async fn futures_ready<F: Future + Unpin>(future: F) -> Option<F::Output> {
        tokio::select! { biased; output = future => Some(output), () = std::future::ready(()) => None }
    }
}
