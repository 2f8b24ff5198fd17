//! What is left to do for a group's keys, and which member does it.

use std::{ops::Bound, time::Duration};

use wherry_domain::id::{AgentId, GroupId};
use wherry_proto::frame::{Departed, KeyringState, MissingWrap, PendingJoin};

use super::Tender;
use crate::engine::{Turn, state::AgentState};

/// How long a member has for its duties before another one gets them.
const PATIENCE: Duration = Duration::from_secs(15);
/// Duties of one kind that are named at once; the rest follows when these are done.
const AT_ONCE: usize = 100;

/// What one member should do.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Duties {
    pub(super) joins: Vec<PendingJoin>,
    pub(super) departed: Vec<Departed>,
    pub(super) missing: Vec<MissingWrap>,
    /// Epochs whose keys are not to be forgotten; nothing that has to be done.
    pub(super) in_use: Vec<u32>,
    /// Whether something has to be sealed anew, or a new epoch begun.
    stale: bool,
}

impl Duties {
    fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.departed.is_empty() && self.missing.is_empty() && !self.stale
    }
}

impl Turn<'_> {
    /// Who tends the group's keys now, and what there is to do. Changes the tender if the last one is gone, or has
    /// had its time.
    pub(super) fn tending(&mut self, group: GroupId) -> Option<(AgentId, Duties)> {
        let duties = self.duties(group);
        let now = self.now;
        let last = self.state.keyrings.get(&group)?.tender.as_ref();
        let last = last.map(|tender| (tender.agent, tender.until, tender.busy));
        let stays = last.filter(|(agent, until, busy)| self.may_tend(*agent, group) && !(*busy && *until <= now));
        let next = stays.map(|(agent, _, _)| agent);
        let Some(agent) = next.or_else(|| self.next_tender(group, last.map(|(agent, _, _)| agent))) else {
            // With nobody there is no time to wait for: whoever comes next is asked when it reports.
            self.state.keyrings.get_mut(&group)?.tender = None;
            return None;
        };
        let busy = !duties.is_empty();
        let until = stays.filter(|(_, _, was_busy)| *was_busy).map_or(now.plus(PATIENCE), |(_, until, _)| until);
        self.state.keyrings.get_mut(&group)?.tender = Some(Tender { agent, until, busy });
        if stays.is_none() {
            self.say_again(agent);
        }
        Some((agent, duties))
    }

    /// The agent is told its duties even if it was told the same before.
    fn say_again(&mut self, agent: AgentId) {
        let session = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut());
        if let Some(told) = session.and_then(|session| session.keyring.as_mut()) {
            told.duties = None;
        }
    }

    /// Something of the duties was done: the tender has its full time for the rest.
    pub(super) fn tender_proceeds(&mut self, group: GroupId) {
        let until = self.now.plus(PATIENCE);
        if let Some(tender) = self.state.keyrings.get_mut(&group).and_then(|keyring| keyring.tender.as_mut()) {
            tender.until = until;
        }
    }

    /// The next member in the order of ids after the last one, which may be the same.
    fn next_tender(&self, group: GroupId, last: Option<AgentId>) -> Option<AgentId> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.state.agents.range((from, Bound::Unbounded)).map(|(id, _)| *id);
        let all = self.state.agents.keys().copied();
        later.chain(all).find(|agent| self.may_tend(*agent, group))
    }

    fn may_tend(&self, agent: AgentId, group: GroupId) -> bool {
        let roster = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster.as_ref());
        let told = self.state.agents.get(&agent).and_then(|state| {
            let told = state.session.as_ref()?.keyring.as_ref()?;
            (state.agent.group == group && state.agent.locked.is_none()).then_some(told)
        });
        roster.is_some_and(|roster| roster.member(agent).is_some())
            && told.is_some_and(|told| told.state == KeyringState::Member && told.follows())
    }

    fn duties(&self, group: GroupId) -> Duties {
        let Some(keyring) = self.state.keyrings.get(&group) else { return Duties::default() };
        let Some(roster) = &keyring.roster else { return Duties::default() };
        let known = |agent| roster.member(agent).is_some() || roster.departed(agent).is_some();
        let waiting = self.state.agents.values().filter(|state| state.agent.group == group && !known(state.agent.id));
        let departed = roster.members().filter_map(|member| {
            let reason = self.departed(member.agent, group)?;
            Some(Departed { agent: member.agent, reason })
        });
        let living = keyring.living_epochs();
        let missing = roster.recipients().flat_map(|recipient| {
            let absent = |epoch: &u32| !keyring.wraps.contains_key(&(recipient, *epoch));
            let epochs: Vec<u32> = living.iter().copied().filter(absent).collect();
            epochs.into_iter().map(move |epoch| MissingWrap { epoch, recipient: recipient.to_string() })
        });
        let epoch = roster.epoch().0;
        let old = |secret: &crate::model::SecretRecord| {
            let trusted = secret.signer.parse().is_ok_and(|signer| roster.may_sign_secrets(&signer));
            !secret.removed && (secret.epoch != epoch || !trusted)
        };
        Duties {
            joins: waiting.filter_map(join).take(AT_ONCE).collect(),
            departed: departed.take(AT_ONCE).collect(),
            missing: missing.take(AT_ONCE).collect(),
            in_use: self.epochs_in_use(group),
            stale: roster.wants_epoch(self.wall_ms) || keyring.secrets.values().any(old),
        }
    }

    /// Why a member of the roster is none of the group's agents any more.
    fn departed(&self, agent: AgentId, group: GroupId) -> Option<String> {
        match self.state.agents.get(&agent) {
            Some(state) if state.agent.group == group => {
                state.agent.locked.as_ref().map(|reason| format!("locked: {}", short(reason)))
            }
            Some(_) | None => Some("removed".to_owned()),
        }
    }
}

fn join(state: &AgentState) -> Option<PendingJoin> {
    let told = state.session.as_ref()?.keyring.as_ref()?;
    let invite = state.agent.invite.as_ref()?;
    (!told.join.is_empty()).then(|| PendingJoin { join: told.join.clone(), invite: invite.clone().into_bytes() })
}

/// An entry of the roster holds a reason of 200 bytes.
fn short(reason: &str) -> String {
    reason.chars().take(40).collect()
}
