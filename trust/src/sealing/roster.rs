//! The roster of a group: an append-only log of who belongs to it, which key is in force, and which operators may say.
//!
//! Each entry is signed and names the hash of the one before. The log is folded from its first entry, which says by
//! whose invitation the group was founded; whoever trusts that operator trusts everything that follows. Two readers
//! that keep the head they saw notice when someone shows them different logs.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::digest::Digest;
use wherry_domain::failure::Code;
use wherry_domain::id::{AgentId, GroupId, OrganisationId};

use super::SealingError;
use super::invite::{Invite, Join};
use super::key::SealingPublic;
use crate::derive::CryptoUnavailable;
use crate::keys::{PublicKey, SigningKey};

mod entry;
mod rules;

pub use entry::{Entry, MAX_ENTRY, Op};

/// Most entries: some 3,300 agents that came and went. Verifying them all takes about a second.
pub const MAX_ENTRIES: u64 = 10_000;
/// From here on nobody is admitted any more, so that a full roster can still remove.
pub const MAX_ADMITTING: u64 = 9_000;
/// Most members at once: each new epoch is wrapped to every one of them.
pub const MAX_MEMBERS: usize = 1_000;
/// Most operators at once.
pub const MAX_OPERATORS: usize = 32;
/// Most recovery keys at once.
pub const MAX_RECOVERY: usize = 8;
/// For how long an epoch may stay without anyone having left: 90 days.
pub const EPOCH_LIFE_MS: u64 = 90 * 86_400_000;
/// How long after the end of its token an agent may still be admitted, if no member was online: 30 days.
pub const JOIN_WITHIN_MS: u64 = 30 * 86_400_000;

/// Why a log was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// An entry cannot be read.
    #[error("entry {n} of the roster is malformed ({why}), the controller must show the roster as it was signed")]
    Malformed {
        /// Its number.
        n: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The log is not a continuation of the one that was seen before.
    #[error("the roster differs from the one seen before at entry {n}, do not trust the controller until you know why")]
    Forked {
        /// The first entry that differs or is missing.
        n: u64,
    },
    /// A signature does not hold.
    #[error("the signature of entry {n} of the roster does not hold, it was changed after signing")]
    SignatureInvalid {
        /// Its number.
        n: u64,
    },
    /// Its signer may not say that, or it makes no sense there.
    #[error("entry {n} of the roster is not allowed: {why}")]
    NotAllowed {
        /// Its number.
        n: u64,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The log has as many entries as it may.
    #[error("the roster is full, found the group anew with `wherry key reset`")]
    Full,
    /// The provider failed.
    #[error(transparent)]
    Unavailable(#[from] CryptoUnavailable),
}

impl RosterError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed { .. } => Code::new("roster.malformed"),
            Self::Forked { .. } => Code::new("roster.forked"),
            Self::SignatureInvalid { .. } => Code::new("roster.signature_invalid"),
            Self::NotAllowed { .. } => Code::new("roster.not_allowed"),
            Self::Full => Code::new("roster.full"),
            Self::Unavailable(error) => error.code(),
        }
    }
}

/// How far a log was read: what a reader keeps to notice a shorter or different one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Number of the last entry; the first has 1, and 0 means none.
    pub n: u64,
    /// SHA-256 of its bytes; zeros for none.
    pub hash: Digest,
}

impl Head {
    /// Nothing was read yet.
    pub const NONE: Self = Self { n: 0, hash: Digest::from_bytes([0; 32]) };
}

/// An agent with its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The agent.
    pub agent: AgentId,
    /// Its identity key, which signs.
    pub agent_key: PublicKey,
    /// Its sealing key, to which epoch keys are wrapped.
    pub sealing_key: SealingPublic,
}

