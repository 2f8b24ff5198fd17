//! Records from source to target, in batches with backpressure, until both ends are done or the run must stop.

use std::time::Duration;

use wherry_daemon::clock::Clock;
use wherry_domain::{
    effects::SideEffects,
    execution::{Effect, Event, Execution, Why},
    failure::{Code, Failure},
    run::Outcome as RunOutcome,
    time::Timestamp,
};
use wherry_host::{Batch, Blobs, ConnectorFault, FromConnector, Outcome, ToConnector};
use wherry_proto::frame::FromAgent;

use super::{
    cursor::Position,
    log::RunLog,
    plan::{Plan, Step},
    side::{Said, Side},
    tally::Tally,
    task::Errand,
    voice::Voice,
};
use crate::runs::{Running, StopCause};

/// How often counts go out, and how long a run lasts before its log goes ahead of its result.
const PROGRESS: Duration = Duration::from_millis(500);
/// How often a cursor goes out.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// A run that is over sooner sends its log with the result only.
const LOG_AFTER: Duration = Duration::from_secs(2);
/// Longest wait for connectors that were asked to stop.
const LET_GO: Duration = Duration::from_secs(3);
/// The operation took longer than it may.
const TIMEOUT: Code = Code::new("run.timeout");
/// The target refused records.
const REJECTED: Code = Code::new("record.rejected");
/// The target ended before it had read everything.
const LEFT_INPUT: Code = Code::new("connector.input_left");

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
pub(super) struct Flow {
    pub(super) tally: Tally,
    pub(super) log: RunLog,
    blobs: Blobs,
    source: Option<Side>,
    target: Option<Side>,
    /// On its way to the target.
    outgoing: Option<ToConnector>,
    source_done: bool,
    effects_begun: bool,
    failure: Option<Failure>,
    stopping: Option<Timestamp>,
    began: Timestamp,
    progress_at: Timestamp,
    checkpoint_at: Timestamp,
    told: u64,
    /// Confirmed by the target, not sent yet.
    position: Option<Position>,
}

enum Next {
    Stop(StopCause),
    Wake,
    Target(Said),
    Sent,
    Source(Said),
}

impl Flow {
    pub(super) fn new(scene: &Scene<'_>, blobs: Blobs) -> Self {
        let began = scene.clock.now();
        Self {
            tally: Tally::new(scene.errand.start.rows),
            log: RunLog::new(scene.clock.clone()),
            blobs,
            source: None,
            target: None,
            outgoing: None,
            source_done: false,
            effects_begun: false,
            failure: None,
            stopping: None,
            began,
            progress_at: began.plus(PROGRESS),
            checkpoint_at: began.plus(CHECKPOINT),
            told: 0,
            position: None,
        }
    }

    /// Whether something outside may have changed.
    pub(super) fn effects_begun(&self) -> bool {
        self.effects_begun
    }

    /// Where the next attempt goes on, if the controller does not know yet.
    pub(super) fn take_cursor(&mut self) -> Option<String> {
        self.note_position();
        self.position.take().and_then(|position| position.write())
    }

    /// Runs to the end. Dropping the future stops both connectors at once.
    pub(super) async fn run(&mut self, scene: &Scene<'_>, machine: &mut Execution) -> Over {
        self.start_source(scene, scene.errand.start.cursor.clone());
        let stop = scene.running.stopped();
        tokio::pin!(stop);
        loop {
            if self.source_done && self.target.is_none() && self.outgoing.is_none() {
                return self.over();
            }
            let wake = self.wake_at(scene, machine);
            let may_read = self.outgoing.is_none();
            let next = tokio::select! {
                biased;
                cause = stop.as_mut(), if self.stopping.is_none() => Next::Stop(cause),
                () = scene.clock.sleep_until(wake) => Next::Wake,
                said = said(&mut self.target) => Next::Target(said),
                () = hand_over(&mut self.target, &mut self.outgoing), if !may_read => Next::Sent,
                said = said(&mut self.source), if may_read => Next::Source(said),
            };
            let over = match next {
                Next::Stop(cause) => self.stop(scene, machine, cause),
                Next::Wake => self.wake(scene, machine),
                Next::Target(said) => self.from_target(scene, said),
                Next::Sent => None,
                Next::Source(said) => self.from_source(scene, said),
            };
            if let Some(over) = over {
                return over;
            }
        }
    }

    fn start_source(&mut self, scene: &Scene<'_>, cursor: Option<String>) {
        let step = &scene.plan.source;
        self.effects_begun |= step.class != SideEffects::Read;
        let task = scene.errand.source(step, cursor, self.time_left(scene));
        self.source = Some(Side::start(step, task, self.blobs.clone()));
    }

