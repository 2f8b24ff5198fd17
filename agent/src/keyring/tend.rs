//! What an agent does for its group's keys: founds the group, and, if it is the one that tends, admits who joins, removes
//! who departed, begins epochs, wraps keys that others lack and seals anew what is old.
//!
//! One agent at a time is asked to tend, so that agents do not race. Should two of them act all the same, the
//! controller takes one and the other one starts again from what it took.

use std::collections::BTreeSet;

use wherry_proto::{
    MAX_KEYRING_FRAME, MAX_KEYRING_ITEMS,
    frame::{Departed, Keyring, KeyringReport, KeyringState, MissingWrap, PendingJoin, SealedItem, WrappedKey},
};
use wherry_trust::sealing::{
    invite::{Invite, Join},
    key::{SealingKey, SealingPublic},
    roster::{Op, Roster},
    secret::{Place, SealedSecret},
    wrap::Wrap,
};

use super::{
    KeyringError,
    ring::Ring,
    secrets::item,
    vault::{Held, Id},
};

/// Most agents admitted in one report: each brings an entry of up to 4 KiB, and a wrapped key for each epoch.
const MOST_JOINS: usize = 40;
/// Most agents removed in one report; with a wrapped key for each of 1,000 members it still fits into a frame.
const MOST_DEPARTED: usize = 100;
/// Of an epoch that nothing is sealed to any more, the key is kept for so long: what was sealed to it may be on its
/// way.
const RETIRED_MS: u64 = 86_400_000;

/// What the controller asks of the agent that tends.
pub(super) struct Duties {
    joins: Vec<PendingJoin>,
    departed: Vec<Departed>,
    missing: Vec<MissingWrap>,
    /// Epochs that something is sealed to which this agent does not hold.
    in_use: BTreeSet<u32>,
}

impl Duties {
    pub(super) fn of(frame: &Keyring) -> Self {
        Self {
            joins: frame.joins.clone(),
            departed: frame.departed.clone(),
            missing: frame.missing.clone(),
            in_use: frame.epochs_in_use.iter().copied().collect(),
        }
    }
}

/// Entries that are to follow the roster, and what the roster would be with them.
struct Draft {
    roster: Roster,
    entries: Vec<Vec<u8>>,
}

impl Draft {
    fn add(&mut self, entry: Vec<u8>) -> Result<(), KeyringError> {
        self.roster.extend(&entry)?;
        self.entries.push(entry);
        Ok(())
    }
}

impl Ring {
    /// Adds to `report` what is to be done now; `duties` are there if this agent tends.
    pub(super) fn act(
        &mut self,
        report: &mut KeyringReport,
        duties: Option<&Duties>,
        now_ms: u64,
    ) -> Result<(), KeyringError> {
        report.resealed = self.handed_back();
        if self.sent.appended_at == Some(self.n()) {
            // The answer to it decides what is left to do.
            return Ok(());
        }
        if self.roster.is_none() {
            return self.found(report, now_ms);
        }
        if self.theirs < self.n() {
            if self.sent.reminded_at == Some(self.theirs) {
                return Ok(());
            }
            return self.remind(report);
        }
        let Some(duties) = duties.filter(|_| self.state() == KeyringState::Member) else { return Ok(()) };
        self.change_roster(report, duties, now_ms)?;
        if report.append.is_empty() {
            self.wrap_missing(report, duties)?;
            self.seal_anew(report)?;
            self.retire(duties, now_ms)?;
        }
        Ok(())
    }

    /// The first agent of a group begins its roster, if its operator knew of none.
    fn found(&mut self, report: &mut KeyringReport, now_ms: u64) -> Result<(), KeyringError> {
        let Some(joining) = self.joining.clone().filter(|joining| joining.invite.founding().is_none()) else {
            return Ok(());
        };
        if self.theirs > 0 {
            return Ok(());
        }
        let public = self.propose(1)?;
        let entry = Roster::founding_entry(now_ms, &joining.invite, &joining.join, public, &self.identity)?;
        let roster = Roster::found(&entry)?;
        report.wraps = self.wraps_of_proposed(&roster)?;
        report.append = vec![entry];
        self.sent.appended_at = Some(self.n());
        tracing::info!(fingerprint = %roster.founding(), operator = %roster.founder(), "founding the group's roster");
        Ok(())
    }

