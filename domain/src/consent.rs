//! A person connects an account: what the controller keeps of one three-legged flow.
//!
//! ```text
//! Starting ─Started─► Waiting ─Returned─► Redeeming ─Redeemed─► Asking ─Answered(yes)─► Confirming ─Kept─► Done
//!     │                  │ (once)             │                    │ no                    │
//!     └──── Failed, owner gone, ten minutes: ─┴────────────────────┴───────────────────────┴──► Failed
//! ```
//!
//! The controller holds neither verifier nor tokens. All it knows of the secret in the address is its SHA-256, by which
//! it finds the flow when the browser comes back; that is taken once and never again.

use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

use crate::{digest::Digest, failure::Code, failure::Failure, time::Timestamp};

/// How long a flow may take from its start to the return of the browser, and again until it is confirmed.
pub const LIFE: Duration = Duration::from_secs(600);
/// How long the agent has for each of its parts.
pub const AGENT_PART: Duration = Duration::from_secs(60);
/// Longest name of an account, in characters.
pub const MAX_LABEL: usize = 200;

/// Nobody came back, or nobody confirmed, in time.
pub const EXPIRED: Code = Code::new("oauth.flow_expired");
/// The agent did not answer.
pub const NO_ANSWER: Code = Code::new("oauth.agent_silent");
/// The agent went away; the rest of the flow is only there.
pub const AGENT_LEFT: Code = Code::new("oauth.agent_left");
/// The person said that it is the wrong account.
pub const DECLINED: Code = Code::new("oauth.account_declined");

/// Where a flow is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The agent prepares the address.
    Starting,
    /// The person is at the provider.
    Waiting {
        /// SHA-256 of the `state` that the browser brings back.
        state_hash: Digest,
    },
    /// The agent trades the code for tokens.
    Redeeming,
    /// The tokens are there and wait for the person to say that it is the right account.
    Asking {
        /// The account, in the provider's words.
        label: String,
    },
    /// The agent puts the tokens to use.
    Confirming {
        /// The account, in the provider's words.
        label: String,
    },
    /// The connection is connected.
    Done {
        /// The account, in the provider's words.
        label: String,
    },
    /// Nothing comes of it.
    Failed(Failure),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent has the address for the browser.
    Started {
        /// SHA-256 of the `state` in it.
        state_hash: Digest,
    },
    /// The browser came back with this `state`, and with a code.
    Returned {
        /// SHA-256 of it.
        state_hash: Digest,
    },
    /// The browser came back with this `state`, and without one.
    Refused {
        /// SHA-256 of it.
        state_hash: Digest,
        /// Why.
        failure: Failure,
    },
    /// The agent has the tokens.
    Redeemed {
        /// The account, in the provider's words.
        label: String,
    },
    /// The person says whether it is the right account.
    Answered {
        /// Whether it is.
        right: bool,
    },
    /// The agent has put the tokens to use.
    Kept,
    /// The agent could not do its part.
    Failed(Failure),
    /// The session of the agent ended.
    AgentLeft,
    /// Time passed.
    Tick,
}

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the code to the agent, once.
    Redeem,
    /// Tell the agent whether to put the tokens to use.
    Tell {
        /// Whether it shall.
        keep: bool,
    },
    /// The connection is connected to this account.
    Connected {
        /// The account, in the provider's words.
        label: String,
    },
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    state: State,
    until: Timestamp,
}

impl Consent {
    /// A flow that was asked for just now.
    pub fn begun(now: Timestamp) -> Self {
        Self { state: State::Starting, until: now.plus(AGENT_PART) }
    }

