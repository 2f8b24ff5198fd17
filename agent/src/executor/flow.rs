//! Records from source to target, in batches with backpressure, until both are done or the run must stop.

mod limits;
mod memory;
mod middle;
mod news;
mod source;
mod target;

use wherry_domain::{
    execution::Execution,
    failure::{Code, Failure},
    run::Outcome as RunOutcome,
    time::Timestamp,
};
use wherry_host::{Batch, Blobs, ToConnector};

use self::news::News;
use super::{
    counters::Counters,
    log::RunLog,
    memory::{Entries, Memories},
    scene::Scene,
    side::{Said, Side},
    stage::{Stage, Told},
    tally::Tally,
    target::Target,
};
use crate::runs::StopCause;

/// The target refused records.
const REJECTED: Code = Code::new("record.rejected");

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
    pub(super) memories: Memories,
    pub(super) counters: Counters,
    /// What the source's connection remembers, as its last invocation left it: perhaps ahead of its records.
    source_state: Entries,
    /// What the target's connection remembered when the target began.
    target_state: Entries,
    news: News,
    blobs: Blobs,
    source: Option<Side>,
    /// Where the source's present slice began.
    slice: Option<String>,
    /// The operation's programs, from the first record on.
    stage: Option<Stage>,
    /// On its way to the programs.
    incoming: Option<Batch>,
    target: Option<Target>,
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
    Stage(Told),
    Source(Said),
}

impl<'a> Flow<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, blobs: Blobs) -> Self {
        let began = scene.clock.now();
        let mut log = RunLog::new(scene.clock.clone());
        scene.plan.warnings().into_iter().for_each(|warning| log.warn(warning.to_owned()));
        Self {
            scene,
            tally: Tally::new(scene.errand.start.clone()),
            log,
            memories: scene.errand.memories.clone(),
            counters: Counters::default(),
            source_state: scene.errand.memories.of(&scene.plan.source.connection),
            target_state: Entries::new(),
            news: News::new(began),
            blobs,
            source: None,
            slice: None,
            stage: None,
            incoming: None,
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
        self.news.last_cursor(&mut self.tally, &self.scene.errand.cover)
    }

    /// Runs to the end. Dropping the future stops both connectors at once.
    pub(super) async fn run(&mut self, machine: &mut Execution) -> Over {
        let scene = self.scene;
        self.start_source(scene.errand.start.cursor.clone());
        let stop = scene.running.stopped();
        tokio::pin!(stop);
        loop {
            let wake = self.wake_at();
            let (may_read, room) = (self.may_read(), self.outgoing.is_none());
            let next = tokio::select! {
                biased;
                cause = stop.as_mut(), if self.stopping.is_none() => Next::Stop(cause),
                said = target_said(&mut self.target, &mut self.outgoing) => Next::Target(said),
                told = told(&mut self.stage, &mut self.incoming, room) => Next::Stage(told),
                said = source_said(&mut self.source), if may_read => Next::Source(said),
                () = scene.clock.sleep_until(wake) => Next::Wake,
            };
            if let Some(over) = self.after(next, machine) {
                return over;
            }
        }
    }

    fn after(&mut self, next: Next, machine: &mut Execution) -> Option<Over> {
        let over = match next {
            Next::Stop(cause) => self.stop(machine, cause),
            Next::Wake => self.wake(),
            Next::Target(said) => self.hear_target(said),
            Next::Stage(told) => {
                self.hear_stage(told);
                None
            }
            Next::Source(said) => {
                self.hear_source(said);
                None
            }
        };
        self.keep_arrived();
        let both_done = self.source_done && self.stage.is_none() && self.target.is_none();
        let over = if over.is_none() && both_done { Some(self.both_done()) } else { over };
        if over == Some(Over::Ended(RunOutcome::Succeeded)) {
            return over;
        }
        // What a connector says after the end of its lease is about that end. Only a good end is worth more.
        self.check_lease(machine).or(over)
    }

    /// Both sides came to their end.
    fn both_done(&mut self) -> Over {
        let counts = self.tally.counts();
        match self.failure.take() {
            Some(failure) => self.fail(failure),
            None if self.tally.refused() > 0 => {
                let refused = self.tally.refused();
                let message = if refused == counts.rejected {
                    format!("the target refused {refused} of {} records", self.tally.given())
                } else {
                    format!("the target refused {refused} records, in earlier attempts too")
                };
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
}

async fn told(stage: &mut Option<Stage>, incoming: &mut Option<Batch>, room: bool) -> Told {
    match stage {
        Some(stage) => stage.next(incoming, room).await,
        None => std::future::pending().await,
    }
}

async fn target_said(target: &mut Option<Target>, outgoing: &mut Option<ToConnector>) -> Said {
    match target {
        Some(target) => target.next(outgoing).await,
        None => std::future::pending().await,
    }
}

async fn source_said(source: &mut Option<Side>) -> Said {
    match source {
        Some(source) => source.next(&mut None).await,
        None => std::future::pending().await,
    }
}