    /// Tells a controller that was restored from a backup what it has forgotten.
    fn remind(&mut self, report: &mut KeyringReport) -> Result<(), KeyringError> {
        let entries = self.files.roster()?;
        let forgotten = entries.into_iter().skip(usize::try_from(self.theirs).unwrap_or(usize::MAX));
        let mut room = MAX_KEYRING_FRAME;
        report.append = forgotten
            .take(MAX_KEYRING_ITEMS)
            .take_while(|entry| {
                room = room.saturating_sub(entry.len());
                room > 0
            })
            .collect();
        report.roster_n = self.theirs;
        report.roster_head = self.hash(self.theirs).map(|hash| hash.as_bytes().to_vec()).unwrap_or_default();
        self.sent.reminded_at = Some(self.theirs);
        tracing::warn!(theirs = self.theirs, ours = self.n(), "the controller has forgotten a part of the roster");
        Ok(())
    }

    /// Admits, removes and begins an epoch, in one step with the keys that belong to it.
    fn change_roster(&mut self, report: &mut KeyringReport, duties: &Duties, now_ms: u64) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        let mut draft = Draft { roster: roster.clone(), entries: Vec::new() };
        self.remove_departed(&mut draft, &duties.departed, now_ms);
        if draft.roster.wants_epoch(now_ms) {
            let epoch = draft.roster.epoch().0.saturating_add(1);
            let epoch_key = self.propose(epoch)?;
            draft.add(draft.roster.entry(now_ms, Op::Epoch { epoch, epoch_key }, &self.identity)?)?;
            report.wraps = self.wraps_of_proposed(&draft.roster)?;
            tracing::info!(epoch, "beginning a new epoch of the group's key");
        } else {
            report.wraps = self.admit(&mut draft, &duties.joins, now_ms)?;
        }
        if !draft.entries.is_empty() {
            report.append = draft.entries;
            self.sent.appended_at = Some(self.n());
        }
        Ok(())
    }

    fn remove_departed(&self, draft: &mut Draft, departed: &[Departed], now_ms: u64) {
        for Departed { agent, reason } in departed.iter().take(MOST_DEPARTED) {
            if draft.roster.member(*agent).is_none() || *agent == self.who.agent {
                continue;
            }
            let reason = reason.chars().take(40).collect();
            let entry = draft.roster.entry(now_ms, Op::Remove { agent: *agent, reason }, &self.identity);
            match entry.map_err(KeyringError::from).and_then(|entry| draft.add(entry)) {
                Ok(()) => tracing::info!(%agent, "removing an agent from the roster"),
                Err(error) => tracing::warn!(%agent, code = %error.code(), %error, "cannot remove an agent"),
            }
        }
    }

    /// Admits whoever was invited by an operator of the group; gives the keys for them.
    fn admit(&self, draft: &mut Draft, joins: &[PendingJoin], now_ms: u64) -> Result<Vec<WrappedKey>, KeyringError> {
        let mut wraps = Vec::new();
        for pending in joins.iter().take(MOST_JOINS) {
            match self.admission(draft, pending, now_ms) {
                Ok(recipient) => {
                    for (epoch, key) in &self.epochs {
                        wraps.push(self.wrap(*epoch, key, recipient)?);
                    }
                }
                Err(error) => tracing::warn!(code = %error.code(), %error, "an agent that asks for keys is refused"),
            }
        }
        Ok(wraps)
    }

    fn admission(&self, draft: &mut Draft, pending: &PendingJoin, now_ms: u64) -> Result<SealingPublic, KeyringError> {
        let (invite, join) = (Invite::from_json(&pending.invite)?, Join::from_json(&pending.join)?);
        let (agent, recipient) = (join.agent(), *join.sealing_key());
        draft.add(draft.roster.entry(now_ms, Op::Add { invite, join }, &self.identity)?)?;
        tracing::info!(%agent, "admitting an agent to the roster");
        Ok(recipient)
    }

    /// The public half of the key for an epoch that this agent proposes. A proposal may be under way already, so there
    /// is one key for each epoch, on disk before anyone hears of it.
    fn propose(&mut self, epoch: u32) -> Result<SealingPublic, KeyringError> {
        if let Some((proposed, key)) = &self.proposed
            && *proposed == epoch
        {
            return Ok(key.public());
        }
        let key = SealingKey::generate()?;
        let public = key.public();
        self.files.propose(epoch, &key)?;
        self.proposed = Some((epoch, key));
        Ok(public)
    }

    fn wraps_of_proposed(&self, roster: &Roster) -> Result<Vec<WrappedKey>, KeyringError> {
        let Some((epoch, key)) = &self.proposed else { return Ok(Vec::new()) };
        let recipients = roster.recipients().take(MAX_KEYRING_ITEMS);
        recipients.map(|recipient| self.wrap(*epoch, key, recipient)).collect()
    }

    fn wrap(&self, epoch: u32, key: &SealingKey, recipient: SealingPublic) -> Result<WrappedKey, KeyringError> {
        let wrap = Wrap::seal((self.who.organisation, self.who.group), epoch, key, recipient)?;
        Ok(WrappedKey { epoch, recipient: recipient.to_string(), wrapped: wrap.to_json() })
    }

    /// Wraps keys for recipients that the roster names, and for nobody else.
    fn wrap_missing(&mut self, report: &mut KeyringReport, duties: &Duties) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        let recipients: BTreeSet<SealingPublic> = roster.recipients().collect();
        for MissingWrap { epoch, recipient } in &duties.missing {
            let Ok(recipient) = recipient.parse::<SealingPublic>() else { continue };
            let key = self.epochs.get(epoch).filter(|_| recipients.contains(&recipient));
            // Once in a session: a controller that does not take it would ask for ever.
            if let Some(key) = key
                && !self.sent.wraps.contains(&(*epoch, recipient))
            {
                report.wraps.push(self.wrap(*epoch, key, recipient)?);
                self.sent.wraps.insert((*epoch, recipient));
            }
        }
        Ok(())
    }

    /// Seals under the current epoch, as the next version, what is sealed under an older one or signed by someone who
    /// may sign no longer: as much as fits into a frame.
    fn seal_anew(&mut self, report: &mut KeyringReport) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        let (current, epoch_key) = roster.epoch();
        let old = |held: &Held| held.epoch < current || !roster.may_sign_secrets(&held.signer);
        let due = self.vault.all().filter(|(id, held)| {
            old(held) && self.sent.resealed.get(*id).is_none_or(|version| *version <= held.version)
        });
        let due: Vec<Id> = due.map(|(id, _)| id.clone()).take(MAX_KEYRING_ITEMS / 2).collect();
        let mut room = MAX_KEYRING_FRAME;
        let mut sealed = Vec::new();
        for id in due {
            let Some(new) = self.sealed_anew(&id, current, &epoch_key)? else { continue };
            room = room.saturating_sub(new.envelope.len() + 256);
            if room == 0 && !sealed.is_empty() {
                break;
            }
            self.sent.resealed.insert(id, new.version);
            sealed.push(new);
        }
        if !sealed.is_empty() {
            tracing::info!(secrets = sealed.len(), epoch = current, "sealed secrets anew");
        }
        report.resealed.extend(sealed);
        Ok(())
    }

    fn sealed_anew(&self, id: &Id, epoch: u32, epoch_key: &SealingPublic) -> Result<Option<SealedItem>, KeyringError> {
        let old = self.vault.read(id)?;
        let Some(key) = self.epochs.get(&old.epoch()) else { return Ok(None) };
        let content = old.open(key)?;
        let place = Place::secret(self.who.organisation, self.who.group, &id.0, &id.1);
        let version = old.version().saturating_add(1);
        let new = SealedSecret::seal(&place, version, epoch, epoch_key, &content, &self.identity)?;
        Ok(Some(item(id, &new)))
    }

    /// Forgets keys of epochs that nothing is sealed to any more, neither here nor at the controller: the only copy of a
    /// connection's tokens may lie there.
    fn retire(&mut self, duties: &Duties, now_ms: u64) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        let current = roster.epoch().0;
        let needed: BTreeSet<u32> = self.vault.all().map(|(_, held)| held.epoch).collect();
        let old: Vec<u32> = self.epochs.keys().copied().filter(|epoch| *epoch < current).collect();
        for epoch in old {
            let kept_ms = self.files.epoch_kept_ms(epoch.saturating_add(1));
            let over = kept_ms > 0 && now_ms.saturating_sub(kept_ms) > RETIRED_MS;
            if over && !needed.contains(&epoch) && !duties.in_use.contains(&epoch) {
                self.files.forget_epoch(epoch)?;
                self.epochs.remove(&epoch);
                tracing::info!(epoch, "forgot the key of an old epoch");
            }
        }
        Ok(())
    }
}
