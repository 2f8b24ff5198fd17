//! One invocation for an action: records in or out, until it ends, its time is over, or somebody stops it.

use std::{sync::Arc, time::Duration};

use wherry_daemon::clock::Clock;
use wherry_domain::{
    effects::SideEffects,
    execution::{Effect, Event, Execution, Verdict},
    failure::{Code, Failure},
    run::Outcome as RunOutcome,
    time::Timestamp,
};
use wherry_host::{Batch, Blobs, ConnectorFault, Egress, FromConnector, Outcome, ToConnector};
use wherry_proto::frame::{Action, ConnectionState, Counts};

use super::document::{Document, TooLarge};
use crate::{
    executor::{
        errand::Errand,
        flow::Over,
        gate::Gate,
        memory::{Changes, Entries, Memories},
        plan::{Called, Records},
        side::{Said, Side},
        words,
    },
    runs::{Running, StopCause},
};

/// Bytes of files that the connector may keep.
const BLOB_BYTES: usize = 64 << 20;
/// Records in one batch, as for runs.
const BATCH: usize = 1_000;
/// Longest wait for a connector that was asked to stop.
const LET_GO: Duration = Duration::from_secs(3);
/// The caller's time is over.
const TIMED_OUT: Code = Code::new("action.timed_out");
/// The answer does not fit.
const TOO_LARGE: Code = Code::new("action.answer_too_large");
/// The target refused records.
const REJECTED: Code = Code::new("record.rejected");
/// The target ended before it had read everything.
const LEFT_INPUT: Code = Code::new("connector.input_left");
/// The source asked to be called again without saying where to continue.
const NO_CURSOR: Code = Code::new("connector.no_cursor");

/// An action at work.
pub(super) struct Driver<'a> {
    clock: &'a Clock,
    running: &'a Running,
    called: &'a Called,
    errand: &'a Errand,
    deadline: Timestamp,
    /// Batches for a target, the last one first.
    records: Vec<Batch>,
    given: u64,
    /// The end of the records was sent.
    closed: bool,
    document: Option<Document>,
    /// Whether the connector's own words of a failure may leave.
    text: bool,
    counts: Counts,
    cursor: Option<String>,
    slice: Option<String>,
    memories: Memories,
    state: Entries,
    blobs: Blobs,
    outgoing: Option<ToConnector>,
    effects_begun: bool,
    stopping: Option<Timestamp>,
    lease_over: bool,
}

/// What is left of it.
pub(super) struct Driven {
    pub(super) counts: Counts,
    pub(super) effects_begun: bool,
    pub(super) document: Option<Vec<u8>>,
    pub(super) states: Vec<ConnectionState>,
}

