//! What the agent holds of its group's keys, and how it follows the roster.
//!
//! Level-triggered: the controller says what there is, the agent takes what holds and says what it adds. Nothing that
//! it proposes counts for itself before it comes back in the roster, so that a lost race leaves no trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wherry_domain::{
    digest::Digest,
    id::{AgentId, GroupId, OrganisationId},
};
use wherry_proto::frame::{Keyring, KeyringReport, KeyringState, KeyringTrouble, WrappedKey};
use wherry_trust::{
    keys::{SigningKey, sha256},
    sealing::{
        key::{SealingKey, SealingPublic},
        roster::{Roster, RosterError},
        wrap::Wrap,
    },
};

use super::{
    KeyringError,
    files::{Files, Joining},
    keys,
    vault::{Id, Vault},
};

/// How long what the disk refused is not asked for again: each time it is all sent.
const ASK_AGAIN_MS: u64 = 60_000;

/// Which agent this is.
#[derive(Clone, Copy)]
pub(super) struct Who {
    pub(super) organisation: OrganisationId,
    pub(super) group: GroupId,
    pub(super) agent: AgentId,
}

/// What the agent holds. Its methods write to the disk before they return.
pub(super) struct Ring {
    pub(super) files: Files,
    pub(super) vault: Vault,
    pub(super) who: Who,
    pub(super) identity: SigningKey,
    pub(super) sealing: SealingKey,
    pub(super) joining: Option<Joining>,
    pub(super) roster: Option<Roster>,
    /// Of each entry of the roster, in order.
    hashes: Vec<Digest>,
    pub(super) epochs: BTreeMap<u32, Arc<SealingKey>>,
    pub(super) proposed: Option<(u32, SealingKey)>,
    revision: u64,
    /// How many entries the controller has, as far as it said.
    pub(super) theirs: u64,
    trouble: Option<KeyringTrouble>,
    /// What was sent in this session and has not come back.
    pub(super) sent: Sent,
    /// Secrets that the controller has an older version of.
    pub(super) newer: BTreeSet<Id>,
}

/// What is not to be said twice in a session.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) report: Option<KeyringReport>,
    /// At which length of the roster something was appended.
    pub(super) appended_at: Option<u64>,
    /// How many entries the controller had when it was reminded of the others.
    pub(super) reminded_at: Option<u64>,
    /// Whether the trouble is about the roster itself.
    doubts_roster: bool,
    /// Whether the disk refused what the controller sent.
    stuck: bool,
    /// When the controller was last asked to send something again, Unix milliseconds.
    asked_ms: u64,
    pub(super) resealed: BTreeMap<Id, u64>,
    /// Epoch and recipient of keys that were said to be missing.
    pub(super) wraps: BTreeSet<(u32, SealingPublic)>,
}

/// Whether a frame continued what the agent has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Followed {
    Whole,
    /// One before it was lost.
    Gap,
}

impl Ring {
    /// What the folder holds; the roster is verified from its first entry.
    pub(super) fn open(files: Files, vault: Vault, who: Who, identity: SigningKey) -> Result<Self, KeyringError> {
        let sealing = files.sealing_key()?;
        let entries = files.roster()?;
        let roster = if entries.is_empty() { None } else { Some(Roster::fold(&entries)?) };
        let epochs = files.epochs()?.into_iter().map(|(epoch, key)| (epoch, Arc::new(key))).collect();
        let (joining, proposed) = (files.joining()?, files.proposed()?);
        // Of what cannot be read any more the controller sends everything again.
        let revision = if vault.is_damaged() { 0 } else { files.revision()? };
        let mut ring = Self {
            hashes: entries.iter().map(|entry| sha256(entry)).collect(),
            theirs: 0,
            trouble: None,
            sent: Sent::default(),
            newer: BTreeSet::new(),
            files,
            vault,
            who,
            identity,
            sealing,
            joining,
            roster,
            epochs,
            proposed,
            revision,
        };
        ring.settle()?;
        Ok(ring)
    }

    /// A new session: what was said in an earlier one may be lost.
    pub(super) fn begin(&mut self) -> KeyringReport {
        self.sent = Sent::default();
        self.trouble = None;
        self.theirs = self.n();
        let report = self.report();
        self.sent.report = Some(report.clone());
        report
    }

