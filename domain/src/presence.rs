//! An agent as the controller sees it: is it there, may it take work, is it one process or two?
//!
//! ```text
//! AwaitingFirst ─Hello─► Live ◄──Beat─── Suspect ──lease and grace──► Lost
//!                        ▲ └─30 s silent or Closed─►┘                  │
//!                        └───────────────── Hello ─────────────────────┘
//! any ─Lock, or a copied identity─► Locked ─Unlock─► AwaitingFirst or Lost
//! ```
//!
//! Whatever arrives: the newest epoch owns the agent, an older one changes nothing, and a locked
//! agent keeps no stream.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{epoch::Epoch, id::InstanceId, lease::LeaseTerms, time::Timestamp};

mod drain;
mod duplicate;
#[cfg(test)]
mod tests;
mod words;

pub use drain::Asker;
pub use words::{Effect, Event, State};

/// Longest silence after which an agent still gets new work. Where leases are shorter than a minute it is half a
/// lease, so that an agent that lost its runs is not the one to get them back.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(30);

/// An agent as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    state: State,
    newest: Option<Epoch>,
    instance: Option<InstanceId>,
    drain: drain::Drain,
    changes: duplicate::Changes,
    heard: Timestamp,
    suspect_after: Duration,
    lost_after: Duration,
}

impl Presence {
    /// An agent that was just enrolled.
    pub fn enrolled(lease: LeaseTerms) -> Self {
        let suspect_after = SUSPECT_AFTER.min(lease.term / 2);
        Self {
            state: State::AwaitingFirst,
            newest: None,
            instance: None,
            drain: drain::Drain::default(),
            changes: duplicate::Changes::default(),
            heard: Timestamp::default(),
            suspect_after,
            lost_after: lease.term.saturating_add(lease.grace).max(suspect_after),
        }
    }

    /// An agent read back after a restart of the controller. `newest` is the last epoch it was
    /// given, if any; as its leases count as granted now, it counts as heard now. A lock or drain
    /// that was stored is told again as an event.
    pub fn restored(lease: LeaseTerms, newest: Option<Epoch>, now: Timestamp) -> Self {
        let state = newest.map_or(State::AwaitingFirst, |_| State::Suspect { stream: None });
        Self { state, newest, heard: now, ..Self::enrolled(lease) }
    }

    /// Where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The newest epoch it was given.
    pub const fn newest(&self) -> Option<Epoch> {
        self.newest
    }

    /// Whether somebody asked it to take no more work.
    pub const fn is_draining(&self) -> bool {
        self.drain.is_on()
    }

    /// Whether runs may be offered to it.
    pub const fn may_take_work(&self) -> bool {
        matches!(self.state, State::Live { .. }) && !self.is_draining()
    }

    /// When to call [`Presence::on`] with [`Event::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Live { .. } => Some(self.heard.plus(self.suspect_after)),
            State::Suspect { .. } => Some(self.heard.plus(self.lost_after)),
            State::AwaitingFirst | State::Lost | State::Locked => None,
        }
    }

    /// Something happened; here is all that must follow.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Hello { epoch, instance } => self.hello(epoch, instance, now),
            Event::Beat { epoch } if self.stream() == Some(epoch) => self.heard(epoch, now),
            Event::Closed { epoch } if self.stream() == Some(epoch) => self.silent(None),
            Event::Beat { .. } | Event::Closed { .. } => Vec::new(),
            Event::Lock => self.lock(),
            Event::Unlock => self.unlock(),
            Event::Drain { by } => self.set_drain(by, true),
            Event::Resume { by } => self.set_drain(by, false),
            Event::Tick if self.deadline().is_some_and(|deadline| now >= deadline) => self.too_long(),
            Event::Tick => Vec::new(),
        }
    }

    const fn stream(&self) -> Option<Epoch> {
        match self.state {
            State::Live { epoch } => Some(epoch),
            State::Suspect { stream } => stream,
            State::AwaitingFirst | State::Lost | State::Locked => None,
        }
    }

    fn hello(&mut self, epoch: Epoch, instance: InstanceId, now: Timestamp) -> Vec<Effect> {
        if let Some(newest) = self.newest.filter(|newest| *newest >= epoch) {
            return if newest == epoch { Vec::new() } else { vec![Effect::Supersede { epoch }] };
        }
        self.newest = Some(epoch);
        if self.state == State::Locked {
            return vec![Effect::Close { epoch }];
        }
        let mut effects: Vec<_> = self.stream().map(|epoch| Effect::Supersede { epoch }).into_iter().collect();
        if self.is_copy(instance, now) {
            self.state = State::Locked;
            effects.extend([Effect::LockDuplicate, Effect::Close { epoch }]);
        } else {
            effects.extend(self.heard(epoch, now));
        }
        effects
    }

    fn is_copy(&mut self, instance: InstanceId, now: Timestamp) -> bool {
        let Some(last) = self.instance.replace(instance).filter(|last| *last != instance) else { return false };
        self.drain.set(Asker::Agent, false);
        matches!(self.state, State::Live { .. }) && self.changes.prove_copy(last, instance, now)
    }

    fn heard(&mut self, epoch: Epoch, now: Timestamp) -> Vec<Effect> {
        let was_live = matches!(self.state, State::Live { .. });
        self.state = State::Live { epoch };
        self.heard = now;
        if was_live { Vec::new() } else { vec![Effect::MarkLive] }
    }

    fn silent(&mut self, stream: Option<Epoch>) -> Vec<Effect> {
        let was_live = matches!(self.state, State::Live { .. });
        self.state = State::Suspect { stream };
        if was_live { vec![Effect::MarkSuspect] } else { Vec::new() }
    }

    fn too_long(&mut self) -> Vec<Effect> {
        match self.state {
            State::Live { epoch } => self.silent(Some(epoch)),
            State::Suspect { stream } => {
                self.state = State::Lost;
                let close = stream.map(|epoch| Effect::Close { epoch });
                close.into_iter().chain([Effect::MarkLost]).collect()
            }
            State::AwaitingFirst | State::Lost | State::Locked => Vec::new(),
        }
    }

    fn lock(&mut self) -> Vec<Effect> {
        let close = self.stream().map(|epoch| Effect::Close { epoch });
        self.state = State::Locked;
        close.into_iter().collect()
    }

    fn unlock(&mut self) -> Vec<Effect> {
        if self.state == State::Locked {
            self.changes = duplicate::Changes::default();
            self.state = self.newest.map_or(State::AwaitingFirst, |_| State::Lost);
        }
        Vec::new()
    }

    fn set_drain(&mut self, by: Asker, draining: bool) -> Vec<Effect> {
        self.drain.set(by, draining);
        Vec::new()
    }
}