/// A log that was read and verified from its first entry.
#[derive(Debug, Clone)]
pub struct Roster {
    organisation: OrganisationId,
    group: GroupId,
    founder: PublicKey,
    /// Hashes of all entries, in order; the first is the founding, the last the head.
    hashes: Vec<Digest>,
    members: BTreeMap<AgentId, Member>,
    departed: BTreeMap<AgentId, Member>,
    operators: BTreeSet<PublicKey>,
    recovery: BTreeSet<SealingPublic>,
    epochs: BTreeMap<u32, SealingPublic>,
    tokens: BTreeSet<String>,
    /// Who was removed by which entry, also if it came back since.
    removals: Vec<(u64, AgentId)>,
    /// The epoch in force when each of the departed was removed.
    left_in: BTreeMap<AgentId, u32>,
    /// When the current epoch began, Unix milliseconds as its entry says.
    epoch_at_ms: u64,
    /// Whether someone who could read left since the current epoch began.
    stale: bool,
}

impl Roster {
    /// Reads a whole log.
    ///
    /// # Errors
    /// The first fault found; a log with a fault is refused whole.
    pub fn fold<T: AsRef<[u8]>>(entries: impl IntoIterator<Item = T>) -> Result<Self, RosterError> {
        let mut entries = entries.into_iter();
        let first = entries.next().ok_or(RosterError::Malformed { n: 1, why: "there are no entries" })?;
        let mut roster = Self::found(first.as_ref())?;
        for entry in entries {
            roster.extend(entry.as_ref())?;
        }
        Ok(roster)
    }

    /// Reads the first entry.
    ///
    /// # Errors
    /// If it is not a founding, or does not hold.
    pub fn found(bytes: &[u8]) -> Result<Self, RosterError> {
        rules::found(&Entry::read(bytes, Head::NONE)?)
    }