enum Next {
    Stop(StopCause),
    Said(Said),
    Wake,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        clock: &'a Clock,
        running: &'a Running,
        (called, errand): (&'a Called, &'a Errand),
        (action, deadline): (&Action, Timestamp),
        (answers, text): (bool, bool),
    ) -> Self {
        let mut records = batches(&action.records);
        records.reverse();
        Self {
            clock,
            running,
            called,
            errand,
            deadline,
            given: records.iter().map(|batch| u64::from(batch.count)).sum(),
            records,
            closed: false,
            document: answers.then(Document::default),
            text,
            counts: Counts::default(),
            cursor: None,
            slice: None,
            memories: errand.memories.clone(),
            state: errand.memories.of(&called.step.connection),
            blobs: Blobs::new(BLOB_BYTES),
            outgoing: None,
            effects_begun: false,
            stopping: None,
            lease_over: false,
        }
    }

    pub(super) fn driven(self) -> Driven {
        let (counts, effects_begun) = (self.counts, self.effects_begun);
        Driven {
            counts,
            effects_begun,
            document: self.document.map(Document::into_bytes),
            states: self.memories.changed(),
        }
    }

    /// Runs to the end. Dropping the future stops the connector at once.
    pub(super) async fn run(&mut self, machine: &mut Execution) -> Over {
        // Nothing is begun that could not end in time.
        if let Some(over) = self.wake() {
            return over;
        }
        let mut side = self.start();
        let stop = self.running.stopped();
        tokio::pin!(stop);
        loop {
            let wake = self.wake_at();
            let next = tokio::select! {
                biased;
                cause = stop.as_mut(), if self.stopping.is_none() => Next::Stop(cause),
                said = side.next(&mut self.outgoing) => Next::Said(said),
                () = self.clock.sleep_until(wake) => Next::Wake,
            };
            let over = match next {
                Next::Stop(cause) => self.stop(&mut side, machine, cause),
                Next::Wake => self.wake(),
                Next::Said(Said::Ended(ended)) => self.ended(&mut side, ended),
                Next::Said(said) => self.hear(said),
            };
            // As in a run: only a good end is worth more than the end of the lease.
            let good = over == Some(Over::Ended(RunOutcome::Succeeded));
            let over = if good { over } else { self.lease(machine).or(over) };
            if let Some(over) = over {
                return over;
            }
        }
    }

    fn start(&mut self) -> Side {
        let step = &self.called.step;
        self.effects_begun |= step.class != SideEffects::Read;
        let time = self.deadline.since(self.clock.now());
        let task = match self.called.records {
            Records::Yields => self.errand.source(step, self.cursor.clone(), time, self.state.clone()),
            Records::Takes => self.errand.target(step, time, self.state.clone()),
        };
        self.slice = self.cursor.clone();
        if self.called.records == Records::Takes {
            self.feed();
        }
        let egress = match self.called.class {
            SideEffects::Read => step.access.egress(),
            SideEffects::Idempotent | SideEffects::Keyed | SideEffects::Unsafe => {
                Arc::new(Gate { inner: step.access.egress(), lease: self.running.lease(), clock: self.clock.clone() })
                    as Arc<dyn Egress>
            }
        };
        Side::start(step.access.connector.clone(), egress, task, self.blobs.clone())
    }

    fn feed(&mut self) {
        let next = self.records.pop();
        self.closed = next.is_none();
        self.outgoing = Some(next.map_or(ToConnector::End, |batch| {
            self.counts.read += u64::from(batch.count);
            self.counts.batches += 1;
            ToConnector::Batch(batch)
        }));
    }

    fn hear(&mut self, said: Said) -> Option<Over> {
        let step = &self.called.step;
        match said {
            Said::Message(FromConnector::Batch { batch, cursor }) => {
                self.counts.read += u64::from(batch.count);
                self.counts.batches += u64::from(batch.count > 0);
                self.cursor = cursor.or(self.cursor.take());
                let added = self.document.as_mut().map_or(Ok(()), |document| document.add(&batch));
                return added.err().map(|TooLarge| self.too_large());
            }
            Said::Message(FromConnector::Checkpoint { cursor }) => self.cursor = Some(cursor),
            Said::Message(FromConnector::Acked { up_to }) => {
                self.counts.written = up_to.min(self.given).saturating_sub(self.counts.rejected);
            }
            Said::Message(FromConnector::Rejected { row, error }) => {
                self.counts.rejected = self.counts.rejected.saturating_add(1).min(self.given);
                if let Some(document) = &mut self.document {
                    document.refuse(row, &error.code, &error.message);
                }
            }
            Said::Message(FromConnector::Log { level, message, .. }) => {
                tracing::debug!(run = self.errand.run, step = step.label, ?level, message, "connector");
            }
            Said::Taken => self.taken(),
            Said::Message(FromConnector::Counter { .. }) | Said::Ended(_) => {}
        }
        None
    }

    /// It took a batch or the end; nothing may follow the end.
    fn taken(&mut self) {
        if self.called.records == Records::Takes && !self.closed {
            self.feed();
        }
    }

    fn ended(&mut self, side: &mut Side, ended: Result<Outcome, ConnectorFault>) -> Option<Over> {
        let step = &self.called.step;
        let mut outcome = match ended {
            Ok(outcome) => outcome,
            Err(fault) => {
                step.access.judge(&fault);
                let said = words::said(&fault);
                tracing::info!(run = self.errand.run, step = step.label, %fault, said, "a connector failed");
                let failure = step.access.failure(&fault, self.text);
                let message = format!("{}: {}", step.label, failure.message);
                return Some(self.fail(Failure { message, ..failure }));
            }
        };
        if let Some(after) = outcome.state.take() {
            let after: Entries = after.into_iter().collect();
            self.memories.keep(&step.connection, &Changes::between(&self.state, &after));
            self.state = after;
        }
        if outcome.more && self.called.records == Records::Yields {
            if self.cursor.is_none() || self.cursor == self.slice {
                let message = format!("{}: the connector asks to be called again but did not move", step.label);
                return Some(self.fail(Failure::permanent(NO_CURSOR, message)));
            }
            *side = self.start();
            return None;
        }
        Some(self.over(outcome))
    }

    fn over(&mut self, outcome: Outcome) -> Over {
        let label = &self.called.step.label;
        if self.called.records == Records::Takes {
            if outcome.input_left || self.outgoing.is_some() || !self.records.is_empty() {
                let message = format!("{label}: the connector ended before it had read every record");
                return self.fail(Failure::permanent(LEFT_INPUT, message));
            }
            self.counts.written = self.given.saturating_sub(self.counts.rejected);
        }
        let put = self.document.as_mut().map_or(Ok(()), |document| document.output(outcome.output));
        if put.is_err() {
            return self.too_large();
        }
        if self.counts.rejected > 0 {
            let message = format!("{label}: the target refused {} of {} records", self.counts.rejected, self.given);
            return self.fail(Failure::permanent(REJECTED, message));
        }
        Over::Ended(RunOutcome::Succeeded)
    }

    fn too_large(&mut self) -> Over {
        self.document = None;
        let most = wherry_proto::MAX_ACTION;
        let message = format!("the answer has more than {most} bytes: ask for less at once");
        self.fail(Failure::permanent(TOO_LARGE, message))
    }

    fn fail(&self, failure: Failure) -> Over {
        if self.stopping.is_some() {
            return Over::Killed;
        }
        Over::Ended(RunOutcome::Failed(failure.after_effects(self.effects_begun)))
    }

    fn stop(&mut self, side: &mut Side, machine: &mut Execution, cause: StopCause) -> Option<Over> {
        let now = self.clock.now();
        let event = match cause {
            StopCause::ProcessEnds => return Some(Over::Abandoned),
            StopCause::Cancelled => Event::CancelAsked,
            StopCause::Dropped => Event::Verdict(Verdict::Drop),
        };
        self.stopping = Some(now.plus(LET_GO));
        machine.on(event, now);
        side.cancel();
        (cause == StopCause::Dropped).then_some(Over::Killed)
    }

    fn wake(&mut self) -> Option<Over> {
        let now = self.clock.now();
        if self.stopping.is_some_and(|until| now >= until) {
            return Some(Over::Killed);
        }
        (now >= self.deadline).then(|| {
            let message = format!("{}: nothing came of it in the caller's time", self.called.step.label);
            self.fail(Failure::retry(TIMED_OUT, message))
        })
    }

    fn lease(&mut self, machine: &mut Execution) -> Option<Over> {
        let now = self.clock.now();
        if self.lease_over || self.running.may_begin_effect(now) {
            return None;
        }
        self.lease_over = true;
        let killed = machine.on(Event::EffectsEnd, now).iter().any(|effect| matches!(effect, Effect::Kill { .. }));
        killed.then_some(Over::Killed)
    }

    fn wake_at(&self) -> Timestamp {
        let due = self.stopping.map_or(self.deadline, |until| until.min(self.deadline));
        if self.lease_over { due } else { due.min(self.running.effects_until()) }
    }
}

/// Lines of JSON in batches.
fn batches(lines: &[u8]) -> Vec<Batch> {
    let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    let batch =
        |lines: &[&[u8]]| Batch { count: u32::try_from(lines.len()).unwrap_or(u32::MAX), data: lines.concat().into() };
    lines.chunks(BATCH).map(batch).collect()
}
