//! What the agent must remember of its runs: one record per attempt, written twice at most.
//!
//! STARTED is durable before the first effect, FINISHED before anyone hears of the result. A declined offer leaves no
//! trace. Nor does a read that a caller waits for: whatever becomes of this process, reading once more changes nothing, and
//! the caller's answer was never to outlive it. Acknowledged results are removed with a later commit, so that a run alone costs exactly two syncs. The
//! record with the highest number stays until a higher one is durable: it is what the counter is read back from.

mod outbox;
mod record;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use wherry_daemon::store::{Batch, Direction, SharedStore, Space, StoreError, StoreStats, record as typed};
use wherry_domain::name::Name;
use wherry_proto::{
    MAX_IN_FLIGHT, MAX_STATES,
    frame::{Attempt, ConnectionState, Counts, Ending, InFlight, LogLine, Ran, Report, Stage},
};

use self::{outbox::Outbox, record::Record};
pub use record::Finished;

/// Attempts by run and fence.
const ATTEMPTS: Space = Space(1);
/// What connections remember by results that wait, by run, fence and number: too large to stand beside them.
const STATES: Space = Space(3);
/// Notes of the journal about itself.
const NOTES: Space = Space(2);
/// Set from the loss of some of the past until the controller was told.
const LOST: &[u8] = b"past-lost";
const SCHEMA: u8 = 1;
/// Entries read at a time when opening.
const PAGE: usize = 256;
/// How long to wait before a result is written again that the store had no room for.
const AGAIN: Duration = Duration::from_millis(200);

/// The journal of this agent. One per process.
pub struct Journal {
    store: SharedStore,
    outbox: Mutex<Outbox>,
    lost_past: AtomicBool,
    changed: Notify,
    settled: Notify,
}

/// How an attempt ended, before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which attempt.
    pub attempt: Attempt,
    /// How it ended.
    pub ending: Ending,
    /// How many records went where.
    pub counts: Counts,
    /// What attempts before it did, as far as it went on behind them.
    pub earlier: Counts,
    /// How long it took.
    pub duration: Duration,
    /// The last lines of its log.
    pub log: Vec<LogLine>,
    /// Where the next attempt goes on, if that is not known to the controller yet.
    pub cursor: Option<String>,
    /// What connections remember from now on.
    pub states: Vec<ConnectionState>,
    /// Connectors of which it ran on the version on trial.
    pub trial: Vec<Name>,
    /// Which versions it ran on; none if that was not written down before its process died.
    pub ran: Option<Vec<Ran>>,
}

/// What a newly opened journal found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Results that wait for the controller.
    pub finished: usize,
    /// Attempts that a dead process left in the middle; now results themselves.
    pub interrupted: usize,
    /// Records that could not be read and were left where they are.
    pub unreadable: usize,
}

impl Ended {
    /// Its process died; nothing more is known.
    fn interrupted((attempt, trial, ran): Interrupted) -> Self {
        let (counts, duration) = (Counts::default(), Duration::ZERO);
        let (ending, log, states) = (Ending::Interrupted, Vec::new(), Vec::new());
        Self { attempt, ending, counts, earlier: counts, duration, log, cursor: None, states, trial, ran }
    }
}

