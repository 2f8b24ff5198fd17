//! What an agent says of its group's keys, and what it adds to them.

use std::collections::BTreeSet;

use wherry_domain::{
    digest::Digest,
    id::{AgentId, GroupId},
};
use wherry_proto::frame::{KeyringReport, KeyringState, SealedItem, WrappedKey};
use wherry_trust::sealing::{
    roster::{Entry, Head, Op, Roster, RosterError},
    secret::{Kind, SealedSecret},
    wrap::Wrap,
};

use super::{Told, secrets::Setting};
use crate::engine::{Refusal, Turn};

impl Turn<'_> {
    /// Takes an agent's report: first what it adds to the roster, and only if all of that fits what depends on it.
    pub(in crate::engine) fn keyring_report(&mut self, agent: AgentId, report: KeyringReport) {
        let Some(group) = self.state.agents.get(&agent).map(|state| state.agent.group) else { return };
        let entries = self.entries_of(group, &report);
        let Some(session) = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut()) else { return };
        let told = Told::new(&report, entries, session.keyring.take());
        if let Some(trouble) = &told.trouble {
            tracing::warn!(%agent, code = %trouble.code, message = trouble.message, "agent does not follow its group's roster");
        }
        session.keyring = Some(told);
        self.touch_keyring(group);
        // It may take runs now that it could not, or the other way round.
        self.open_slots(agent);
        let KeyringReport { append, wraps, resealed, .. } = report;
        if let Err(error) = self.append_all(group, &agent.to_string(), append) {
            // Another one was faster, and this agent will see what it said.
            tracing::debug!(%agent, %error, "did not append to the roster");
            return;
        }
        let roster = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster.as_ref());
        let is_member = roster.is_some_and(|roster| roster.member(agent).is_some());
        let mut progress = false;
        // Whoever is no member has no key to wrap.
        for wrap in wraps.into_iter().filter(|_| is_member) {
            progress |= self.take_wrap(group, &wrap, true);
        }
        for item in resealed {
            match self.take_resealed(agent, group, &item) {
                Ok(()) => progress = true,
                Err(error) => tracing::debug!(%agent, %error, name = %item.name, "did not take a secret sealed anew"),
            }
        }
        if progress {
            self.tender_proceeds(group);
        }
    }

    /// How many entries the agent has of the roster that is kept here. One that has another roster gets all of them,
    /// so that it can see and say so.
    fn entries_of(&self, group: GroupId, report: &KeyringReport) -> u64 {
        let Some(roster) = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster.as_ref()) else {
            return 0;
        };
        if report.roster_n > roster.n() {
            // The agent hands back what is missing here.
            return roster.n();
        }
        let hash = report.roster_head.as_slice().try_into().map(Digest::from_bytes);
        let same = hash.is_ok_and(|hash| roster.continues(&Head { n: report.roster_n, hash }).is_ok());
        if same { report.roster_n } else { 0 }
    }

    /// Appends entries in order; those that are there already are skipped.
    pub(super) fn append_all(&mut self, group: GroupId, who: &str, entries: Vec<Vec<u8>>) -> Result<(), RosterError> {
        for bytes in entries {
            let n = Entry::peek(&bytes)?.n;
            let keyring = self.state.keyrings.entry(group).or_default();
            let index = usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
            match keyring.entries.get(index) {
                Some(known) if known.as_bytes() == bytes => (),
                Some(_) => return Err(RosterError::Forked { n }),
                None => self.append(group, who, bytes)?,
            }
        }
        Ok(())
    }

    fn append(&mut self, group: GroupId, who: &str, bytes: Vec<u8>) -> Result<(), RosterError> {
        let text = String::from_utf8(bytes).map_err(|_| RosterError::Malformed { n: 0, why: "it is not text" })?;
        let organisation = self.state.organisation;
        let keyring = self.state.keyrings.entry(group).or_default();
        let n = keyring.entries.len() as u64 + 1;
        match &mut keyring.roster {
            Some(roster) => roster.extend(text.as_bytes())?,
            None => {
                let roster = Roster::found(text.as_bytes())?;
                if roster.group() != group || roster.organisation() != organisation {
                    return Err(RosterError::NotAllowed { n, why: "it founds another group" });
                }
                if keyring.forgotten.contains(&roster.founding()) {
                    return Err(RosterError::NotAllowed { n, why: "this roster was reset" });
                }
                keyring.roster = Some(roster);
            }
        }
        keyring.entries.push(text.clone());
        if let Ok(entry) = Entry::peek(text.as_bytes()) {
            self.audit(who, &format!("roster.{}", entry.op.word()), &group.to_string(), &subject(&entry.op));
        }
        self.keep_entry(group, n, text);
        self.tender_proceeds(group);
        self.touch_keyring(group);
        // It may have named the first operator, who can hold locks.
        self.environments_changed();
        Ok(())
    }

    /// Takes a wrapped key that the roster wants; tells whether it was missing. A member may send another one in place of
    /// one that nobody can have needed: its recipient does not have the keys yet, or is a recovery key.
    pub(super) fn take_wrap(&mut self, group: GroupId, wrapped: &WrappedKey, by_member: bool) -> bool {
        let Ok(wrap) = Wrap::from_json(&wrapped.wrapped) else { return false };
        let Some(keyring) = self.state.keyrings.get(&group).filter(|keyring| keyring.wants(&wrap)) else {
            return false;
        };
        let Ok(text) = String::from_utf8(wrap.to_json()) else { return false };
        let key = (*wrap.recipient(), wrap.epoch());
        let known = keyring.wraps.get(&key);
        let missing = known.is_none();
        let recipient = keyring.member_with(wrap.recipient());
        if known == Some(&text) || !(missing || by_member && !recipient.is_some_and(|agent| self.has_keys(agent))) {
            return false;
        }
        let Some(keyring) = self.state.keyrings.get_mut(&group) else { return false };
        keyring.wraps.insert(key, text.clone());
        if let Some(told) = recipient.and_then(|agent| self.told_mut(agent)) {
            told.wraps.remove(&wrap.epoch());
        }
        self.keep_wrap(group, &wrap, text);
        self.touch_keyring(group);
        missing
    }

    /// Whether an agent says that it has its group's keys.
    fn has_keys(&self, agent: AgentId) -> bool {
        let session = self.state.agents.get(&agent).and_then(|state| state.session.as_ref());
        let told = session.and_then(|session| session.keyring.as_ref());
        told.is_some_and(|told| told.state == KeyringState::Member)
    }

    fn told_mut(&mut self, agent: AgentId) -> Option<&mut Told> {
        self.state.agents.get_mut(&agent)?.session.as_mut()?.keyring.as_mut()
    }

    fn take_resealed(&mut self, agent: AgentId, group: GroupId, item: &SealedItem) -> Result<(), Refusal> {
        let sealed = SealedSecret::from_json(&item.envelope)
            .map_err(|error| Refusal::invalid("seal.malformed", error.to_string()))?;
        let place = sealed.place();
        let named = (place.kind(), place.environment(), place.name());
        if named != (Kind::Secret, &item.environment, item.name.as_str()) {
            return Err(Refusal::invalid("seal.misplaced", "it was sealed for another name, environment or use"));
        }
        let name = self.state.agents.get(&agent).map(|state| state.agent.name.to_string()).unwrap_or_default();
        let setting = Setting { who: &name, replaces: None, resealed: true };
        self.set_sealed(group, &sealed, &setting).map(|_| ())
    }
}

impl Told {
    /// `entries` are those of the roster that the agent was found to have.
    fn new(report: &KeyringReport, entries: u64, earlier: Option<Self>) -> Self {
        let (wraps, unanswered, duties) =
            earlier.map_or((BTreeSet::new(), true, None), |told| (told.wraps, told.unanswered, told.duties));
        Self {
            state: report.state,
            roster_n: entries,
            revision: report.secrets_revision,
            wraps,
            join: report.join.clone(),
            trouble: report.trouble.clone(),
            unanswered,
            duties,
        }
    }
}

/// Whom an entry is about, for the audit.
fn subject(op: &Op) -> String {
    match op {
        Op::Found { join, .. } | Op::Add { join, .. } => join.agent().to_string(),
        Op::Readmit { agent } | Op::Remove { agent, .. } => agent.to_string(),
        Op::Epoch { epoch, .. } => epoch.to_string(),
        Op::OperatorAdd { key } | Op::OperatorRemove { key } => key.to_string(),
        Op::Recovery { key } | Op::RecoveryRemove { key } => key.to_string(),
    }
}