    /// Where it is.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Whether nothing more can happen to it.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Done { .. } | State::Failed(_))
    }

    /// When to call [`Consent::on`] with [`Event::Tick`].
    pub const fn deadline(&self) -> Option<Timestamp> {
        if self.is_over() { None } else { Some(self.until) }
    }

    /// Whether the flow waits for a browser with this `state`.
    pub fn waits_for(&self, hash: &Digest) -> bool {
        matches!(&self.state, State::Waiting { state_hash } if state_hash == hash)
    }

    /// Something happened; here is all that must follow. What does not fit the state changes nothing.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        // Whoever comes a moment late comes late, also if nobody has looked at the clock since.
        if self.deadline().is_some_and(|at| now >= at) {
            return self.too_late();
        }
        match (event, self.state.clone()) {
            (Event::Started { state_hash }, State::Starting) => self.go(State::Waiting { state_hash }, now.plus(LIFE)),
            (Event::Returned { state_hash }, State::Waiting { .. }) if self.waits_for(&state_hash) => {
                self.go(State::Redeeming, now.plus(AGENT_PART));
                return vec![Effect::Redeem];
            }
            (Event::Refused { state_hash, failure }, State::Waiting { .. }) if self.waits_for(&state_hash) => {
                self.go(State::Failed(failure), now);
                return vec![Effect::Tell { keep: false }];
            }
            (Event::Redeemed { label }, State::Redeeming) => {
                self.go(State::Asking { label: bounded(&label) }, now.plus(LIFE));
            }
            (Event::Answered { right: true }, State::Asking { label }) => {
                self.go(State::Confirming { label }, now.plus(AGENT_PART));
                return vec![Effect::Tell { keep: true }];
            }
            (Event::Answered { right: false }, State::Asking { .. }) => {
                self.fail(DECLINED, "it was the wrong account: sign out at the provider and connect again", now);
                return vec![Effect::Tell { keep: false }];
            }
            (Event::Kept, State::Confirming { label }) => {
                self.go(State::Done { label: label.clone() }, now);
                return vec![Effect::Connected { label }];
            }
            (Event::Failed(failure), _) if !self.is_over() => self.go(State::Failed(failure), now),
            (Event::AgentLeft, _) if !self.is_over() => {
                self.fail(AGENT_LEFT, "the agent that holds the rest of the flow went away: connect again", now);
            }
            (
                Event::Started { .. }
                | Event::Returned { .. }
                | Event::Refused { .. }
                | Event::Redeemed { .. }
                | Event::Answered { .. }
                | Event::Kept
                | Event::Failed(_)
                | Event::AgentLeft
                | Event::Tick,
                _,
            ) => {}
        }
        Vec::new()
    }

    fn too_late(&mut self) -> Vec<Effect> {
        let until = self.until;
        match self.state {
            State::Starting | State::Redeeming | State::Confirming { .. } => {
                self.fail(NO_ANSWER, "the agent did not answer in time: see its log, and connect again", until);
            }
            State::Waiting { .. } | State::Asking { .. } => {
                self.fail(EXPIRED, "nobody finished the sign-in within ten minutes: connect again", until);
            }
            State::Done { .. } | State::Failed(_) => return Vec::new(),
        }
        vec![Effect::Tell { keep: false }]
    }

    fn go(&mut self, state: State, until: Timestamp) {
        self.state = state;
        self.until = until;
    }

    fn fail(&mut self, code: Code, message: &str, now: Timestamp) {
        self.go(State::Failed(Failure::permanent(code, message)), now);
    }
}

