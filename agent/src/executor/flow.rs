//! Records from source to target, in batches with backpressure, until both are done or the run must stop.

mod news;

use std::time::Duration;

use wherry_daemon::clock::Clock;
use wherry_domain::{
    duration,
    effects::SideEffects,
    execution::{Effect, Event, Execution, Verdict, Why},
    failure::{Code, Failure},
    run::Outcome as RunOutcome,
    time::Timestamp,
};
use wherry_host::{Batch, Blobs, ConnectorFault, FromConnector, Outcome, ToConnector};

use self::news::News;
use super::{
    errand::Errand,
    log::RunLog,
    plan::{Plan, Step},
    side::{Said, Side},
    tally::Tally,
    voice::Voice,
};
use crate::runs::{Running, StopCause};

/// Longest wait for connectors that were asked to stop.
const LET_GO: Duration = Duration::from_secs(3);
/// The operation took longer than it may.
const TIMEOUT: Code = Code::new("run.timeout");
/// The target refused records.
const REJECTED: Code = Code::new("record.rejected");
/// The target ended before it had read everything.
const LEFT_INPUT: Code = Code::new("connector.input_left");
/// The source asked to be called again without saying where to continue.
const NO_CURSOR: Code = Code::new("connector.no_cursor");

/// The surroundings of a flow.
pub(super) struct Scene<'a> {
    pub(super) clock: &'a Clock,
    pub(super) running: &'a Running,
    pub(super) voice: &'a Voice,
    pub(super) plan: &'a Plan,
    pub(super) errand: &'a Errand,
}

/// How a flow ended.
#[derive(Debug, PartialEq)]
pub(super) enum Over {
    /// By itself, or because of a failure.
    Ended(RunOutcome),
    /// Stopped from outside.
    Killed,
    /// The process ends: the journal tells the next one.
    Abandoned,
}

/// One attempt at work.
pub(super) struct Flow<'a> {
    scene: &'a Scene<'a>,
    pub(super) tally: Tally,
    pub(super) log: RunLog,
    news: News,
    blobs: Blobs,
    source: Option<Side>,
    /// Where the source's present slice began.
    slice: Option<String>,
    target: Option<Side>,
    /// On its way to the target.
    outgoing: Option<ToConnector>,
    source_done: bool,
    effects_begun: bool,
    failure: Option<Failure>,
    /// Asked to stop; until then the connectors may let go by themselves.
    stopping: Option<Timestamp>,
    lease_over: bool,
    began: Timestamp,
}

/// What happens next.
enum Next {
    Stop(StopCause),
    Wake,
    Target(Said),
    Source(Said),
}

