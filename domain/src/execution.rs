//! One attempt of a run, as the agent that was offered it sees it.
//!
//! ```text
//! New ─Offered─► Accepted ─Begin─► Starting ─on disk─► Started ─Exited, Killed─► Finished ─Acked─► Acked
//!                   ▲  └─ lease over ─► Declined           └─ process died (interrupted) ─► ▲
//!            Keep ─ Asking ◄─ process died
//! ```
//!
//! Three rules hold whatever arrives: the work begins at most once per fence, and not before that
//! is on disk; it is never begun by a later process than the one that wrote so; a result on disk
//! is reported until the controller acknowledged it.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{
    effects::SideEffects,
    failure::{Code, Failure},
    fence::Fence,
    run::Outcome,
    time::Timestamp,
};

#[cfg(test)]
mod tests;
mod words;

pub use words::{Effect, Ending, Event, Stage, State, Stored, Verdict, Why};

/// The lease ended before the attempt did, and its effects may not go on without one.
pub const LEASE_ENDED: Code = Code::new("run.lease_ended");

/// How long to wait for an acknowledgement before the result is reported again.
pub const REPORT_AGAIN: Duration = Duration::from_secs(30);

/// One attempt of a run on its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    fence: Fence,
    side_effects: SideEffects,
    state: State,
    durable: Option<Stage>,
    report_at: Timestamp,
}

impl Execution {
    /// An attempt that was just offered, or is about to be: tell it [`Event::Offered`].
    pub const fn new(fence: Fence, side_effects: SideEffects) -> Self {
        Self { fence, side_effects, state: State::New, durable: None, report_at: Timestamp::from_millis(0) }
    }

    /// An attempt read back from the journal: tell it [`Event::Restarted`].
    pub fn restored(fence: Fence, side_effects: SideEffects, stored: Stored) -> Self {
        let (state, stage) = match stored {
            Stored::Accepted => (State::Accepted, Stage::Accepted),
            Stored::Started => (State::Started { kill: None }, Stage::Started),
            Stored::Finished(ending) => (State::Finished { ending }, Stage::Finished),
        };
        Self { state, durable: Some(stage), ..Self::new(fence, side_effects) }
    }

    /// What [`Effect::Journal`] writes for the stage; `None` if the attempt is not there.
    pub fn stored(&self, stage: Stage) -> Option<Stored> {
        match stage {
            Stage::Accepted => Some(Stored::Accepted),
            Stage::Started => Some(Stored::Started),
            Stage::Finished => self.ending().cloned().map(Stored::Finished),
        }
    }

    /// The fence of the attempt.
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// Where it is.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What the agent says of the attempt in hellos and heartbeats; `None` once there is nothing
    /// to say. An offer counts as accepted before the journal has it: if a hello left it out, the
    /// controller would take it for lost and offer it again.
    pub const fn stage(&self) -> Option<Stage> {
        match self.state {
            State::New | State::Accepted | State::Asking | State::Starting => Some(Stage::Accepted),
            State::Started { .. } => Some(Stage::Started),
            State::Finished { .. } => Some(Stage::Finished),
            State::Declined | State::Acked => None,
        }
    }