/// The account's name without what could drive a terminal.
fn bounded(label: &str) -> String {
    let kept: String = label.chars().filter(|c| !c.is_control()).take(MAX_LABEL).collect();
    if kept.trim().is_empty() { String::from("unknown account") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(0);
    const HASH: Digest = Digest::from_bytes([7; 32]);

    fn waiting() -> Consent {
        let mut flow = Consent::begun(START);
        assert_eq!(flow.on(Event::Started { state_hash: HASH }, START), []);
        flow
    }

    fn asking() -> Consent {
        let mut flow = waiting();
        assert_eq!(flow.on(Event::Returned { state_hash: HASH }, START), [Effect::Redeem]);
        flow.on(Event::Redeemed { label: "ada@example.org".into() }, START);
        flow
    }

    #[test]
    fn a_code_is_sent_once_and_tokens_are_used_only_after_a_person_said_so() {
        let mut flow = asking();
        assert_eq!(flow.on(Event::Returned { state_hash: HASH }, START), [], "a second browser");
        assert_eq!(flow.on(Event::Kept, START), [], "nobody confirmed yet");
        assert_eq!(flow.on(Event::Answered { right: true }, START), [Effect::Tell { keep: true }]);
        assert_eq!(flow.on(Event::Kept, START), [Effect::Connected { label: "ada@example.org".into() }]);
        assert!(flow.is_over() && flow.deadline().is_none());
    }

    #[test]
    fn a_foreign_state_changes_nothing() {
        let mut flow = waiting();
        let foreign = Digest::from_bytes([8; 32]);
        assert_eq!(flow.on(Event::Returned { state_hash: foreign }, START), []);
        assert!(flow.waits_for(&HASH) && !flow.waits_for(&foreign));
    }

    #[test]
    fn the_wrong_account_is_forgotten() {
        let mut flow = asking();
        assert_eq!(flow.on(Event::Answered { right: false }, START), [Effect::Tell { keep: false }]);
        assert!(matches!(flow.state(), State::Failed(failure) if failure.code == DECLINED));
    }

    #[test]
    fn whoever_comes_after_ten_minutes_comes_late_and_each_part_has_its_time() {
        let mut flow = waiting();
        let late = START.plus(LIFE);
        assert_eq!(flow.on(Event::Returned { state_hash: HASH }, late), [Effect::Tell { keep: false }]);
        assert!(matches!(flow.state(), State::Failed(failure) if failure.code == EXPIRED));
        let mut silent = Consent::begun(START);
        silent.on(Event::Tick, START.plus(AGENT_PART));
        assert!(matches!(silent.state(), State::Failed(failure) if failure.code == NO_ANSWER));
    }

    #[test]
    fn an_accounts_name_is_cut_and_cannot_drive_a_terminal() {
        assert_eq!(bounded("a\u{1b}[31mb"), "a[31mb");
        assert_eq!(bounded(&"x".repeat(1_000)).len(), MAX_LABEL);
        assert_eq!(bounded(" \n"), "unknown account");
    }

    fn event(pick: u8) -> Event {
        match pick {
            0 => Event::Started { state_hash: HASH },
            1 => Event::Returned { state_hash: HASH },
            2 => Event::Redeemed { label: "a".into() },
            3 => Event::Answered { right: true },
            4 => Event::Answered { right: false },
            5 => Event::Kept,
            6 => Event::AgentLeft,
            7 => Event::Failed(Failure::permanent(Code::new("a.b"), "why")),
            8 => Event::Refused { state_hash: HASH, failure: Failure::permanent(Code::new("a.b"), "why") },
            _ => Event::Tick,
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_a_code_goes_out_once_and_nothing_follows_an_end(
            events in prop::collection::vec((0..10_u8, 0..400_000_u64), 0..40),
        ) {
            let (mut flow, mut now) = (Consent::begun(START), START);
            let (mut redeemed, mut connected, mut asked) = (0, 0, false);
            for (pick, pause) in events {
                now = now.plus(Duration::from_millis(pause));
                let over = flow.is_over();
                let effects = flow.on(event(pick), now);
                prop_assert!(!over || effects.is_empty());
                for effect in effects {
                    match effect {
                        Effect::Redeem => redeemed += 1,
                        Effect::Tell { keep } => asked |= keep,
                        Effect::Connected { .. } => {
                            connected += 1;
                            prop_assert!(asked);
                        }
                    }
                }
            }
            prop_assert!(redeemed <= 1 && connected <= redeemed);
        }
    }
}