    /// Takes what holds of a frame; gives what to say to it, if anything.
    pub(super) fn heard(&mut self, frame: Keyring, now_ms: u64) -> Option<KeyringReport> {
        let before = self.trouble.clone();
        let (more, tends) = (frame.more, frame.tends);
        let duties = super::tend::Duties::of(&frame);
        let followed = self.take(frame).unwrap_or_else(|error| {
            self.note(&error);
            Followed::Whole
        });
        if self.trouble != before
            && let Some(trouble) = &self.trouble
        {
            tracing::warn!(code = %trouble.code, reason = trouble.message, "the group's keys or secrets are in doubt");
        }
        if more && followed == Followed::Whole {
            return None;
        }
        let mut report = self.report();
        if followed == Followed::Whole {
            let acted = self.act(&mut report, tends.then_some(&duties), now_ms);
            acted.unwrap_or_else(|error| tracing::warn!(code = %error.code(), %error, "the group's keys need care"));
        }
        report.trouble.clone_from(&self.trouble);
        let says_more = !(report.append.is_empty() && report.wraps.is_empty() && report.resealed.is_empty());
        let repeats = self.sent.report.as_ref() == Some(&report);
        let gap = followed == Followed::Gap;
        let waits = self.sent.stuck && now_ms.saturating_sub(self.sent.asked_ms) < ASK_AGAIN_MS;
        // A gap is told although it was told before: the controller has to know what it must send again.
        if !says_more && repeats && (!gap || waits) {
            return None;
        }
        if gap {
            self.sent.asked_ms = now_ms;
        }
        self.sent.report =
            Some(KeyringReport { append: Vec::new(), wraps: Vec::new(), resealed: Vec::new(), ..report.clone() });
        Some(report)
    }

    /// What the rest of the agent may use.
    pub(super) fn keys(&self) -> keys::Held {
        let roster = self.roster.clone().map(Arc::new);
        keys::Held { state: self.state(), epochs: self.epochs.clone(), roster }
    }

