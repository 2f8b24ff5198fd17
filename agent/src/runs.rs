//! The attempts this process holds: their leases, how far they are, and the wish to stop them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};
use wherry_domain::{
    lease::{Held, LeaseTerms},
    time::Timestamp,
};
use wherry_proto::frame::{Attempt, InFlight, Stage};

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A person asked for it.
    Cancelled,
    /// It belongs to someone else or is over: nobody wants its result.
    Dropped,
    /// The process ends at once; the journal tells the next one.
    ProcessEnds,
}

/// All attempts that hold a slot.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<BTreeMap<Attempt, Arc<Place>>>,
    idle: Notify,
}

/// One of them.
#[derive(Debug)]
struct Place {
    state: Mutex<State>,
    stop: watch::Sender<Option<StopCause>>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    terms: LeaseTerms,
    since: Timestamp,
    lease: Held,
}

/// An attempt's own handle; the attempt leaves the list when it is dropped.
#[derive(Debug)]
pub struct Running {
    attempt: Attempt,
    held: Arc<Place>,
    runs: Runs,
}

/// An attempt's lease, for whoever begins its effects.
#[derive(Clone, Debug)]
pub struct Lease {
    held: Arc<Place>,
}

impl Lease {
    /// Whether a new effect may begin at `now`.
    pub fn may_begin_effect(&self, now: Timestamp) -> bool {
        self.held.lock().lease.may_begin_effect(now)
    }
}

impl Runs {
    /// Takes an attempt in; `None` if it, or another attempt of the same run, is here already. `since` is when the
    /// stream that carried the offer was last known to be alive.
    pub fn begin(&self, attempt: Attempt, terms: LeaseTerms, since: Timestamp) -> Option<Running> {
        let mut held = self.lock();
        if held.keys().any(|other| other.run == attempt.run) {
            return None;
        }
        let lease = Held::new(terms, Duration::ZERO, since);
        let state = State { stage: Stage::Accepted, terms, since, lease };
        let one = Arc::new(Place { state: Mutex::new(state), stop: watch::Sender::new(None) });
        held.insert(attempt, Arc::clone(&one));
        Some(Running { attempt, held: one, runs: self.clone() })
    }

    /// Whether the attempt is here.
    pub fn holds(&self, attempt: Attempt) -> bool {
        self.lock().contains_key(&attempt)
    }

    /// The attempts whose leases to renew.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.lock().iter().map(|(attempt, held)| InFlight { attempt: *attempt, stage: held.lock().stage }).collect()
    }

    /// The controller confirmed the renewals that were sent at `sent`. It confirms a heartbeat as a whole, after it
    /// asked for the end of what the agent holds no longer: an attempt that is to stop gets no new lease.
    pub fn renewed(&self, attempts: &[Attempt], sent: Timestamp) {
        let held = self.lock();
        let wanted = attempts.iter().filter_map(|attempt| held.get(attempt));
        for state in wanted.filter(|place| place.stop.borrow().is_none()) {
            let mut state = state.lock();
            state.since = state.since.max(sent);
            state.lease.renewed(sent);
        }
    }

    /// Asks an attempt to stop. The first cause counts; of an unknown attempt nothing is left to stop.
    pub fn stop(&self, attempt: Attempt, cause: StopCause) {
        if let Some(held) = self.lock().get(&attempt) {
            held.stop.send_if_modified(|stop| stop.is_none() && stop.replace(cause).is_none());
        }
    }

    /// Asks all of them.
    pub fn stop_all(&self, cause: StopCause) {
        let attempts: Vec<Attempt> = self.lock().keys().copied().collect();
        attempts.into_iter().for_each(|attempt| self.stop(attempt, cause));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Resolves when there is none.
    pub async fn idle(&self) {
        loop {
            let changed = self.shared.idle.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Attempt, Arc<Place>>> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Which attempt.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Its record is durable.
    pub fn started(&self) {
        self.held.lock().stage = Stage::Started;
    }

    /// The operation allows the agent to go on for this long without the controller.
    pub fn allow_offline(&self, term: Duration) {
        let mut state = self.held.lock();
        state.lease = Held::new(state.terms, term, state.since);
    }

    /// Until when new effects may begin, as far as renewed so far.
    pub fn effects_until(&self) -> Timestamp {
        self.held.lock().lease.effects_until()
    }

    /// Whether a new effect may begin at `now`.
    pub fn may_begin_effect(&self, now: Timestamp) -> bool {
        self.held.lock().lease.may_begin_effect(now)
    }

    /// The lease by itself.
    pub fn lease(&self) -> Lease {
        Lease { held: Arc::clone(&self.held) }
    }

    /// Resolves with the cause when the attempt is to stop.
    pub async fn stopped(&self) -> StopCause {
        let mut stop = self.held.stop.subscribe();
        let cause = stop.wait_for(Option::is_some).await.ok().and_then(|cause| *cause);
        match cause {
            Some(cause) => cause,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut held = self.runs.lock();
        held.remove(&self.attempt);
        if held.is_empty() {
            self.runs.shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wherry_domain::{fence::Fence, id::RunId};

    const TERMS: LeaseTerms =
        LeaseTerms { term: Duration::from_secs(60), grace: Duration::from_secs(15), margin: Duration::from_secs(10) };

    fn attempt(run: u128, fence: u64) -> Attempt {
        Attempt { run: RunId::from_u128(run), fence: Fence::from_bits(fence) }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_run_is_held_once_until_its_handle_is_dropped() {
        let runs = Runs::default();
        let running = runs.begin(attempt(1, 1), TERMS, at(0)).unwrap();
        assert!(runs.begin(attempt(1, 1), TERMS, at(0)).is_none());
        assert!(runs.begin(attempt(1, 2), TERMS, at(0)).is_none(), "a newer attempt waits for the older to end");
        assert_eq!(runs.in_flight(), [InFlight { attempt: attempt(1, 1), stage: Stage::Accepted }]);
        drop(running);
        assert!(runs.is_empty() && runs.begin(attempt(1, 2), TERMS, at(0)).is_some());
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_sent_and_only_for_those_it_named() {
        let runs = Runs::default();
        let (named, other) =
            (runs.begin(attempt(1, 1), TERMS, at(0)).unwrap(), runs.begin(attempt(2, 1), TERMS, at(0)).unwrap());
        runs.renewed(&[attempt(1, 1), attempt(9, 9)], at(30));
        assert_eq!((named.effects_until(), other.effects_until()), (at(80), at(50)));
        named.allow_offline(Duration::from_secs(600));
        assert_eq!(named.effects_until(), at(30 + 590));
        assert!(!other.may_begin_effect(at(50)));
    }

    #[test]
    fn what_is_to_stop_gets_no_new_lease() {
        let runs = Runs::default();
        let running = runs.begin(attempt(1, 1), LeaseTerms::default(), at(0)).unwrap();
        runs.stop(attempt(1, 1), StopCause::Cancelled);
        runs.renewed(&[attempt(1, 1)], at(40));
        assert_eq!(running.effects_until(), at(50));
    }

    #[tokio::test]
    async fn the_first_cause_to_stop_counts() {
        let runs = Runs::default();
        let running = runs.begin(attempt(1, 1), TERMS, at(0)).unwrap();
        runs.stop(attempt(1, 1), StopCause::Cancelled);
        runs.stop_all(StopCause::ProcessEnds);
        assert_eq!(running.stopped().await, StopCause::Cancelled);
        drop(running);
        runs.idle().await;
    }
}
