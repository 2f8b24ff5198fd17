//! The words of presence: states, events and effects.

use super::drain::Asker;
use crate::{epoch::Epoch, id::InstanceId};

/// Where an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Enrolled, never seen.
    AwaitingFirst,
    /// Its stream is alive.
    Live {
        /// Of the stream.
        epoch: Epoch,
    },
    /// Silent, or its stream ended; its leases still run.
    Suspect {
        /// The silent stream, if it did not end.
        stream: Option<Epoch>,
    },
    /// Gone for longer than a lease.
    Lost,
    /// Must not connect.
    Locked,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stream of this instance said hello and was given this epoch, newer than any before.
    Hello {
        /// Of the stream.
        epoch: Epoch,
        /// The agent's process.
        instance: InstanceId,
    },
    /// Something arrived on the stream of this epoch.
    Beat {
        /// Of the stream.
        epoch: Epoch,
    },
    /// The stream of this epoch ended.
    Closed {
        /// Of the stream.
        epoch: Epoch,
    },
    /// A person locked the agent.
    Lock,
    /// A person unlocked it.
    Unlock,
    /// It is to take no more work.
    Drain {
        /// Who asked.
        by: Asker,
    },
    /// It may take work again, as far as this asker is concerned.
    Resume {
        /// Who had asked.
        by: Asker,
    },
    /// The deadline came.
    Tick,
}

/// What must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End the stream of this epoch: a newer one exists.
    Supersede {
        /// Of the older stream.
        epoch: Epoch,
    },
    /// End the stream of this epoch: the agent is locked, or silent for longer than a lease.
    Close {
        /// Of the stream.
        epoch: Epoch,
    },
    /// The agent is there.
    MarkLive,
    /// The agent is silent: offer it nothing.
    MarkSuspect,
    /// The agent is gone; its leases end by themselves.
    MarkLost,
    /// Two processes use this identity: store the lock and tell a person.
    LockDuplicate,
}