impl<'a> Flow<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, blobs: Blobs) -> Self {
        let began = scene.clock.now();
        Self {
            scene,
            tally: Tally::new(scene.errand.start.rows),
            log: RunLog::new(scene.clock.clone()),
            news: News::new(began),
            blobs,
            source: None,
            slice: None,
            target: None,
            outgoing: None,
            source_done: false,
            effects_begun: false,
            failure: None,
            stopping: None,
            lease_over: false,
            began,
        }
    }

    /// Whether something outside may have changed.
    pub(super) fn effects_begun(&self) -> bool {
        self.effects_begun
    }

    /// Where the next attempt goes on, if the controller does not know yet.
    pub(super) fn last_cursor(&mut self) -> Option<String> {
        self.news.last_cursor(&mut self.tally)
    }

    /// Runs to the end. Dropping the future stops both connectors at once.
    pub(super) async fn run(&mut self, machine: &mut Execution) -> Over {
        let scene = self.scene;
        self.start_source(scene.errand.start.cursor.clone());
        let stop = scene.running.stopped();
        tokio::pin!(stop);
        while !(self.source_done && self.target.is_none()) {
            let wake = self.wake_at();
            let (may_read, mut nothing) = (self.outgoing.is_none(), None);
            let next = tokio::select! {
                biased;
                cause = stop.as_mut(), if self.stopping.is_none() => Next::Stop(cause),
                said = said(&mut self.target, &mut self.outgoing) => Next::Target(said),
                said = said(&mut self.source, &mut nothing), if may_read => Next::Source(said),
                () = scene.clock.sleep_until(wake) => Next::Wake,
            };
            let over = match next {
                Next::Stop(cause) => self.stop(machine, cause),
                Next::Wake => self.wake(machine),
                Next::Target(said) => self.hear_target(said),
                Next::Source(said) => self.hear_source(said, machine),
            };
            if let Some(over) = over {
                return over;
            }
        }
        self.both_done()
    }

    fn start_source(&mut self, cursor: Option<String>) {
        let step = &self.scene.plan.source;
        self.effects_begun |= step.class != SideEffects::Read;
        let task = self.scene.errand.source(step, cursor.clone(), self.time_left());
        self.slice = cursor;
        self.source = Some(Side::start(step, task, self.blobs.clone()));
    }

    /// The target begins with the first records: until then it cannot have changed anything.
    fn pass_on(&mut self, batch: Batch, machine: &mut Execution) -> Option<Over> {
        let Some(step) = &self.scene.plan.target else {
            self.tally.only_counted();
            return None;
        };
        if let Some(over) = self.check_lease(machine) {
            return Some(over);
        }
        if self.target.is_none() {
            self.effects_begun |= step.class != SideEffects::Read;
            let task = self.scene.errand.target(step, self.time_left());
            self.target = Some(Side::start(step, task, self.blobs.clone()));
        }
        self.outgoing = Some(ToConnector::Batch(batch));
        None
    }

    fn hear_source(&mut self, said: Said, machine: &mut Execution) -> Option<Over> {
        let step = &self.scene.plan.source;
        match said {
            Said::Message(FromConnector::Batch { batch, cursor }) => {
                self.tally.read(batch.count, cursor);
                return if batch.count > 0 { self.pass_on(batch, machine) } else { None };
            }
            Said::Message(FromConnector::Checkpoint { cursor }) => self.tally.read(0, Some(cursor)),
            Said::Message(FromConnector::Log { level, message, .. }) => self.scene.local_log(step, level, &message),
            Said::Message(
                FromConnector::Acked { .. } | FromConnector::Rejected { .. } | FromConnector::Counter { .. },
            )
            | Said::Taken => {}
            Said::Ended(Ok(Outcome { more: true, .. })) if self.stopping.is_none() => self.next_slice(),
            Said::Ended(Ok(Outcome { .. })) => self.source_over(None),
            Said::Ended(Err(fault)) => self.source_over(Some(self.scene.failure_of(step, &fault))),
        }
        None
    }

    /// The source wants to be called again. A slice that moved nothing would be repeated for ever.
    fn next_slice(&mut self) {
        let cursor = self.tally.latest_cursor().cloned();
        if cursor.is_none() || cursor == self.slice {
            let message = format!(
                "{}: the connector asks to be called again but did not move its cursor",
                self.scene.plan.source.label
            );
            self.source_over(Some(Failure::permanent(NO_CURSOR, message)));
        } else {
            self.start_source(cursor);
        }
    }

    /// What the target was given it may finish, so that the next attempt begins as late as possible.
    fn source_over(&mut self, failure: Option<Failure>) {
        self.source = None;
        self.source_done = true;
        self.failure = failure;
        if self.target.is_some() {
            self.outgoing = Some(ToConnector::End);
        }
    }

    fn hear_target(&mut self, said: Said) -> Option<Over> {
        let step = self.scene.plan.target.as_ref()?;
        match said {
            Said::Message(FromConnector::Acked { up_to }) => self.tally.acknowledged(up_to),
            Said::Message(FromConnector::Rejected { row, error }) => {
                tracing::debug!(
                    run = self.scene.errand.run,
                    row,
                    code = error.code,
                    message = error.message,
                    "refused"
                );
                if self.tally.counts().rejected == 0 {
                    let code = Code::received(&error.code);
                    self.log.warn(format!("{}: record {row} was refused ({code})", step.label));
                }
                self.tally.rejected();
            }
            Said::Message(FromConnector::Log { level, message, .. }) => self.scene.local_log(step, level, &message),
            Said::Message(
                FromConnector::Batch { .. } | FromConnector::Checkpoint { .. } | FromConnector::Counter { .. },
            )
            | Said::Taken => {}
            Said::Ended(ended) => return self.target_over(step, ended),
        }
        None
    }

    fn target_over(&mut self, step: &Step, ended: Result<Outcome, ConnectorFault>) -> Option<Over> {
        self.target = None;
        // It took the end of its input, so it has seen everything.
        let saw_all = self.source_done && self.outgoing.is_none();
        self.outgoing = None;
        match ended {
            Ok(_) if saw_all => {
                self.tally.all_arrived();
                None
            }
            Ok(_) => {
                let message = format!("{}: the connector ended before it had read every record", step.label);
                Some(self.fail(Failure::permanent(LEFT_INPUT, message)))
            }
            Err(fault) => Some(self.fail(self.scene.failure_of(step, &fault))),
        }
    }

    /// The controller, or the end of the process, wants the attempt to stop.
    fn stop(&mut self, machine: &mut Execution, cause: StopCause) -> Option<Over> {
        let now = self.scene.clock.now();
        let event = match cause {
            StopCause::ProcessEnds => return Some(Over::Abandoned),
            StopCause::Cancelled => Event::CancelAsked,
            StopCause::Dropped => Event::Verdict(Verdict::Drop),
        };
        self.stopping = Some(now.plus(LET_GO));
        match killed(&machine.on(event, now)) {
            Some(Why::CancelAsked) | None => {
                self.source.iter_mut().chain(&mut self.target).for_each(Side::cancel);
                None
            }
            Some(Why::LeaseEnded | Why::Dropped) => Some(Over::Killed),
        }
    }

    /// A moment came: the end of the lease, of the time allowed, or for news.
    fn wake(&mut self, machine: &mut Execution) -> Option<Over> {
        let now = self.scene.clock.now();
        if self.stopping.is_some_and(|until| now >= until) {
            return Some(Over::Killed);
        }
        if let Some(over) = self.check_lease(machine) {
            return Some(over);
        }
        if now >= self.deadline() {
            let timeout = duration::format(self.scene.plan.timeout);
            let message =
                format!("the operation took longer than its timeout of {timeout}, raise it or do less at once");
            return Some(self.fail(Failure::retry(TIMEOUT, message)));
        }
        self.news.tell(self.scene, &mut self.tally, &mut self.log, now);
        None
    }

    fn check_lease(&mut self, machine: &mut Execution) -> Option<Over> {
        let now = self.scene.clock.now();
        if self.lease_over || self.scene.running.may_begin_effect(now) {
            return None;
        }
        // Whoever only reads goes on; there is no need to ask again.
        self.lease_over = true;
        killed(&machine.on(Event::EffectsEnd, now)).map(|_| Over::Killed)
    }

    fn wake_at(&self) -> Timestamp {
        let due = self.news.due().min(self.deadline());
        let due = self.stopping.map_or(due, |until| due.min(until));
        if self.lease_over { due } else { due.min(self.scene.running.effects_until()) }
    }

    /// Both sides came to their end.
    fn both_done(&mut self) -> Over {
        let counts = self.tally.counts();
        match self.failure.take() {
            Some(failure) => self.fail(failure),
            None if counts.rejected > 0 => {
                let message = format!("the target refused {} of {} records", counts.rejected, counts.read);
                self.fail(Failure::permanent(REJECTED, message))
            }
            None => Over::Ended(RunOutcome::Succeeded),
        }
    }

    fn fail(&mut self, failure: Failure) -> Over {
        if self.stopping.is_some() {
            return Over::Killed;
        }
        // The first failure is the cause; what followed it is noise.
        let failure = self.failure.take().unwrap_or(failure);
        Over::Ended(RunOutcome::Failed(failure.after_effects(self.effects_begun)))
    }

    fn deadline(&self) -> Timestamp {
        self.began.plus(self.scene.plan.timeout)
    }

    fn time_left(&self) -> Duration {
        self.deadline().since(self.scene.clock.now())
    }
}

impl Scene<'_> {
    /// What a connector writes is for the agent owner only.
    fn local_log(&self, step: &Step, level: wherry_host::Level, message: &str) {
        tracing::debug!(run = self.errand.run, step = step.label, ?level, message, "connector");
    }

    /// The fault in words that may leave; the connector's own words go to the local log.
    fn failure_of(&self, step: &Step, fault: &ConnectorFault) -> Failure {
        tracing::info!(run = self.errand.run, step = step.label, %fault, "a connector failed");
        let Failure { class, code, message, effects_begun } = fault.failure();
        Failure { class, code, message: format!("{}: {message}", step.label), effects_begun }
    }
}

fn killed(effects: &[Effect]) -> Option<Why> {
    effects.iter().find_map(|effect| match effect {
        Effect::Kill { why } => Some(*why),
        Effect::Journal(_) | Effect::Start | Effect::Report { .. } | Effect::Decline | Effect::Prune => None,
    })
}

async fn said(side: &mut Option<Side>, outgoing: &mut Option<ToConnector>) -> Said {
    match side {
        Some(side) => side.next(outgoing).await,
        None => std::future::pending().await,
    }
}