impl Journal {
    /// Reads the journal back; attempts that a dead process left in the middle become results.
    ///
    /// `least_seq` is the lowest number that the next result may get, for a store that lost some of its past.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(store: SharedStore, least_seq: u64) -> Result<(Self, Found), StoreError> {
        let (outbox, interrupted, mut found) = read(&store, least_seq)?;
        // A record that cannot be read may have been of a run that began.
        if least_seq > 1 || found.unreadable > 0 {
            let mut note = Batch::new().essential();
            note.put(NOTES, LOST, []);
            store.commit(note).await?;
        }
        let lost_past = AtomicBool::new(store.get(NOTES, LOST)?.is_some());
        let (changed, settled) = (Notify::new(), Notify::new());
        let journal = Self { store, outbox: Mutex::new(outbox), lost_past, changed, settled };
        found.interrupted = interrupted.len();
        for attempt in interrupted {
            journal.finished(Ended::interrupted(attempt), || ()).await?;
        }
        Ok((journal, found))
    }

    /// Whether attempts of the past may be missing that the controller believes to be here.
    pub fn lost_its_past(&self) -> bool {
        self.lost_past.load(Ordering::Relaxed)
    }

    /// The controller knows of the loss.
    pub fn loss_was_told(&self) {
        if self.lost_past.swap(false, Ordering::Relaxed) {
            let mut note = Batch::new();
            note.delete(NOTES, LOST);
            // Not awaited: told twice does no harm.
            drop(self.store.commit(note));
        }
    }

    /// Makes durable that the attempt begins, and if it uses the version on trial of some connectors, on which versions
    /// it runs. Nothing of it may begin before this resolves.
    ///
    /// # Errors
    /// Those of the store; the attempt then must not begin.
    pub async fn started(&self, attempt: Attempt, trial: &[Name], ran: &[Ran]) -> Result<(), StoreError> {
        let began = || Record::Began { trial: trial.to_vec(), ran: Some(ran.to_vec()) };
        let record = if trial.is_empty() { Record::Started } else { began() };
        let value = typed::encode(SCHEMA, &record)?;
        let commit = {
            let mut outbox = self.lock();
            let mut batch = outbox.take_pruned();
            batch.put(ATTEMPTS, key(attempt), value);
            self.store.commit(batch)
        };
        commit.await
    }

    /// Makes a result durable and queues it for the controller. Waits while the store is full: work that was done
    /// must not be forgotten. `release` lets go of the attempt between the two: later, and the controller's next
    /// offer could find its slot taken; earlier, and a hello could leave the attempt out.
    ///
    /// # Errors
    /// If the store failed for good.
    pub async fn finished(&self, ended: Ended, release: impl FnOnce()) -> Result<(), StoreError> {
        let finished = Arc::new(self.number(ended));
        loop {
            match self.write(&finished)?.await {
                Ok(()) => break,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(code = error.code(), %error, "the store takes no result now");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.lock().durable(finished);
        release();
        self.changed.notify_one();
        Ok(())
    }

    /// Queues the result of a read that a caller waits for; it is not written and ends with this process.
    pub fn pass_on(&self, ended: Ended, release: impl FnOnce()) {
        let finished = Arc::new(self.number(ended));
        self.lock().pass_on(finished);
        release();
        self.changed.notify_one();
    }

    /// The attempt is of no interest to anyone any more.
    pub fn forget(&self, attempt: Attempt) {
        self.lock().forget(attempt);
    }

    /// Results up to this number are durable at the controller.
    pub fn acknowledged(&self, up_to: u64) {
        let settled = {
            let mut outbox = self.lock();
            outbox.acknowledged(up_to);
            outbox.waiting().next().is_none()
        };
        if settled {
            self.settled.notify_waiters();
        }
    }

    /// The first result after `sent` that is not acknowledged; `None` also while it is still being written, because
    /// an acknowledgement covers all lower numbers.
    pub fn next_result(&self, sent: u64) -> Option<Arc<Finished>> {
        self.lock().next_after(sent)
    }

    /// Resolves when there may be another result to send.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The results that wait to be acknowledged, for a hello.
    pub fn waiting(&self) -> Vec<InFlight> {
        let outbox = self.lock();
        outbox.waiting().map(|attempt| InFlight { attempt, stage: Stage::Finished }).collect()
    }

    /// Whether the attempt's result waits to be acknowledged.
    pub fn holds(&self, attempt: Attempt) -> bool {
        self.lock().waiting().any(|other| other == attempt)
    }

    /// Resolves when no result waits.
    pub async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.lock().waiting().next().is_none() {
                return;
            }
            settled.await;
        }
    }

    /// Whether the disk has room for another run.
    pub fn has_room(&self) -> bool {
        self.store.has_room()
    }

    /// Whether so many results wait that no further run should begin.
    pub fn is_full(&self) -> bool {
        self.lock().waiting().count() >= MAX_IN_FLIGHT / 2
    }

    /// Counters of the store since it was opened.
    pub fn stats(&self) -> StoreStats {
        self.store.stats()
    }

    /// The number of the next result.
    pub fn next_seq(&self) -> u64 {
        self.lock().next_seq()
    }

    /// Gives the result its number. Results may become durable in another order; the outbox sends them in this one.
    fn number(&self, ended: Ended) -> Finished {
        let Ended { attempt, ending, counts, earlier, duration, log, cursor, states, trial, ran } = ended;
        let seq = self.lock().take_seq();
        Finished {
            report: Report { seq, attempt, ending, counts, duration, log, earlier, states, trial, answer: None, ran },
            cursor,
        }
        .within_limits()
    }

    fn write(&self, finished: &Arc<Finished>) -> Result<wherry_daemon::store::Commit, StoreError> {
        let value = typed::encode(SCHEMA, &Record::Finished(Arc::clone(finished)))?;
        let states = finished.report.states.iter().map(|state| typed::encode(SCHEMA, state));
        let states: Vec<Vec<u8>> = states.collect::<Result<_, _>>()?;
        let mut outbox = self.lock();
        let mut batch = outbox.take_pruned().essential();
        batch.put(ATTEMPTS, key(finished.report.attempt), value);
        for (number, state) in (0..).zip(states) {
            batch.put(STATES, record::state_key(finished.report.attempt, number), state);
        }
        Ok(self.store.commit(batch))
    }

    /// A panic elsewhere cannot leave the outbox half-changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that began and did not end, and what it tried.