    /// Reads one more entry. A refused one changes nothing.
    ///
    /// # Errors
    /// If it does not follow, does not hold or is not allowed.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), RosterError> {
        let entry = Entry::read(bytes, self.head())?;
        rules::permit(self, &entry)?;
        rules::apply(self, entry);
        Ok(())
    }

    /// The first entry of a group's log, made by the first agent.
    ///
    /// # Errors
    /// If the evidence does not hold.
    pub fn founding_entry(
        at_ms: u64,
        invite: &Invite,
        join: &Join,
        epoch_key: SealingPublic,
        agent: &SigningKey,
    ) -> Result<Vec<u8>, RosterError> {
        let op = Op::Found { epoch_key, invite: invite.clone(), join: join.clone() };
        let bytes = Entry::write(Head::NONE, at_ms, op, agent);
        Self::found(&bytes).map(|_| bytes)
    }

    /// The next entry, signed by `by`. This log stays as it is: what counts is what the controller stored.
    ///
    /// # Errors
    /// If the entry would be refused.
    pub fn entry(&self, at_ms: u64, op: Op, by: &SigningKey) -> Result<Vec<u8>, RosterError> {
        let bytes = Entry::write(self.head(), at_ms, op, by);
        rules::permit(self, &Entry::read(&bytes, self.head())?).map(|()| bytes)
    }

    /// Whether this log continues the one whose head was seen before.
    ///
    /// # Errors
    /// [`RosterError::Forked`], also if this log is shorter.
    pub fn continues(&self, seen: &Head) -> Result<(), RosterError> {
        let Some(index) = seen.n.checked_sub(1) else { return Ok(()) };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match self.hashes.get(index) {
            Some(hash) if *hash == seen.hash => Ok(()),
            Some(_) => Err(RosterError::Forked { n: seen.n }),
            None => Err(RosterError::Forked { n: self.n() + 1 }),
        }
    }

    /// Whether the holder of a checked invitation may believe this log: the operator saw it founded, or founded the
    /// group by an invitation of the same hand.
    ///
    /// # Errors
    /// [`SealingError::InviteRefused`].
    pub fn vouched_for_by(&self, invite: &Invite) -> Result<(), SealingError> {
        let same_group = invite.organisation() == self.organisation && invite.group() == self.group;
        let known = match invite.founding() {
            Some(founding) => founding == self.founding(),
            None => *invite.operator() == self.founder,
        };
        let refused = SealingError::InviteRefused("the group was founded by someone that the token does not vouch for");
        if same_group && known { Ok(()) } else { Err(refused) }
    }

    /// The organisation.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Number of the last entry.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// How far this log goes.
    #[must_use]
    pub fn head(&self) -> Head {
        self.hashes.last().map_or(Head::NONE, |hash| Head { n: self.n(), hash: *hash })
    }

    /// The fingerprint of the group: SHA-256 of the first entry.
    #[must_use]
    pub fn founding(&self) -> Digest {
        self.hashes.first().copied().unwrap_or(Head::NONE.hash)
    }

    /// The operator by whose invitation the group was founded.
    #[must_use]
    pub fn founder(&self) -> &PublicKey {
        &self.founder
    }

    /// The agents that belong to the group, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One of them.
    #[must_use]
    pub fn member(&self, agent: AgentId) -> Option<&Member> {
        self.members.get(&agent)
    }

    /// An agent that was removed, with the keys it had.
    #[must_use]
    pub fn departed(&self, agent: AgentId) -> Option<&Member> {
        self.departed.get(&agent)
    }

    /// Who was removed by the entries after the `n`th: they could read what was sealed before.
    pub fn removed_since(&self, n: u64) -> impl Iterator<Item = AgentId> {
        self.removals.iter().filter(move |(at, _)| *at > n).map(|(_, agent)| *agent)
    }

    /// The operators in force.
    pub fn operators(&self) -> impl Iterator<Item = &PublicKey> {
        self.operators.iter()
    }

    /// Whether `key` is an operator in force.
    #[must_use]
    pub fn is_operator(&self, key: &PublicKey) -> bool {
        self.operators.contains(key)
    }

    /// The recovery keys in force.
    pub fn recovery(&self) -> impl Iterator<Item = &SealingPublic> {
        self.recovery.iter()
    }

    /// To whom every epoch key is wrapped: the members, and the recovery keys.
    pub fn recipients(&self) -> impl Iterator<Item = SealingPublic> {
        self.members.values().map(|member| member.sealing_key).chain(self.recovery.iter().copied())
    }

    /// The epoch in force and the public half of its key; secrets are sealed to it.
    #[must_use]
    pub fn epoch(&self) -> (u32, SealingPublic) {
        // A founding brings the first epoch, and none is ever taken away.
        self.epochs.last_key_value().map_or((0, SealingPublic::from_bytes([0; 32])), |(epoch, key)| (*epoch, *key))
    }

    /// The public half of an epoch's key.
    #[must_use]
    pub fn epoch_key(&self, epoch: u32) -> Option<&SealingPublic> {
        self.epochs.get(&epoch)
    }

    /// Whether a new epoch is due: someone who could read has left, or the current one is 90 days old.
    #[must_use]
    pub fn wants_epoch(&self, now_ms: u64) -> bool {
        self.stale || now_ms.saturating_sub(self.epoch_at_ms) >= EPOCH_LIFE_MS
    }

    /// Whether the group takes secrets that `key` signed: an operator's in force, or a member's identity key.
    #[must_use]
    pub fn may_sign_secrets(&self, key: &PublicKey) -> bool {
        self.is_operator(key) || self.is_member_key(key)
    }

    /// Whether `key` may have signed what was sealed to `epoch`: also if it belongs to an agent that was removed, as
    /// long as the epoch is not newer than the one in force at its removal. For what only its maker could renew.
    #[must_use]
    pub fn may_have_signed(&self, key: &PublicKey, epoch: u32) -> bool {
        let left_later = |agent| self.left_in.get(agent).is_some_and(|last| epoch <= *last);
        let departed = || self.departed.iter().any(|(agent, member)| member.agent_key == *key && left_later(agent));
        self.may_sign_secrets(key) || departed()
    }

    fn is_member_key(&self, key: &PublicKey) -> bool {
        self.members.values().any(|member| member.agent_key == *key)
    }
}
