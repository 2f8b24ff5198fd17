//! What a session says, in words of the domain.

use core::time::Duration;
use std::collections::BTreeMap;

mod action;
mod ask;
mod catalogue;
mod keyring;
mod oauth;
mod state;

use serde::{Deserialize, Serialize};
use wherry_domain::{
    digest::Digest,
    effects::SideEffects,
    failure::Failure,
    fence::Fence,
    id::{InstanceId, RunId},
    lease::LeaseTerms,
    name::Name,
    policy::Policies,
    run::Outcome,
};

pub use self::{
    action::Action,
    ask::{Answer, Ask, Question, Trouble},
    catalogue::{Catalogue, Holding, HoldingState, Inventory, OwnerPolicy, Stock},
    keyring::{
        Departed, Keyring, KeyringReport, KeyringState, KeyringTrouble, MissingWrap, PendingJoin, RemovedItem,
        SealedItem, WrappedKey,
    },
    oauth::{
        ConsentAddress, ConsentedAccount, OAuthAsked, OAuthOrder, OAuthReport, OAuthSaid, TokenCopy, TokenOwnership,
        Unshown,
    },
    state::{ConnectionState, Wrapped},
};

/// From the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum FromAgent {
    /// First frame of a session.
    Hello(Hello),
    /// Renews the leases of the named runs.
    Heartbeat(Heartbeat),
    /// An attempt ended.
    Result(Report),
    /// An attempt goes back before anything began.
    Declined {
        /// Which attempt.
        attempt: Attempt,
        /// Why.
        failure: Failure,
        /// The class of the attempt on this agent, where that is why.
        side_effects: Option<SideEffects>,
    },
    /// How far a run is.
    Progress {
        /// Which attempt.
        attempt: Attempt,
        /// How far.
        counts: Counts,
        /// What earlier attempts did of the run, as far as this one goes on behind it.
        earlier: Counts,
    },
    /// The target confirmed everything up to this cursor of the source.
    Checkpoint {
        /// Which attempt.
        attempt: Attempt,
        /// JSON, at most [`crate::MAX_CURSOR`] bytes.
        cursor: String,
        /// What connections remember from here on.
        states: Vec<ConnectionState>,
    },
    /// Lines of a run's log.
    Log {
        /// Which attempt.
        attempt: Attempt,
        /// At most [`crate::MAX_LOG_LINES`].
        lines: Vec<LogLine>,
    },
    /// Answers an [`Ask`].
    Answer(Answer),
    /// What it knows of its group's keys, and what it adds.
    Keyring(KeyringReport),
    /// What it says of a connection's tokens.
    OAuth(OAuthReport),
    /// What it has of the connectors it should have.
    Inventory(Inventory),
    /// The agent leaves on purpose.
    Goodbye {
        /// Why, for people.
        reason: String,
    },
}

/// From the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum FromController {
    /// Answers the hello.
    Welcome(Welcome),
    /// Confirms the renewals of that heartbeat.
    HeartbeatAck {
        /// The heartbeat's number.
        number: u64,
    },
    /// Work.
    Offer(Offer),
    /// Stop that attempt.
    Cancel(Attempt),
    /// Results up to this number are durable.
    Ack {
        /// The last of them.
        up_to: u64,
    },
    /// What the organisation wants now.
    Desired(Desired),
    /// A question about a connection.
    Ask(Ask),
    /// The group's keys and secrets.
    Keyring(Keyring),
    /// About a connection's tokens.
    OAuth(OAuthOrder),
    /// Which connectors it may run.
    Catalogue(Catalogue),
    /// The stream ends.
    GoAway {
        /// Why.
        reason: GoAwayReason,
        /// Come back after this long.
        reconnect_after: Duration,
    },
}

/// One attempt of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// The fence of the attempt.
    pub fence: Fence,
}

/// Introduces an agent process.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Oldest protocol it speaks.
    pub protocol_min: u32,
    /// Newest protocol it speaks.
    pub protocol_max: u32,
    /// Its version.
    pub version: String,
    /// This start of its process.
    pub instance: InstanceId,
    /// What it has journalled.
    pub in_flight: Vec<InFlight>,
    /// Number of its next result.
    pub next_seq: u64,
    /// Runs it can hold at once.
    pub slots: u32,
    /// Runs it could take now.
    pub free_slots: u32,
    /// Names of the secrets it holds.
    pub secret_names: Vec<String>,
    /// Connectors it has ready.
    pub connectors: Vec<Digest>,
    /// Its journal lost some of its past: a run it does not name may have begun all the same.
    pub journal_lost: bool,
    /// It answers an [`Ask`]; older agents do not know the frame.
    pub asks: bool,
    /// It knows [`OAuthOrder`].
    pub oauth: bool,
    /// It knows [`Catalogue`].
    pub catalogue: bool,
}