    /// The target begins with the first records: until then nothing outside can have changed.
    fn pass_on(&mut self, scene: &Scene<'_>, batch: Batch) {
        let Some(step) = &scene.plan.target else { return self.tally.counted() };
        if self.target.is_none() {
            self.effects_begun |= step.class != SideEffects::Read;
            let task = scene.errand.target(step, self.time_left(scene));
            self.target = Some(Side::start(step, task, self.blobs.clone()));
        }
        self.outgoing = Some(ToConnector::Batch(batch));
    }

    fn from_source(&mut self, scene: &Scene<'_>, said: Said) -> Option<Over> {
        match said {
            Said::Message(FromConnector::Batch { batch, cursor }) => {
                self.tally.read(batch.count, cursor);
                if batch.count > 0 {
                    self.pass_on(scene, batch);
                }
            }
            Said::Message(FromConnector::Checkpoint { cursor }) => self.tally.read(0, Some(cursor)),
            Said::Message(FromConnector::Acked { .. } | FromConnector::Rejected { .. }) => {}
            Said::Message(FromConnector::Log { level, message, .. }) => scene.local_log(&scene.plan.source, level, &message),
            Said::Message(FromConnector::Counter { .. }) => {}
            Said::Ended(Ok(Outcome { more: true, .. })) if self.stopping.is_none() => {
                let cursor = self.tally.newest_cursor().map(ToOwned::to_owned);
                match cursor {
                    // A slice that moved nothing would be repeated for ever.
                    None => self.source_over(Some(no_progress(&scene.plan.source))),
                    Some(cursor) => self.start_source(scene, Some(cursor)),
                }
            }
            Said::Ended(Ok(Outcome { .. })) => self.source_over(None),
            Said::Ended(Err(fault)) => self.source_over(Some(self.told_fault(scene, &scene.plan.source, &fault))),
        }
        None
    }

    /// The source is over. What the target was given it may finish, so that the next attempt begins as late as
    /// possible.
    fn source_over(&mut self, failure: Option<Failure>) {
        self.source = None;
        self.source_done = true;
        self.failure = self.failure.take().or(failure);
        if self.target.is_some() {
            self.outgoing = Some(ToConnector::End);
        }
    }

    fn from_target(&mut self, scene: &Scene<'_>, said: Said) -> Option<Over> {
        let step = scene.plan.target.as_ref()?;
        match said {
            Said::Message(FromConnector::Acked { up_to }) => self.tally.acknowledged(up_to),
            Said::Message(FromConnector::Rejected { row, error }) => {
                if self.tally.counts().rejected == 0 {
                    let code = Code::received(&error.code);
                    self.log.warn(format!("{}: record {row} was refused ({code})", step.label));
                }
                tracing::debug!(run = %scene.errand.run, row, code = error.code, message = error.message, "record refused");
                self.tally.rejected();
            }
            Said::Message(FromConnector::Log { level, message, .. }) => scene.local_log(step, level, &message),
            Said::Message(
                FromConnector::Batch { .. } | FromConnector::Checkpoint { .. } | FromConnector::Counter { .. },
            ) => {}
            Said::Ended(ended) => {
                self.target = None;
                // It took the end of its input, so it has seen everything.
                let saw_all = self.source_done && self.outgoing.is_none();
                self.outgoing = None;
                match ended {
                    Ok(_) if saw_all => self.tally.all_arrived(),
                    Ok(_) => return Some(self.fail(left_input(step))),
                    Err(fault) => {
                        let failure = self.told_fault(scene, step, &fault);
                        return Some(self.fail(failure));
                    }
                }
            }
        }
        None
    }

    /// The controller, or the end of the process, wants the attempt to stop.
    fn stop(&mut self, scene: &Scene<'_>, machine: &mut Execution, cause: StopCause) -> Option<Over> {
        let now = scene.clock.now();
        let event = match cause {
            StopCause::ProcessEnds => return Some(Over::Abandoned),
            StopCause::Cancelled => Event::CancelAsked,
            StopCause::Dropped => Event::Verdict(wherry_domain::execution::Verdict::Drop),
        };
        match killed(&machine.on(event, now)) {
            Some(Why::CancelAsked) => {
                self.stopping = Some(now.plus(LET_GO));
                self.source.iter_mut().chain(&mut self.target).for_each(Side::cancel);
                None
            }
            Some(Why::LeaseEnded | Why::Dropped) => Some(Over::Killed),
            None => None,
        }
    }

