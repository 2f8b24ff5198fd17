//! Telling agents what changed in their group's keyring.

use std::ops::Bound;

use wherry_domain::{
    id::{AgentId, GroupId},
    name::Name,
};
use wherry_proto::{
    MAX_KEYRING_ITEMS,
    frame::{FromController, Keyring as Frame, KeyringState, RemovedItem, SealedItem, WrappedKey},
};

use super::{Keyring, Told, duties::Duties};
use crate::{engine::Turn, model::SecretRecord};

/// Bytes of content in one frame; with what surrounds it below what agents take.
const FRAME: usize = 360 << 10;
/// Frames that an agent gets before it has to report how far it is: a session holds 512 that wait.
const FRAMES: usize = 8;

/// Frames as they fill up.
struct Frames {
    done: Vec<Frame>,
    open: Frame,
    bytes: usize,
}

impl Turn<'_> {
    /// Sends every reporting agent of the group what it lacks.
    pub(super) fn push_keyring(&mut self, group: GroupId) {
        let (tender, mut duties) = match self.tending(group) {
            Some((agent, duties)) => (Some(agent), Some(duties)),
            None => (None, None),
        };
        let of_group = self.state.agents.iter().filter(|(_, state)| state.agent.group == group);
        let reporting = of_group.filter(|(_, state)| state.session.as_ref().is_some_and(|one| one.keyring.is_some()));
        for agent in reporting.map(|(agent, _)| *agent).collect::<Vec<_>>() {
            let duties = if Some(agent) == tender { duties.take() } else { None };
            self.push_to(group, agent, duties);
        }
    }

    fn push_to(&mut self, group: GroupId, agent: AgentId, duties: Option<Duties>) {
        let Some(session) = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut()) else { return };
        let Some(mut told) = session.keyring.take() else { return };
        let frames = self.frames_for(group, agent, &mut told, duties);
        for frame in frames {
            self.frame(agent, FromController::Keyring(frame));
        }
        if let Some(session) = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut()) {
            session.keyring = Some(told);
        }
    }

    /// What the agent lacks; nothing, if it lacks nothing and has had its first answer.
    fn frames_for(&self, group: GroupId, agent: AgentId, told: &mut Told, duties: Option<Duties>) -> Vec<Frame> {
        let none = Keyring::default();
        let keyring = self.state.keyrings.get(&group).unwrap_or(&none);
        let follows = told.follows();
        let member = keyring.roster.as_ref().and_then(|roster| roster.member(agent)).filter(|_| follows);
        let newest = keyring.revision();
        if told.revision > newest || told.revision >> 32 != newest >> 32 {
            // The controller was restored from a copy, which may lack what the agent has.
            told.revision = 0;
        }
        let roster_n = keyring.entries.len() as u64;
        let mut frames = Frames::new(told, roster_n);
        if follows {
            frames.entries(keyring, told);
        }
        if let Some(member) = member {
            let mine = (member.sealing_key, 0)..=(member.sealing_key, u32::MAX);
            for ((recipient, epoch), wrap) in keyring.wraps.range(mine) {
                if told.wraps.insert(*epoch) {
                    let wrapped = wrap.clone().into_bytes();
                    frames.wrap(WrappedKey { epoch: *epoch, recipient: recipient.to_string(), wrapped });
                }
            }
            if told.state == KeyringState::Member {
                self.add_secrets(keyring, told, &mut frames);
            }
        }
        frames.duties(told, duties);
        frames.finish(told)
    }

    fn add_secrets(&self, keyring: &Keyring, told: &mut Told, frames: &mut Frames) {
        let later = keyring.by_revision.range((Bound::Excluded(told.revision), Bound::Unbounded));
        for (revision, key) in later {
            if frames.done.len() >= FRAMES {
                break;
            }
            // A secret that cannot be read is not sent, and neither is anything after it.
            let Some(record) = keyring.secrets.get(key) else { break };
            if !frames.secret(record, || self.sealed_bytes(record)) {
                break;
            }
            told.revision = *revision;
            frames.open.revision = *revision;
        }
    }
}

impl Frames {
    fn new(told: &Told, roster_n: u64) -> Self {
        let (since, revision) = (told.revision, told.revision);
        let open = Frame { roster_first: told.roster_n, roster_n, since, revision, ..Frame::default() };
        Self { done: Vec::new(), open, bytes: 0 }
    }