/// How far an attempt is on the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Durable, not begun.
    Accepted,
    /// Begun.
    Started,
    /// Begun by a process that died.
    Interrupted,
    /// Over; the result waits to be acknowledged.
    Finished,
}

/// An attempt that the agent knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// Which.
    pub attempt: Attempt,
    /// How far.
    pub stage: Stage,
}

/// Answers a [`Hello`].
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Chosen protocol.
    pub protocol: u32,
    /// The session's epoch.
    pub epoch: u64,
    /// Terms of every lease.
    pub lease: LeaseTerms,
    /// How often to send a heartbeat.
    pub heartbeat: Duration,
    /// What becomes of the runs named in the hello.
    pub verdicts: Vec<(Attempt, Decision)>,
    /// What the organisation wants now.
    pub desired: Desired,
}

/// What the organisation wants of an agent's group; sent again whenever it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Publishers whose connectors the organisation trusts.
    pub publishers: Vec<Publisher>,
    /// Environments that the group serves.
    pub environments: Vec<Name>,
    /// The rules in those of them that have other ones than [`Policies::default`].
    pub policies: BTreeMap<Name, Policies>,
}

/// What becomes of a run that the agent named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Keep,
    /// Stop and forget.
    Drop,
    /// Send the result.
    Report,
}

/// A publisher of connectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// For people.
    pub name: String,
    /// `ed25519:` and base64url.
    pub key: String,
    /// Connector names must begin with this.
    pub prefix: String,
}

/// Renews leases.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Counts up within the session.
    pub number: u64,
    /// The runs whose leases to renew.
    pub in_flight: Vec<InFlight>,
    /// Runs it could take now.
    pub free_slots: u32,
}

/// Work for an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Which attempt.
    pub attempt: Attempt,
    /// The deployment's snapshot.
    pub deployment: Digest,
    /// Operation of that deployment.
    pub operation: Name,
    /// Variable overrides: a JSON object, or empty for none.
    pub variables: Vec<u8>,
    /// Where the source goes on.
    pub cursor: Option<String>,
    /// Idempotency key: the same for every attempt of the run.
    pub key: String,
    /// What the operation's connections remember.
    #[serde(default)]
    pub states: Vec<ConnectionState>,
    /// The least version of the environment's lock to run it under; 0 if the deployment itself names the connectors.
    #[serde(default)]
    pub lock_version: u64,
    /// Connectors of which this attempt tries the new version.
    #[serde(default)]
    pub trial: Vec<Name>,
    /// What to do instead of the operation.
    #[serde(default)]
    pub action: Option<Action>,
    /// The class that the controller counts with, if it says so.
    #[serde(default)]
    pub side_effects: Option<SideEffects>,
}

/// How many records went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records the source yielded.
    pub read: u64,
    /// Records the target confirmed.
    pub written: u64,
    /// Records the target refused.
    pub rejected: u64,
    /// Batches moved.
    pub batches: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
            rejected: self.rejected.saturating_add(other.rejected),
            batches: self.batches.saturating_add(other.batches),
        }
    }
}

/// How an attempt ended, as the agent saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// It came to an end.
    Ended(Outcome),
    /// The process died in the middle of it.
    Interrupted,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Counts up by one for each result of the agent.
    pub seq: u64,
    /// Which attempt.
    pub attempt: Attempt,
    /// How it ended.
    pub ending: Ending,
    /// How many records went where.
    pub counts: Counts,
    /// How long it took.
    pub duration: Duration,
    /// The last lines of its log.
    pub log: Vec<LogLine>,
    /// What earlier attempts did of the run, as far as this one went on behind it.
    #[serde(default)]
    pub earlier: Counts,
    /// What connections remember from now on. Kept apart wherever a report is stored: it may be large.
    #[serde(skip)]
    pub states: Vec<ConnectionState>,
    /// Connectors of which the attempt really ran on the version on trial.
    #[serde(default)]
    pub trial: Vec<Name>,
    /// Of an action whose answer may leave: a JSON document, at most [`crate::MAX_ACTION`] bytes. Nobody stores it.
    /// Empty where the agent's owner lets none out, which tells that apart from an answer that is gone.
    #[serde(skip)]
    pub answer: Option<Vec<u8>>,
    /// What the attempt ran on, or could for good not be made ready on; empty if it ended before it ran on any. None if
    /// that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<Vec<Ran>>,
}

/// A version of a connector that an attempt ran on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ran {
    /// Of which connector.
    pub connector: Name,
    /// Which one.
    pub version: semver::Version,
}

/// A line of a run's log, from the host's own templates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since the Unix epoch, by the agent's clock.
    pub at_ms: u64,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// One line.
    pub text: String,
}

/// Why the controller ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoAwayReason {
    /// The controller stops.
    Drain,
    /// A newer session of the same agent.
    Superseded,
    /// An operator locked the agent.
    Locked,
    /// An operator removed the agent.
    Removed,
}
