//! The keys of agent groups and the secrets sealed to them, as far as the controller has a part in it: it keeps and
//! carries bytes.
//!
//! ```text
//! operator ─ entry, sealed secret ─► ┌────────────┐ ─ entries, wraps, secrets ─► every agent of the group
//!                                    │  keyring   │ ─ duties ─► one member: the one that tends
//! agents ─ entries, wraps, re-seals ►└────────────┘
//! ```
//!
//! What comes in is checked as an agent would check it, so that nobody can fill the store with what every agent will
//! refuse. That protects the controller; the agents check everything themselves.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::{
    digest::Digest,
    id::{AgentId, GroupId},
    name::Name,
    time::Timestamp,
};
use wherry_proto::frame::{KeyringState, KeyringTrouble};
use wherry_trust::sealing::{
    key::SealingPublic,
    roster::Roster,
    secret::{Kind, Place},
    wrap::Wrap,
};

mod duties;
pub(super) mod in_use;
mod people;
mod push;
mod report;
mod secrets;
mod stored;
mod waiting;

pub use people::{RosterView, SecretView};
pub(super) use stored::load;

use super::Turn;
use crate::model::SecretRecord;

/// A secret within a group.
pub(super) type SecretKey = (Name, Kind, String);

/// Resets of a group that are remembered; of more, the oldest is forgotten.
const MAX_FORGOTTEN: usize = 100;

/// What a group has.
#[derive(Default)]
pub(super) struct Keyring {
    roster: Option<Roster>,
    /// Its entries as they were signed.
    entries: Vec<String>,
    wraps: BTreeMap<(SealingPublic, u32), String>,
    secrets: BTreeMap<SecretKey, SecretRecord>,
    by_revision: BTreeMap<u64, SecretKey>,
    tender: Option<Tender>,
    /// Hashes of the foundings of earlier rosters that were reset: agents that still have one do not bring it back.
    forgotten: Vec<Digest>,
}

/// The member that looks after the keys: admits, removes, wraps, and seals anew.
struct Tender {
    agent: AgentId,
    /// When another one has its turn, if there is still something to do.
    until: Timestamp,
    /// Whether anything was left when it was last told.
    busy: bool,
}

/// What an agent said of its keys in its present session, and what it was told.
pub(super) struct Told {
    state: KeyringState,
    roster_n: u64,
    revision: u64,
    /// Epochs whose keys were sent.
    wraps: BTreeSet<u32>,
    join: Vec<u8>,
    trouble: Option<KeyringTrouble>,
    /// Whether it still waits for the answer to its first report.
    unanswered: bool,
    /// What it was last told to do; the same is not said again before its time is over.
    duties: Option<duties::Duties>,
}

impl Told {
    /// Whether the agent has this roster: trouble with a secret, a key or its disk leaves that as it is.
    fn follows(&self) -> bool {
        let Some(KeyringTrouble { code, .. }) = &self.trouble else { return true };
        let code = code.as_str();
        !(code.starts_with("roster.")
            || ["keyring.roster_foreign", "keyring.not_invited", "invite.refused"].contains(&code))
    }
}

impl Keyring {
    /// The group's roster.
    pub(super) const fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// Number of the last change of a secret.
    fn revision(&self) -> u64 {
        self.by_revision.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    /// Epochs whose keys someone may still need.
    fn living_epochs(&self) -> BTreeSet<u32> {
        let used = self.secrets.values().filter(|secret| !secret.removed).map(|secret| secret.epoch);
        used.chain(self.roster.as_ref().map(|roster| roster.epoch().0)).collect()
    }

    /// Secrets of an environment that are set.
    fn count(&self, environment: &Name) -> usize {
        self.secrets.values().filter(|secret| secret.environment == *environment && !secret.removed).count()
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.tender.as_ref().filter(|tender| tender.busy).map(|tender| tender.until)
    }
}

impl Turn<'_> {
    /// The key of an agent's group, if the agent has said that it has it.
    pub(super) fn sealing_key_of(&self, agent: AgentId) -> Option<(GroupId, u32, SealingPublic)> {
        let state = self.state.agents.get(&agent)?;
        let told = state.session.as_ref()?.keyring.as_ref()?;
        let group = state.agent.group;
        let roster = self.state.keyrings.get(&group)?.roster.as_ref()?;
        let (epoch, key) = roster.epoch();
        (told.state == KeyringState::Member && told.follows()).then_some((group, epoch, key))
    }
}