    fn entries(&mut self, keyring: &Keyring, told: &mut Told) {
        let known = usize::try_from(told.roster_n).unwrap_or(usize::MAX);
        for entry in keyring.entries.iter().skip(known) {
            self.make_room(entry.len());
            self.open.entries.push(entry.clone().into_bytes());
            told.roster_n += 1;
        }
    }

    fn wrap(&mut self, wrap: WrappedKey) {
        self.make_room(wrap.wrapped.len() + 64);
        self.open.wraps.push(wrap);
    }

    /// Tells whether the secret could be read.
    fn secret(&mut self, record: &SecretRecord, sealed: impl FnOnce() -> Option<Vec<u8>>) -> bool {
        let (environment, version) = (record.environment.clone(), record.version);
        // The tokens of connections have ids for names, for which the frame has no room yet.
        let Ok(name) = record.name.parse::<Name>() else { return true };
        if record.removed {
            self.make_room(160);
            self.open.removed.push(RemovedItem { environment, name, version });
            return true;
        }
        let Some(envelope) = sealed() else { return false };
        self.make_room(envelope.len() + 160);
        self.open.secrets.push(SealedItem { environment, name, version, envelope });
        true
    }

    fn duties(&mut self, told: &mut Told, duties: Option<Duties>) {
        let tends = duties.is_some();
        if tends && told.duties != duties {
            // A frame that says only this is worth sending.
            told.unanswered = true;
        }
        told.duties.clone_from(&duties);
        let Duties { joins, departed, missing, in_use, .. } = duties.unwrap_or_default();
        self.make_room(joins.len() * 2_048 + departed.len() * 128 + missing.len() * 64 + in_use.len() * 5);
        self.open.tends = tends;
        (self.open.joins, self.open.departed, self.open.missing) = (joins, departed, missing);
        self.open.epochs_in_use = in_use;
    }

    fn make_room(&mut self, bytes: usize) {
        let Frame { entries, wraps, secrets, removed, .. } = &self.open;
        let longest = entries.len().max(wraps.len()).max(secrets.len()).max(removed.len());
        if (self.bytes + bytes > FRAME && self.bytes > 0) || longest >= MAX_KEYRING_ITEMS {
            let next = Frame {
                roster_first: self.open.roster_first + self.open.entries.len() as u64,
                roster_n: self.open.roster_n,
                since: self.open.revision,
                revision: self.open.revision,
                ..Frame::default()
            };
            let full = std::mem::replace(&mut self.open, next);
            self.done.push(Frame { more: true, ..full });
            self.bytes = 0;
        }
        self.bytes += bytes;
    }

    fn finish(mut self, told: &mut Told) -> Vec<Frame> {
        let said = !(self.open.entries.is_empty()
            && self.open.wraps.is_empty()
            && self.open.secrets.is_empty()
            && self.open.removed.is_empty());
        if said || told.unanswered || !self.done.is_empty() {
            told.unanswered = false;
            self.done.push(self.open);
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wherry_trust::sealing::secret::Kind;

    use super::*;

    #[test]
    fn no_list_of_a_frame_is_longer_than_agents_take() {
        let told = Told {
            state: KeyringState::Member,
            roster_n: 0,
            revision: 0,
            wraps: BTreeSet::new(),
            join: Vec::new(),
            trouble: None,
            unanswered: false,
            duties: None,
        };
        let mut frames = Frames::new(&told, 0);
        for index in 0..=2 * MAX_KEYRING_ITEMS {
            let record = SecretRecord {
                group: GroupId::from_u128(1),
                environment: "prod".parse().unwrap(),
                kind: Kind::Secret,
                name: format!("secret-{index}"),
                version: 2,
                epoch: 1,
                signer: String::new(),
                set_ms: 0,
                set_by: String::new(),
                set_at_n: 0,
                revision: index as u64 + 1,
                parts: 0,
                removed: true,
            };
            assert!(frames.secret(&record, || None));
            frames.open.revision = record.revision;
        }
        let sent = frames.finish(&mut Told { unanswered: true, ..told });
        let counts: Vec<_> = sent.iter().map(|frame| frame.removed.len()).collect();
        assert_eq!(counts, [MAX_KEYRING_ITEMS, MAX_KEYRING_ITEMS, 1]);
        assert!(sent.windows(2).all(|two| two[0].more && two[1].since == two[0].revision));
    }
}
