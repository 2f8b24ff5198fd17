//! The agent's one stream to the controller, as the agent sees it.
//!
//! ```text
//! Down ─Tick─► Connecting ─Dialled─► Greeting ─Welcomed─► Live ─Stop─► Draining ─Drained─► Ended
//!  ▲               │                     │                  │             │
//!  └───────────────┴── Failed, Lost, GoAway, Superseded, too slow ────────┘
//! any ─Failed for good─► Ended
//! ```
//!
//! Being superseded is not final: the process that pushed this one out may be a stray copy, and
//! only if both keep coming back does the controller notice and lock the identity.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{failure::Code, retry::Jitter, time::Timestamp};

mod backoff;
#[cfg(test)]
mod tests;
mod words;

pub use backoff::CAP as LONGEST_WAIT;
pub use words::{Effect, End, Event, FailureKind, State};

/// Longest time for proxy, TCP and TLS together.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Longest time from the hello to the welcome.
pub const WELCOME_WITHIN: Duration = Duration::from_secs(10);
/// A stream that lived this long was good: the next failure counts as the first.
pub const GOOD_AFTER: Duration = Duration::from_secs(60);
/// Longest delay that a controller may ask for, so that a faulty one cannot send agents away.
pub const MAX_RECONNECT_AFTER: Duration = Duration::from_secs(900);

/// The agent's stream to the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    state: State,
    backoff: backoff::Backoff,
    stopping: bool,
}

impl Session {
    /// A session that dials at its first tick.
    pub fn starting(now: Timestamp) -> Self {
        Self { state: State::Down { until: now }, backoff: backoff::Backoff::default(), stopping: false }
    }

    /// Where it is.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Whether messages other than the hello may be sent.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Live { .. } | State::Draining { .. })
    }

    /// When to call [`Session::on`] with [`Event::Tick`].
    pub const fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Down { until } | State::Connecting { until } | State::Greeting { until } => Some(until),
            State::Live { .. } | State::Draining { .. } | State::Ended { .. } => None,
        }
    }

    /// Something happened; here is all that must follow.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        if matches!(self.state, State::Ended { .. }) {
            return if event == Event::Dialled { vec![Effect::Close] } else { Vec::new() };
        }
        match event {
            Event::Dialled => self.dialled(now),
            Event::Failed { kind: FailureKind::Final(code), .. } => self.give_up(code),
            Event::Failed { kind: FailureKind::Transient, jitter }
            | Event::Lost { jitter }
            | Event::Superseded { jitter } => self.down(Duration::ZERO, jitter, now),
            Event::GoAway { reconnect_after, jitter } => self.down(reconnect_after, jitter, now),
            Event::Welcomed => self.welcomed(now),
            Event::Stop => self.stop(),
            Event::Drained => self.drained(),
            Event::Tick { jitter } => self.tick(jitter, now),
        }
    }

    fn dialled(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Connecting { .. } => {
                self.state = State::Greeting { until: now.plus(WELCOME_WITHIN) };
                vec![Effect::SendHello]
            }
            // The attempt was given up before it came through.
            State::Down { .. } => vec![Effect::Close],
            State::Greeting { .. } | State::Live { .. } | State::Draining { .. } | State::Ended { .. } => Vec::new(),
        }
    }

    fn welcomed(&mut self, now: Timestamp) -> Vec<Effect> {
        if matches!(self.state, State::Greeting { .. }) {
            self.state = if self.stopping { State::Draining { since: now } } else { State::Live { since: now } };
        }
        Vec::new()
    }

    /// The connection is no use: dial again after the wait, which is at least `asked`.
    fn down(&mut self, asked: Duration, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        let good = match self.state {
            State::Down { .. } | State::Ended { .. } => return Vec::new(),
            State::Connecting { .. } | State::Greeting { .. } => false,
            State::Live { since } | State::Draining { since } => now.since(since) >= GOOD_AFTER,
        };
        if good {
            self.backoff.reset();
        }
        let asked = asked.min(MAX_RECONNECT_AFTER);
        let wait = if good && !asked.is_zero() { asked } else { self.backoff.next(jitter).max(asked) };
        self.state = State::Down { until: now.plus(wait) };
        vec![Effect::Close]
    }

    fn give_up(&mut self, code: Code) -> Vec<Effect> {
        self.state = State::Ended { end: End::Final(code.clone()) };
        vec![Effect::Close, Effect::GiveUp { code }]
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.stopping = true;
        if let State::Live { since } = self.state {
            self.state = State::Draining { since };
        }
        Vec::new()
    }

    fn drained(&mut self) -> Vec<Effect> {
        if !self.stopping {
            return Vec::new();
        }
        self.state = State::Ended { end: End::Stopped };
        vec![Effect::Close]
    }

    fn tick(&mut self, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        if matches!(self.state, State::Down { .. }) {
            self.state = State::Connecting { until: now.plus(CONNECT_WITHIN) };
            vec![Effect::Dial]
        } else {
            self.down(Duration::ZERO, jitter, now)
        }
    }
}
