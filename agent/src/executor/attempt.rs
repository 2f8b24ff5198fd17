//! One attempt from its offer to its result: drives [`wherry_domain::execution`].

mod action;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use wherry_daemon::{exit::Exit, store::StoreError};
use wherry_domain::{
    effects::SideEffects,
    execution::{Effect, Ending, Event, Execution, Stage, Verdict},
    failure::{Code, Failure},
    name::Name,
    run::Outcome,
    time::Timestamp,
};
use wherry_host::Blobs;
use wherry_proto::frame::{self, Attempt, ConnectionState, Counts, FromAgent, LogLine, Offer, Ran};

use super::{
    Shared,
    errand::Errand,
    flow::{Flow, Over},
    log::RunLog,
    plan::Plan,
    plans::LOCK_BEHIND,
    scene::Scene,
};
use crate::{
    journal::Ended,
    runs::{Running, StopCause},
    slots::Permit,
};

/// Bytes of files that the connectors of one run may keep.
const BLOB_BYTES: usize = 64 << 20;
/// What the agent would run the attempt on is of a stricter class than the controller counts with.
const STRICTER: Code = Code::new("connector.class_stricter");
/// A defect of ours.
const DEFECT: Code = Code::new("agent.defect");

/// An attempt that holds its slot.
pub(super) struct Attempting {
    shared: Arc<Shared>,
    permit: Permit,
    running: Running,
    began: Timestamp,
    /// When its work began: a version on trial is not to be blamed for the time that compiling it took.
    worked: Timestamp,
    /// Connectors of which it runs on the version on trial.
    trial: Vec<Name>,
    /// The versions of connectors that it runs on.
    ran: Vec<Ran>,
    /// The class that the controller counts with, if it says so.
    counted: Option<SideEffects>,
    /// It only reads, for a caller who waits: see [`crate::journal`].
    reading: bool,
}

/// What an attempt leaves behind.
struct Remains {
    ending: frame::Ending,
    counts: Counts,
    earlier: Counts,
    log: Vec<LogLine>,
    cursor: Option<String>,
    states: Vec<ConnectionState>,
}

impl Remains {
    /// Of an attempt that did not begin.
    fn early(outcome: Outcome, log: Vec<LogLine>) -> Self {
        let (counts, ending) = (Counts::default(), frame::Ending::Ended(outcome));
        Self { ending, counts, earlier: counts, log, cursor: None, states: Vec::new() }
    }
}

impl Attempting {
    pub(super) fn new(shared: Arc<Shared>, permit: Permit, running: Running) -> Self {
        let began = shared.clock.now();
        let (trial, ran) = (Vec::new(), Vec::new());
        Self { shared, permit, running, began, worked: began, trial, ran, counted: None, reading: false }
    }

    /// Carries the attempt out. Every way out of here ends in a result, a refusal, or a record that tells the next
    /// process.
    pub(super) async fn run(mut self, mut offer: Offer) {
        self.counted = offer.side_effects;
        if let Some(action) = offer.action.take() {
            return self.act(offer, action).await;
        }
        let prepared = tokio::select! {
            biased;
            cause = self.running.stopped() => return self.stopped_early(cause).await,
            prepared = self.shared.plans.for_offer(&offer) => prepared,
        };
        match prepared.and_then(|plan| {
            let cover = self.shared.cover(&offer, plan.source.access.path());
            Ok((plan, Errand::new(&offer, cover)?))
        }) {
            Ok((plan, errand)) => self.begin(errand, &plan).await,
            Err(failure) if failure.code == LOCK_BEHIND => self.decline(failure).await,
            Err(failure) => {
                (self.trial, self.ran) = self.shared.plans.tried(&offer, None, &failure).await;
                self.failed_early(failure).await;
            }
        }
    }

    async fn begin(mut self, errand: Errand, plan: &Plan) {
        (self.trial, self.ran) = (plan.trial(), plan.ran());
        if let Some((attempting, machine)) = self.started(plan.class, plan.offline_term).await {
            attempting.work(errand, plan, machine).await;
        }
    }