type Interrupted = (Attempt, Vec<Name>, Option<Vec<Ran>>);

fn read(store: &SharedStore, least_seq: u64) -> Result<(Outbox, Vec<Interrupted>, Found), StoreError> {
    let mut outbox = Outbox::new(least_seq);
    let (mut interrupted, mut found) = (Vec::new(), Found::default());
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(ATTEMPTS, &[], after.as_deref(), Direction::Ascending, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, value) in &page {
            match (record::attempt(key), typed::decode(SCHEMA, value)) {
                (Some(attempt), Ok(Record::Started)) => interrupted.push((attempt, Vec::new(), None)),
                (Some(attempt), Ok(Record::Began { trial, ran })) => interrupted.push((attempt, trial, ran)),
                (Some(_), Ok(Record::Finished(finished))) => {
                    found.finished += 1;
                    outbox.restore(with_states(store, finished)?);
                }
                (_, Err(error @ StoreError::Newer { .. })) => return Err(error),
                (None, _) | (_, Err(_)) => found.unreadable += 1,
            }
        }
    }
    outbox.restored();
    Ok((outbox, interrupted, found))
}

/// A result with what was kept beside it.
fn with_states(store: &SharedStore, mut finished: Arc<Finished>) -> Result<Arc<Finished>, StoreError> {
    let attempt = finished.report.attempt;
    let kept = store.scan(STATES, &key(attempt), None, Direction::Ascending, MAX_STATES)?;
    let states = kept.iter().map(|(_, value)| typed::decode(SCHEMA, value));
    Arc::make_mut(&mut finished).report.states = states.collect::<Result<_, _>>()?;
    Ok(finished)
}

fn key(attempt: Attempt) -> Vec<u8> {
    record::key(attempt)
}

/// The deletions that ride along with the next commit: of attempts, and of as many states beside each.
fn deletions(attempts: impl Iterator<Item = (Attempt, u8)>) -> Batch {
    let mut batch = Batch::new();
    for (attempt, states) in attempts {
        batch.delete(ATTEMPTS, key(attempt));
        (0..states).for_each(|number| batch.delete(STATES, record::state_key(attempt, number)));
    }
    batch
}