impl super::State {
    /// When another member may have to look after some group's keys.
    pub(super) fn keyrings_due(&self) -> Option<Timestamp> {
        self.keyrings.values().filter_map(Keyring::next_due).min()
    }

    /// What changed in this turn is told in the next one, when it can be read back from the store.
    pub(super) fn ripen_keyrings(&mut self) {
        self.keyrings_ripe.append(&mut self.keyrings_touched);
    }
}

impl Turn<'_> {
    /// Something changed that the group's agents should know.
    pub(super) fn touch_keyring(&mut self, group: GroupId) {
        self.state.keyrings_touched.insert(group);
    }

    /// The same, of an agent's group.
    pub(super) fn touch_keyring_of(&mut self, agent: AgentId) {
        if let Some(group) = self.state.agents.get(&agent).map(|state| state.agent.group) {
            self.touch_keyring(group);
        }
    }

    /// Tells agents what changed, and gives duties to another one if the last did not do them.
    pub(super) fn tick_keyrings(&mut self) {
        let mut groups = std::mem::take(&mut self.state.keyrings_ripe);
        let now = self.now;
        let late = self.state.keyrings.iter().filter(|(_, keyring)| keyring.next_due().is_some_and(|at| at <= now));
        groups.extend(late.map(|(group, _)| *group));
        for group in groups {
            self.push_keyring(group);
        }
    }

    /// In one word, for people: `none`, `pending_keys`, `member` or `removed`.
    pub(super) fn keys_of(&self, agent: AgentId) -> (&'static str, Option<KeyringTrouble>) {
        let Some(state) = self.state.agents.get(&agent) else { return ("none", None) };
        let told = state.session.as_ref().and_then(|session| session.keyring.as_ref());
        let roster = self.state.keyrings.get(&state.agent.group).and_then(|keyring| keyring.roster.as_ref());
        let waits = told.is_some_and(|told| told.state != KeyringState::Member);
        let word = match roster {
            Some(roster) if roster.member(agent).is_some() => {
                if waits {
                    "pending_keys"
                } else {
                    "member"
                }
            }
            Some(roster) if roster.departed(agent).is_some() => "removed",
            Some(_) => "pending_keys",
            None if state.agent.invite.is_some() => "pending_keys",
            None => "none",
        };
        (word, told.and_then(|told| told.trouble.clone()))
    }

    fn place_of(&self, group: GroupId, (environment, kind, name): &SecretKey) -> Option<Place> {
        let organisation = self.state.organisation;
        match kind {
            Kind::Secret => Some(Place::secret(organisation, group, environment, &name.parse().ok()?)),
            Kind::Oauth => Some(Place::oauth(organisation, group, environment, name.parse().ok()?)),
        }
    }
}

impl Keyring {
    /// Whether a wrapped key is one that the roster wants.
    fn wants(&self, wrap: &Wrap) -> bool {
        let Some(roster) = &self.roster else { return false };
        roster.epoch_key(wrap.epoch()).is_some() && roster.recipients().any(|recipient| recipient == *wrap.recipient())
    }

    /// The member whose sealing key it is; none of a recovery key.
    fn member_with(&self, recipient: &SealingPublic) -> Option<AgentId> {
        let mut members = self.roster.iter().flat_map(Roster::members);
        members.find(|member| member.sealing_key == *recipient).map(|member| member.agent)
    }
}