    /// Writes down that the attempt begins; nothing is returned if it does not.
    async fn started(mut self, class: SideEffects, offline_term: Duration) -> Option<(Self, Execution)> {
        if let Some(counted) = self.counted.filter(|counted| class > *counted) {
            self.give_back(stricter(class, counted), Some(class)).await;
            return None;
        }
        let now = self.shared.clock.now();
        self.running.allow_offline(offline_term);
        let mut machine = Execution::new(self.running.attempt().fence, class);
        // Acceptance needs no record of its own: nothing has begun, and a process that dies now has lost an offer.
        machine.on(Event::Offered, now);
        if !self.running.may_begin_effect(now) && machine.on(Event::EffectsEnd, now).contains(&Effect::Decline) {
            let failure =
                Failure::retry(wherry_domain::execution::LEASE_ENDED, "the lease ended before the run could begin");
            self.decline(failure).await;
            return None;
        }
        machine.on(Event::Begin, now);
        self.worked = now;
        if !self.reading
            && let Err(error) = self.shared.journal.started(self.running.attempt(), &self.trial, &self.ran).await
        {
            self.not_journalled(&error).await;
            return None;
        }
        self.running.started();
        let effects = machine.on(Event::Journalled(Stage::Started), self.shared.clock.now());
        effects.contains(&Effect::Start).then_some((self, machine))
    }

    async fn work(self, errand: Errand, plan: &Plan, mut machine: Execution) {
        let shared = Arc::clone(&self.shared);
        let text = shared.allowed.connector_text();
        let scene =
            Scene { clock: &shared.clock, running: &self.running, voice: &shared.voice, plan, errand: &errand, text };
        let mut flow = Flow::new(&scene, Blobs::new(BLOB_BYTES));
        let over = AssertUnwindSafe(flow.run(&mut machine)).catch_unwind().await;
        let effects_begun = flow.effects_begun();
        let event = match over {
            Ok(Over::Abandoned) => return,
            Ok(Over::Killed) => Event::Killed { effects_begun },
            Ok(Over::Ended(outcome)) => Event::Exited { outcome },
            Err(_) => {
                tracing::error!(run = %errand.run, "a run panicked");
                let failure = Failure::permanent(DEFECT, "the agent has a defect, see its log");
                Event::Exited { outcome: Outcome::Failed(failure.after_effects(effects_begun)) }
            }
        };
        let effects = machine.on(event, shared.clock.now());
        match machine.stored(Stage::Finished) {
            Some(wherry_domain::execution::Stored::Finished(ending)) => {
                let remains = remains(flow, plan, ending);
                self.finish(remains).await;
            }
            Some(_) | None => {
                drop(flow);
                self.pruned(&effects);
            }
        }
    }

    /// Nobody wants the result.
    fn pruned(&self, effects: &[Effect]) {
        if effects.contains(&Effect::Prune) {
            self.shared.journal.forget(self.running.attempt());
        }
    }

    async fn stopped_early(self, cause: StopCause) {
        let now = self.shared.clock.now();
        let mut machine = Execution::new(self.running.attempt().fence, SideEffects::Unsafe);
        machine.on(Event::Offered, now);
        match cause {
            // Nothing was written: the next process does not know the attempt, and the controller offers it again.
            StopCause::ProcessEnds => {}
            StopCause::Dropped => self.pruned(&machine.on(Event::Verdict(Verdict::Drop), now)),
            StopCause::Cancelled => {
                self.finish(Remains::early(Outcome::Cancelled, Vec::new())).await;
            }
        }
    }

    /// What could not be prepared never begins: its failure is the only record.
    async fn failed_early(self, failure: Failure) {
        let mut log = RunLog::new(self.shared.clock.clone());
        log.error(failure.to_string());
        self.finish(Remains::early(Outcome::Failed(failure), log.take())).await;
    }

    async fn not_journalled(self, error: &StoreError) {
        let run = self.running.attempt().run;
        tracing::error!(%run, code = error.code(), %error, "a run could not be journalled");
        if error.is_fatal() {
            return self.store_failed(error);
        }
        self.decline(Failure::retry(Code::new(error.code()), "the agent's disk is full or too slow")).await;
    }

    async fn decline(self, failure: Failure) {
        self.give_back(failure, None).await;
    }