    /// A moment came: the end of the lease, of the time allowed, or for news.
    fn wake(&mut self, scene: &Scene<'_>, machine: &mut Execution) -> Option<Over> {
        let now = scene.clock.now();
        if self.stopping.is_some_and(|until| now >= until) {
            return Some(Over::Killed);
        }
        if !scene.running.may_begin_effect(now) && killed(&machine.on(Event::EffectsEnd, now)).is_some() {
            return Some(Over::Killed);
        }
        if now >= self.began.plus(scene.plan.timeout) {
            let timeout = wherry_domain::duration::format(scene.plan.timeout);
            let message = format!("the operation took longer than its timeout of {timeout}, raise it or do less at once");
            return Some(self.fail(Failure::retry(TIMEOUT, message)));
        }
        self.news(scene, now);
        None
    }

    fn wake_at(&self, scene: &Scene<'_>, machine: &Execution) -> Timestamp {
        let news = self.progress_at.min(self.began.plus(scene.plan.timeout));
        let news = self.stopping.map_or(news, |until| news.min(until));
        // A lease that is over and does no harm must not keep the flow awake.
        let lease = scene.running.effects_until();
        if machine.minds_the_lease() { news.min(lease) } else { news }
    }

    /// Counts, cursor and log, each in its rhythm. Whatever finds no room is said later or not at all.
    fn news(&mut self, scene: &Scene<'_>, now: Timestamp) {
        if now < self.progress_at {
            return;
        }
        self.progress_at = now.plus(PROGRESS);
        let (attempt, counts) = (scene.running.attempt(), self.tally.counts());
        let moved = counts.read + counts.written + counts.rejected;
        if moved != self.told && scene.voice.try_say(FromAgent::Progress { attempt, counts }) {
            self.told = moved;
        }
        self.note_position();
        if now >= self.checkpoint_at
            && let Some(cursor) = self.position.as_ref().and_then(Position::write)
            && scene.voice.try_say(FromAgent::Checkpoint { attempt, cursor })
        {
            self.checkpoint_at = now.plus(CHECKPOINT);
            self.position = None;
        }
        if now.since(self.began) >= LOG_AFTER {
            self.log.flush(scene.voice, attempt);
        }
    }

    fn note_position(&mut self) {
        if let Some(position) = self.tally.take_confirmed() {
            self.position = Some(position);
        }
    }

    /// Both sides came to their end.
    fn over(&mut self) -> Over {
        if self.stopping.is_some() && self.failure.is_some() {
            return Over::Killed;
        }
        let counts = self.tally.counts();
        if let Some(failure) = self.failure.take() {
            return self.fail(failure);
        }
        if counts.rejected > 0 {
            let message = format!("the target refused {} of {} records", counts.rejected, counts.read);
            return self.fail(Failure::permanent(REJECTED, message));
        }
        Over::Ended(RunOutcome::Succeeded)
    }

    fn fail(&mut self, failure: Failure) -> Over {
        if self.stopping.is_some() {
            return Over::Killed;
        }
        // The first failure is the cause; what followed it is noise.
        let failure = self.failure.take().unwrap_or(failure);
        Over::Ended(RunOutcome::Failed(failure.after_effects(self.effects_begun)))
    }

    /// The fault in words that may leave; the connector's own words go to the local log.
    fn told_fault(&self, scene: &Scene<'_>, step: &Step, fault: &ConnectorFault) -> Failure {
        tracing::info!(run = %scene.errand.run, step = step.label, %fault, "a connector failed");
        let Failure { class, code, message, effects_begun } = fault.failure();
        Failure { class, code, message: format!("{}: {message}", step.label), effects_begun }
    }

    fn time_left(&self, scene: &Scene<'_>) -> Duration {
        self.began.plus(scene.plan.timeout).since(scene.clock.now())
    }
}

impl Scene<'_> {
    /// What a connector writes is for the agent owner only.
    fn local_log(&self, step: &Step, level: wherry_host::Level, message: &str) {
        tracing::debug!(run = %self.errand.run, step = step.label, ?level, message, "connector");
    }
}

fn killed(effects: &[Effect]) -> Option<Why> {
    effects.iter().find_map(|effect| match effect {
        Effect::Kill { why } => Some(*why),
        Effect::Journal(_) | Effect::Start | Effect::Report { .. } | Effect::Decline | Effect::Prune => None,
    })
}

fn no_progress(step: &Step) -> Failure {
    let message = format!("{}: the connector asks to be called again but set no cursor", step.label);
    Failure::permanent(Code::new("connector.no_cursor"), message)
}

fn left_input(step: &Step) -> Failure {
    let message = format!("{}: the connector ended before it had read every record", step.label);
    Failure::permanent(LEFT_INPUT, message)
}

async fn said(side: &mut Option<Side>) -> Said {
    match side {
        Some(side) => side.next().await,
        None => std::future::pending().await,
    }
}

async fn hand_over(side: &mut Option<Side>, message: &mut Option<ToConnector>) {
    match side {
        Some(side) => side.hand_over(message).await,
        None => std::future::pending().await,
    }
}
