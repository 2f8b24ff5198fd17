//! A run as one would describe it in a few sentences: who holds it, until when, what is over.

use wherry_domain::{
    effects::SideEffects,
    failure::{Failure, FailureClass},
    fence::Fence,
    id::AgentId,
    run::{AGENT_LOST, Event, MAX_LOSSES, Outcome, State, Terms, WORKER_DIED},
    time::Timestamp,
};

pub(super) struct Model {
    terms: Terms,
    fence: Fence,
    /// The agent that may be at it.
    holder: Option<AgentId>,
    /// Until when it may be at it alone; `None` when nobody knows.
    lease: Option<Timestamp>,
    /// Not to be placed before.
    due: Timestamp,
    /// Waits for an agent, while the last one may still answer.
    open: bool,
    cancel: bool,
    begun: bool,
    /// An attempt that failed may have had effects.
    acted: bool,
    failures: u32,
    losses: u32,
    over: Option<Outcome>,
}

impl Model {
    pub(super) const fn new(terms: Terms) -> Self {
        Self {
            terms,
            fence: Fence::unused(0),
            holder: None,
            lease: None,
            due: Timestamp::from_millis(0),
            open: false,
            cancel: false,
            begun: false,
            acted: false,
            failures: 0,
            losses: 0,
            over: None,
        }
    }

    pub(super) fn state(&self) -> State {
        match (&self.over, self.holder, self.lease) {
            (Some(outcome), _, _) => State::Finished { outcome: outcome.clone() },
            (None, None, _) => State::Queued { open: self.open },
            (None, Some(agent), Some(_)) => State::Leased { agent, cancelling: self.cancel },
            (None, Some(agent), None) => State::Unknown { agent },
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if self.over.is_some() {
            None
        } else if self.holder.is_none() {
            Some(self.due)
        } else {
            self.lease
        }
    }

    pub(super) fn on(&mut self, event: &Event, now: Timestamp) -> Vec<&'static str> {
        let current = self.fence;
        if let Event::Reported { fence, .. } = event
            && *fence != current
        {
            return vec!["keep late"];
        }
        if self.over.is_some() {
            return vec![];
        }
        let free = self.holder.is_none();
        let lease = Some(self.terms.lease.lost_at(now, self.terms.offline_term));
        match event {
            Event::Judged { side_effects, last } => self.judge(*side_effects, *last),
            Event::Placed { agent, .. } if free && now >= self.due => {
                self.fence = current.next(0).unwrap();
                (self.holder, self.lease, self.begun) = (Some(*agent), lease, false);
                vec!["offer"]
            }
            Event::Renewed { fence } if *fence == current && self.lease.is_some() => {
                self.lease = lease;
                vec![]
            }
            Event::Declined { fence } if *fence == current && !free && !self.begun => self.again_or_cancelled(now),
            Event::Absent { agent } if self.holder == Some(*agent) && !self.begun => self.again_or_cancelled(now),
            Event::Revoked { agent } if self.holder == Some(*agent) && self.lease.is_some() => self.lose(now, true),
            Event::Recalled { agent, fence } if *fence > current => {
                (self.fence, self.holder, self.lease, self.begun) = (*fence, Some(*agent), lease, true);
                vec![]
            }
            Event::Interrupted { fence } if *fence == current && !free => {
                self.begun = true;
                if self.lease.is_some() { self.lose(now, false) } else { vec![] }
            }
            Event::Tick if self.lease.is_some_and(|end| now >= end) => self.lose(now, true),
            Event::Reported { outcome, .. } if free => self.answer_while_waiting(outcome),
            Event::Reported { outcome, jitter, .. } => {
                let Outcome::Failed(failure) = outcome else { return self.end(outcome.clone()) };
                let harmless = !failure.effects_begun || self.terms.side_effects.may_repeat();
                if !harmless && failure.code == WORKER_DIED {
                    self.begun = true;
                    return if self.lease.is_some() { self.lose(now, false) } else { vec![] };
                }
                self.failures += 1;
                self.acted |= failure.effects_begun;
                let wait = self.terms.retry.delay(self.failures, *jitter);
                match wait.filter(|_| harmless && failure.class == FailureClass::Retry && !self.cancel) {
                    Some(wait) => self.wait(now.plus(wait), false),
                    None => self.end(outcome.clone()),
                }
            }
            Event::CancelAsked if self.lease.is_some() => {
                self.cancel = true;
                vec!["ask to cancel"]
            }
            Event::CancelAsked => self.end(Outcome::Cancelled),
            Event::RetryAsked if !free && self.lease.is_none() => {
                self.cancel = false;
                self.wait(now, true)
            }
            Event::Placed { .. }
            | Event::Renewed { .. }
            | Event::Declined { .. }
            | Event::Absent { .. }
            | Event::Revoked { .. }
            | Event::Recalled { .. }
            | Event::Interrupted { .. }
            | Event::GivenUp
            | Event::RetryAsked
            | Event::Tick => vec![],
        }
    }

    fn judge(&mut self, class: SideEffects, last: Option<AgentId>) -> Vec<&'static str> {
        let before = self.terms.side_effects;
        self.terms.side_effects = before.max(class);
        let harmed = before != SideEffects::Read && class > before && (self.acted || self.losses > 0);
        if !harmed || self.holder.is_some() || last.is_none() {
            return vec![];
        }
        (self.holder, self.lease, self.begun) = (last, None, true);
        vec!["hold"]
    }

    fn answer_while_waiting(&mut self, outcome: &Outcome) -> Vec<&'static str> {
        let retry = matches!(outcome, Outcome::Failed(failure) if failure.class == FailureClass::Retry);
        if self.open && !retry && *outcome != Outcome::Cancelled {
            return self.end(outcome.clone());
        }
        self.open = false;
        vec![]
    }

    fn lose(&mut self, now: Timestamp, open: bool) -> Vec<&'static str> {
        self.losses += 1;
        if !self.terms.side_effects.may_repeat() {
            self.lease = None;
            return vec!["hold"];
        }
        if self.losses > MAX_LOSSES && !self.cancel {
            let message = "the agent was lost during the run, several times in a row";
            return self.end(Outcome::Failed(Failure::permanent(AGENT_LOST, message).after_effects(true)));
        }
        if self.cancel { self.end(Outcome::Cancelled) } else { self.wait(now, open) }
    }

    fn again_or_cancelled(&mut self, now: Timestamp) -> Vec<&'static str> {
        if self.cancel { self.end(Outcome::Cancelled) } else { self.wait(now, false) }
    }

    fn wait(&mut self, due: Timestamp, open: bool) -> Vec<&'static str> {
        (self.holder, self.lease) = (None, None);
        (self.due, self.open) = (due, open);
        vec!["requeue"]
    }

    fn end(&mut self, outcome: Outcome) -> Vec<&'static str> {
        self.over = Some(outcome);
        vec!["settle"]
    }
}
