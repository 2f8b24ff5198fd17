//! What ends a flow from outside: a wish to stop, the lease, the time allowed.

use std::time::Duration;

use wherry_domain::{
    duration,
    execution::{Effect, Event, Execution, Verdict, Why},
    failure::{Code, Failure},
    time::Timestamp,
};

use super::{Flow, Over, Side, Target};
use crate::runs::StopCause;

/// Longest wait for connectors that were asked to stop.
const LET_GO: Duration = Duration::from_secs(3);
/// The operation took longer than it may.
const TIMEOUT: Code = Code::new("run.timeout");

impl Flow<'_> {
    /// The controller, or the end of the process, wants the attempt to stop.
    pub(super) fn stop(&mut self, machine: &mut Execution, cause: StopCause) -> Option<Over> {
        let now = self.scene.clock.now();
        let event = match cause {
            StopCause::ProcessEnds => return Some(Over::Abandoned),
            StopCause::Cancelled => Event::CancelAsked,
            StopCause::Dropped => Event::Verdict(Verdict::Drop),
        };
        self.stopping = Some(now.plus(LET_GO));
        match killed(&machine.on(event, now)) {
            Some(Why::CancelAsked) | None => {
                self.source.iter_mut().for_each(Side::cancel);
                self.target.iter_mut().for_each(Target::cancel);
                None
            }
            Some(Why::LeaseEnded | Why::Dropped) => Some(Over::Killed),
        }
    }

    /// A moment came: the end of the lease, of the time allowed, or for news.
    pub(super) fn wake(&mut self) -> Option<Over> {
        let now = self.scene.clock.now();
        if self.stopping.is_some_and(|until| now >= until) {
            return Some(Over::Killed);
        }
        if now >= self.deadline() {
            let timeout = duration::format(self.scene.plan.timeout);
            let message =
                format!("the operation took longer than its timeout of {timeout}, raise it or do less at once");
            return Some(self.fail(Failure::retry(TIMEOUT, message)));
        }
        self.news.tell(self.scene, (&mut self.tally, &mut self.memories), &mut self.log, now);
        None
    }

    /// Whether the end of the lease ends the flow.
    pub(super) fn check_lease(&mut self, machine: &mut Execution) -> Option<Over> {
        let now = self.scene.clock.now();
        if self.lease_over || self.scene.running.may_begin_effect(now) {
            return None;
        }
        // Whoever only reads goes on; there is no need to ask again.
        self.lease_over = true;
        killed(&machine.on(Event::EffectsEnd, now)).map(|_| Over::Killed)
    }

    pub(super) fn wake_at(&self) -> Timestamp {
        let due = self.news.due().min(self.deadline());
        let due = self.stopping.map_or(due, |until| due.min(until));
        if self.lease_over { due } else { due.min(self.scene.running.effects_until()) }
    }

    fn deadline(&self) -> Timestamp {
        self.began.plus(self.scene.plan.timeout)
    }

    pub(super) fn time_left(&self) -> Duration {
        self.deadline().since(self.scene.clock.now())
    }
}

fn killed(effects: &[Effect]) -> Option<Why> {
    effects.iter().find_map(|effect| match effect {
        Effect::Kill { why } => Some(*why),
        Effect::Journal(_) | Effect::Start | Effect::Report { .. } | Effect::Decline | Effect::Prune => None,
    })
}