    /// When to call [`Execution::on`] with [`Event::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        self.reportable().map(|_| self.report_at)
    }

    /// Something happened; here is all that must follow.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Offered => self.advance(&State::New, State::Accepted, Stage::Accepted),
            Event::Journalled(stage) => self.journalled(stage, now),
            Event::Begin => self.advance(&State::Accepted, State::Starting, Stage::Started),
            Event::Exited { outcome } => self.exited(Ending::Ended(outcome), now),
            Event::Killed { effects_begun } => self.killed(effects_begun, now),
            Event::CancelAsked => self.cancel_asked(now),
            Event::EffectsEnd => self.effects_end(),
            Event::Verdict(Verdict::Keep) => self.keep(now),
            Event::Verdict(Verdict::Drop) => self.drop_it(),
            Event::Verdict(Verdict::Report) if self.not_begun() => self.decline(),
            Event::Verdict(Verdict::Report) => self.report(now),
            Event::Acked if self.reportable().is_some() => self.forget(),
            Event::Acked => Vec::new(),
            Event::Restarted => self.restarted(now),
            Event::Tick if self.deadline().is_some_and(|deadline| now >= deadline) => self.report(now),
            Event::Tick => Vec::new(),
        }
    }

    const fn ending(&self) -> Option<&Ending> {
        if let State::Finished { ending } = &self.state { Some(ending) } else { None }
    }

    /// The ending, once it would survive this process: what was reported must not be unsaid.
    fn reportable(&self) -> Option<&Ending> {
        self.ending().filter(|ending| **ending == Ending::Interrupted || self.durable == Some(Stage::Finished))
    }

    const fn not_begun(&self) -> bool {
        matches!(self.state, State::New | State::Accepted | State::Asking | State::Starting)
    }

    fn advance(&mut self, from: &State, to: State, stage: Stage) -> Vec<Effect> {
        if self.state != *from {
            return Vec::new();
        }
        self.state = to;
        vec![Effect::Journal(stage)]
    }

    fn journalled(&mut self, stage: Stage, now: Timestamp) -> Vec<Effect> {
        self.durable = self.durable.max(Some(stage));
        match stage {
            Stage::Started if self.state == State::Starting => {
                self.state = State::Started { kill: None };
                vec![Effect::Start]
            }
            Stage::Finished => self.report(now),
            Stage::Accepted | Stage::Started => Vec::new(),
        }
    }

    fn exited(&mut self, ending: Ending, now: Timestamp) -> Vec<Effect> {
        let State::Started { kill } = self.state else { return Vec::new() };
        match kill {
            Some(Why::Dropped) => self.forget(),
            None | Some(Why::CancelAsked | Why::LeaseEnded) => self.finish(ending, now),
        }
    }

    fn killed(&mut self, effects_begun: bool, now: Timestamp) -> Vec<Effect> {
        let State::Started { kill } = self.state else { return Vec::new() };
        let ending = match kill {
            Some(Why::CancelAsked) => Ending::Ended(Outcome::Cancelled),
            Some(Why::LeaseEnded) => {
                let failure = Failure::retry(LEASE_ENDED, "the agent lost the controller for longer than the lease");
                Ending::Ended(Outcome::Failed(failure.after_effects(effects_begun)))
            }
            Some(Why::Dropped) | None => Ending::Interrupted,
        };
        self.exited(ending, now)
    }

    fn finish(&mut self, ending: Ending, now: Timestamp) -> Vec<Effect> {
        let died = ending == Ending::Interrupted;
        self.state = State::Finished { ending };
        if died { self.report(now) } else { vec![Effect::Journal(Stage::Finished)] }
    }

    fn cancel_asked(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.not_begun() {
            return self.finish(Ending::Ended(Outcome::Cancelled), now);
        }
        self.kill(Why::CancelAsked)
    }

    fn effects_end(&mut self) -> Vec<Effect> {
        if self.not_begun() {
            return if self.state == State::Asking { Vec::new() } else { self.decline() };
        }
        // Whoever only reads has no effects to begin, so the end of the lease does no harm.
        if self.side_effects == SideEffects::Read { Vec::new() } else { self.kill(Why::LeaseEnded) }
    }

    fn kill(&mut self, why: Why) -> Vec<Effect> {
        if self.state != (State::Started { kill: None }) {
            return Vec::new();
        }
        self.state = State::Started { kill: Some(why) };
        vec![Effect::Kill { why }]
    }

    fn keep(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.state == State::Asking {
            self.state = State::Accepted;
        }
        self.report(now)
    }

    fn drop_it(&mut self) -> Vec<Effect> {
        match &mut self.state {
            State::Started { kill: Some(why) } => {
                *why = Why::Dropped;
                Vec::new()
            }
            State::Started { kill: None } => self.kill(Why::Dropped),
            State::New | State::Accepted | State::Asking | State::Starting | State::Finished { .. } => self.forget(),
            State::Declined | State::Acked => Vec::new(),
        }
    }

    fn restarted(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Accepted => {
                self.state = State::Asking;
                Vec::new()
            }
            State::Started { .. } => self.finish(Ending::Interrupted, now),
            State::Finished { .. } => self.report(now),
            State::New | State::Asking | State::Starting | State::Declined | State::Acked => Vec::new(),
        }
    }

    fn report(&mut self, now: Timestamp) -> Vec<Effect> {
        let Some(ending) = self.reportable().cloned() else { return Vec::new() };
        self.report_at = now.plus(REPORT_AGAIN);
        vec![Effect::Report { ending }]
    }

    fn decline(&mut self) -> Vec<Effect> {
        self.state = State::Declined;
        vec![Effect::Decline, Effect::Prune]
    }

    fn forget(&mut self) -> Vec<Effect> {
        self.state = State::Acked;
        vec![Effect::Prune]
    }
}
