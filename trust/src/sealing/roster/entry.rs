//! One entry of a roster: a DSSE envelope, kept byte for byte as it was signed.

use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::id::AgentId;

use super::{Head, RosterError};
use crate::dsse::{self, DsseError, Envelope, Limits};
use crate::keys::{PublicKey, SigningKey, sha256};
use crate::sealing::invite::{Invite, Join};
use crate::sealing::key::SealingPublic;

/// Largest entry in bytes; one with evidence has about 2,400.
pub const MAX_ENTRY: usize = 4_096;
/// Longest reason of a removal in bytes; people read it.
const MAX_REASON: usize = 200;
const TYPE: &str = "application/vnd.wherry.roster+json";
const VERSION: u8 = 1;
/// Twice a payload of this size and its signature still fit [`MAX_ENTRY`].
const LIMITS: Limits = Limits { payload: 2_900, signatures: 1, threshold: 1 };

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// The first agent begins the log, by an operator's invitation. Said by that agent.
    Found {
        /// Public half of the first epoch's key.
        epoch_key: SealingPublic,
        /// Who invited the agent; that key is the first operator.
        invite: Invite,
        /// The agent and its keys.
        join: Join,
    },
    /// An agent is admitted by an invitation. Said by a member or an operator.
    Add {
        /// Who invited it.
        invite: Invite,
        /// The agent and its keys.
        join: Join,
    },
    /// An agent that was removed is taken back, with the keys it had. Said by an operator.
    Readmit {
        /// The agent.
        agent: AgentId,
    },
    /// An agent belongs to the group no longer. Said by another member or an operator.
    Remove {
        /// The agent.
        agent: AgentId,
        /// For people.
        reason: String,
    },
    /// A new key is in force. Said by a member, after someone left or after 90 days.
    Epoch {
        /// One more than before.
        epoch: u32,
        /// Public half of its key.
        epoch_key: SealingPublic,
    },
    /// Another operator may say things. Said by an operator.
    OperatorAdd {
        /// The key.
        key: PublicKey,
    },
    /// An operator may say things no longer. Said by an operator.
    OperatorRemove {
        /// The key.
        key: PublicKey,
    },
    /// Epoch keys are also wrapped to this key. Said by an operator.
    Recovery {
        /// The key.
        key: SealingPublic,
    },
    /// Epoch keys are wrapped to this key no longer. Said by an operator.
    RecoveryRemove {
        /// The key.
        key: SealingPublic,
    },
}

impl Op {
    /// The word that names it in JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::Add { .. } => "add",
            Self::Readmit { .. } => "readmit",
            Self::Remove { .. } => "remove",
            Self::Epoch { .. } => "epoch",
            Self::OperatorAdd { .. } => "operator_add",
            Self::OperatorRemove { .. } => "operator_remove",
            Self::Recovery { .. } => "recovery",
            Self::RecoveryRemove { .. } => "recovery_remove",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    v: u8,
    n: u64,
    prev: Digest,
    at_ms: u64,
    by: PublicKey,
    op: Op,
}

/// An entry whose signature holds and which follows the one before. Whether its signer may say it is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub n: u64,
    /// Unix milliseconds by its signer's clock.
    pub at_ms: u64,
    /// Who signed it.
    pub by: PublicKey,
    /// What it says.
    pub op: Op,
    /// SHA-256 of its bytes.
    pub hash: Digest,
}

impl Entry {
    /// Signs what follows `after`.
    #[must_use]
    pub(super) fn write(after: Head, at_ms: u64, op: Op, by: &SigningKey) -> Vec<u8> {
        let body = Body { v: VERSION, n: after.n + 1, prev: after.hash, at_ms, by: by.public(), op };
        // Texts and numbers: serialising into memory cannot fail.
        dsse::sign(TYPE, &serde_json::to_vec(&body).unwrap_or_default(), by).to_json()
    }

    /// Reads the entry that follows `after`.
    ///
    /// # Errors
    /// If it is malformed, its signature does not hold, or it follows something else.
    pub fn read(bytes: &[u8], after: Head) -> Result<Self, RosterError> {
        let n = after.n + 1;
        let malformed = |why| RosterError::Malformed { n, why };
        if bytes.len() > MAX_ENTRY {
            return Err(malformed("it is too large"));
        }
        let envelope = Envelope::from_json(bytes, &LIMITS).map_err(|_| malformed("it is not an envelope"))?;
        // One spelling only: else the same entry would have several hashes.
        if envelope.to_json() != bytes {
            return Err(malformed("it is spelt in another way than it is written"));
        }
        let body = body(&envelope, n)?;
        let reason_fits = !matches!(&body.op, Op::Remove { reason, .. } if reason.len() > MAX_REASON);
        if body.v != VERSION || !reason_fits {
            return Err(malformed("a field has a value it cannot have"));
        }
        if body.n != n || body.prev != after.hash {
            return Err(RosterError::Forked { n });
        }
        Ok(Self { n, at_ms: body.at_ms, by: body.by, op: body.op, hash: sha256(bytes) })
    }

    /// Reads an entry for people, without knowing what it follows. Its signature is checked.
    ///
    /// # Errors
    /// If it is malformed or its signature does not hold.
    pub fn peek(bytes: &[u8]) -> Result<Self, RosterError> {
        let envelope = Envelope::from_json(bytes, &LIMITS)
            .map_err(|_| RosterError::Malformed { n: 0, why: "it is not an envelope" })?;
        let before = body(&envelope, 0)?;
        let n = before.n.checked_sub(1).ok_or(RosterError::Malformed { n: 0, why: "it has no number" })?;
        Self::read(bytes, Head { n, hash: before.prev })
    }
}

/// The payload, under the signature of the key it names itself.
fn body(envelope: &Envelope, n: u64) -> Result<Body, RosterError> {
    let malformed = |why| RosterError::Malformed { n, why };
    let unverified = envelope.decode_payload(LIMITS.payload).map_err(|_| malformed("its payload is too large"))?;
    let body: Body = serde_json::from_slice(&unverified).map_err(|_| malformed("it says nothing that is known"))?;
    envelope.verify(TYPE, &[body.by], &LIMITS).map_err(|error| match error {
        DsseError::Malformed(_) | DsseError::TooLarge { .. } | DsseError::TypeUnexpected { .. } => {
            malformed("it is not an envelope of a roster")
        }
        DsseError::SignatureInvalid(_) | DsseError::TooFewSigners { .. } => RosterError::SignatureInvalid { n },
    })?;
    Ok(body)
}