    /// Number of the last entry; 0 for none.
    pub(super) fn n(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The hash of an entry by its number, which counts from 1.
    pub(super) fn hash(&self, n: u64) -> Option<&Digest> {
        self.hashes.get(usize::try_from(n.checked_sub(1)?).ok()?)
    }

    pub(super) fn state(&self) -> KeyringState {
        let Some(roster) = &self.roster else {
            let waits = self.joining.is_some() || self.theirs > 0;
            return if waits { KeyringState::PendingKeys } else { KeyringState::None };
        };
        let has_keys = self.epochs.contains_key(&roster.epoch().0);
        match roster.member(self.who.agent) {
            Some(_) if has_keys => KeyringState::Member,
            None if roster.departed(self.who.agent).is_some() => KeyringState::Removed,
            Some(_) | None => KeyringState::PendingKeys,
        }
    }

    /// Where it stands, without anything to add.
    pub(super) fn report(&self) -> KeyringReport {
        let state = self.state();
        let waits = state == KeyringState::PendingKeys && !self.is_member();
        let join = self.joining.as_ref().filter(|_| waits).map(|joining| joining.join.to_json());
        KeyringReport {
            roster_n: self.n(),
            roster_head: self.hashes.last().map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
            secrets_revision: self.revision,
            state,
            join: join.unwrap_or_default(),
            trouble: self.trouble.clone(),
            ..KeyringReport::default()
        }
    }

    pub(super) fn is_member(&self) -> bool {
        self.roster.as_ref().is_some_and(|roster| roster.member(self.who.agent).is_some())
    }

    pub(super) fn note(&mut self, error: &KeyringError) {
        // The first one is the cause of the others; but doubts about the roster weigh more than any other.
        self.sent.stuck |= matches!(error, KeyringError::File(_));
        let weighs_more = error.is_about_roster() && !self.sent.doubts_roster;
        if self.trouble.is_none() || weighs_more {
            self.trouble = Some(error.trouble());
            self.sent.doubts_roster = error.is_about_roster();
        }
    }

    fn take(&mut self, frame: Keyring) -> Result<Followed, KeyringError> {
        self.theirs = frame.roster_n;
        if frame.roster_first > self.n() {
            return Ok(Followed::Gap);
        }
        self.follow(frame.roster_first, &frame.entries)?;
        self.settle()?;
        self.unwrap(&frame.wraps)?;
        if frame.since > self.revision && frame.revision > self.revision {
            return Ok(Followed::Gap);
        }
        if self.roster.is_none() {
            // Nothing could be verified; it comes again when there is a roster.
            return Ok(Followed::Whole);
        }
        let mut complete = self.take_secrets(&frame.secrets)?;
        complete &= self.take_removals(&frame.removed);
        if complete && frame.revision != self.revision {
            self.files.keep_revision(frame.revision)?;
            self.revision = frame.revision;
        }
        if complete && std::mem::take(&mut self.sent.stuck) {
            self.trouble.take_if(|trouble| trouble.code.as_str() == "keyring.file");
        }
        Ok(Followed::Whole)
    }

    /// Takes over entries after those that are known, and refuses others in their place.
    fn follow(&mut self, first: u64, entries: &[Vec<u8>]) -> Result<(), KeyringError> {
        let known = self.hashes.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        let forked = known.zip(entries).position(|(hash, entry)| *hash != sha256(entry));
        if let Some(at) = forked {
            return Err(RosterError::Forked { n: first + at as u64 + 1 }.into());
        }
        let known = usize::try_from(self.n().saturating_sub(first)).unwrap_or(usize::MAX);
        let fresh = entries.get(known..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(());
        }
        let roster = self.extended(fresh)?;
        self.files.append(fresh)?;
        self.hashes.extend(fresh.iter().map(|entry| sha256(entry)));
        self.roster = Some(roster);
        self.sent.appended_at = None;
        Ok(())
    }

    fn extended(&self, fresh: &[Vec<u8>]) -> Result<Roster, KeyringError> {
        let (mut roster, rest) = match (&self.roster, fresh) {
            (Some(roster), rest) => (roster.clone(), rest),
            (None, [first, rest @ ..]) => (self.first_sight(first)?, rest),
            (None, []) => return Err(KeyringError::ForeignRoster),
        };
        for entry in rest {
            roster.extend(entry)?;
        }
        Ok(roster)
    }

    /// A roster is believed for the first time only if the operator who made this agent's token vouches for it.
    fn first_sight(&self, entry: &[u8]) -> Result<Roster, KeyringError> {
        let joining = self.joining.as_ref().ok_or(KeyringError::NotInvited)?;
        let roster = Roster::found(entry)?;
        if roster.organisation() != self.who.organisation || roster.group() != self.who.group {
            return Err(KeyringError::ForeignRoster);
        }
        roster.vouched_for_by(&joining.invite)?;
        tracing::info!(fingerprint = %roster.founding(), operator = %roster.founder(), "the group's roster is known");
        Ok(roster)
    }

    /// Draws the conclusions from the roster as it is now.
    fn settle(&mut self) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        if let Some((epoch, key)) = &self.proposed
            && let Some(public) = roster.epoch_key(*epoch)
        {
            let (epoch, is_ours) = (*epoch, *public == key.public());
            if is_ours {
                self.files.keep_epoch(epoch, key)?;
            }
            self.files.forget_proposed(epoch)?;
            let ours = self.proposed.take().filter(|_| is_ours);
            self.epochs.extend(ours.map(|(epoch, key)| (epoch, Arc::new(key))));
        }
        if roster.member(self.who.agent).is_some() && self.joining.is_some() {
            self.files.forget_joining()?;
            self.joining = None;
            tracing::info!(entries = roster.n(), "the group's roster names this agent");
        }
        Ok(())
    }

    fn unwrap(&mut self, wraps: &[WrappedKey]) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        for wrapped in wraps {
            let wrap = Wrap::from_json(&wrapped.wrapped)?;
            if self.epochs.contains_key(&wrap.epoch()) || *wrap.recipient() != self.sealing.public() {
                continue;
            }
            let key = wrap.open(&self.sealing, roster)?;
            self.files.keep_epoch(wrap.epoch(), &key)?;
            self.epochs.insert(wrap.epoch(), Arc::new(key));
            tracing::info!(epoch = wrap.epoch(), "received the group's key");
        }
        Ok(())
    }
}