    /// `side_effects` is the class of the attempt here, where that is why.
    async fn give_back(self, failure: Failure, side_effects: Option<SideEffects>) {
        let Self { shared, permit, running, .. } = self;
        let attempt = running.attempt();
        drop((permit, running));
        // Without a stream the next hello does not name the attempt, which says the same.
        shared.voice.say_soon(FromAgent::Declined { attempt, failure, side_effects }).await;
    }

    async fn finish(self, remains: Remains) {
        let Self { shared, permit, running, worked, trial, ran, reading, .. } = self;
        let attempt = running.attempt();
        let duration = shared.clock.now().since(worked);
        let Remains { ending, counts, earlier, log, cursor, states } = remains;
        let reading = reading && states.is_empty();
        let (told, ran) = (ending.clone(), Some(ran));
        let ended = Ended { attempt, ending, counts, earlier, duration, log, cursor, states, trial, ran };
        let release = move || drop((permit, running));
        if reading {
            shared.journal.pass_on(ended, release);
            return tell(attempt, &told, counts, duration);
        }
        match shared.journal.finished(ended, release).await {
            Ok(()) => tell(attempt, &told, counts, duration),
            Err(error) => {
                tracing::error!(run = %attempt.run, code = error.code(), %error, "a result could not be journalled");
                shared.shutdown.cancel(error.to_string(), Exit::Store);
            }
        }
    }

    fn store_failed(&self, error: &StoreError) {
        self.shared.shutdown.cancel(error.to_string(), Exit::Store);
    }
}

/// The controller would repeat what may not be repeated.
fn stricter(class: SideEffects, counted: SideEffects) -> Failure {
    let message = format!("the attempt is {class} on this agent, and the controller counts it as {counted}");
    Failure::retry(STRICTER, message)
}

fn remains(mut flow: Flow<'_>, plan: &Plan, ending: Ending) -> Remains {
    let counts = flow.tally.counts();
    let failed = match &ending {
        Ending::Ended(Outcome::Failed(failure)) => Some(failure),
        Ending::Ended(Outcome::Succeeded | Outcome::Cancelled) | Ending::Interrupted => None,
    };
    flow.sum_up_refusals();
    flow.log.info(summary(plan, counts, flow.tally.given()));
    flow.counters.lines().into_iter().for_each(|line| flow.log.info(line));
    if let Some(failure) = failed {
        flow.log.error(failure.to_string());
    }
    // A run that is over needs no cursor.
    let cursor = if failed.is_some() { flow.last_cursor() } else { None };
    let ending = match ending {
        Ending::Ended(outcome) => frame::Ending::Ended(outcome),
        Ending::Interrupted => frame::Ending::Interrupted,
    };
    let (earlier, states) = (flow.tally.earlier(), flow.memories.changed());
    Remains { ending, counts, earlier, log: flow.log.take(), cursor, states }
}

fn summary(plan: &Plan, counts: Counts, given: u64) -> String {
    let Counts { read, written, rejected, .. } = counts;
    let mut text = format!("{}: {read} records", plan.source.label);
    if plan.programs.is_some() {
        text += &format!("; transformed: {given} records");
    }
    if let Some(target) = &plan.target {
        text += &format!("; {}: {written} written, {rejected} refused", target.label);
    }
    text
}

/// One line for the agent owner.
fn tell(attempt: Attempt, ending: &frame::Ending, counts: Counts, duration: std::time::Duration) {
    let (run, fence) = (attempt.run, attempt.fence);
    let took_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let Counts { read, written, rejected, .. } = counts;
    match ending {
        frame::Ending::Ended(Outcome::Succeeded) => {
            tracing::info!(%run, %fence, read, written, took_ms, "run succeeded");
        }
        frame::Ending::Ended(Outcome::Cancelled) => {
            tracing::info!(%run, %fence, read, written, took_ms, "run cancelled")
        }
        frame::Ending::Ended(Outcome::Failed(failure)) => {
            tracing::warn!(%run, %fence, read, written, rejected, took_ms, %failure, "run failed");
        }
        frame::Ending::Interrupted => tracing::warn!(%run, %fence, "run interrupted"),
    }
}
