//! What the operator of a group does.

use wherry_domain::id::AgentId;
use wherry_proto::frame::SealedItem;
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        invite::{Destination, Invite, Join},
        key::{SealingKey, SealingPublic},
        roster::{Op, Roster},
        secret::SealedSecret,
    },
    token::{EnrolmentToken, SpkiPin},
};

use super::{Group, HOME, agent_id, now_ms, place, secret_id};

pub(in super::super) fn invitation(to: Destination, operator: &SigningKey, agent: AgentId) -> (Invite, Join) {
    let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
    invited_as(to, operator, agent, &identity, sealing.public())
}

pub(super) fn invited_as(
    to: Destination,
    operator: &SigningKey,
    agent: AgentId,
    identity: &SigningKey,
    sealing: SealingPublic,
) -> (Invite, Join) {
    let token = EnrolmentToken::generate(SpkiPin::of_spki(b"authority")).unwrap();
    let holder = (token.id(), token.roster_part());
    let invite = Invite::make(holder, to, now_ms() + 600_000, operator).unwrap();
    (invite, Join::make(holder, agent, identity.public(), sealing).unwrap())
}

impl Group {
    /// The operator sets a secret.
    pub(in super::super) fn set(&mut self, name: &str, value: &str) {
        let id = secret_id(name);
        let known = self.store.secrets.get(&id).map(|(_, item)| item.version);
        let gone = self.store.removed.get(&id).map(|(_, version)| *version);
        let version = known.max(gone).unwrap_or(0) + 1;
        let (epoch, key) = self.roster().epoch();
        let sealed = SealedSecret::seal(&place(&id), version, epoch, &key, value.as_bytes(), &self.operator).unwrap();
        let (environment, name) = id.clone();
        self.store.revision += 1;
        let item = SealedItem { environment, name, version, envelope: sealed.to_json() };
        self.store.secrets.insert(id, (self.store.revision, item));
    }

    pub(in super::super) fn remove(&mut self, name: &str) {
        let id = secret_id(name);
        let (_, item) = self.store.secrets.remove(&id).unwrap();
        self.store.revision += 1;
        self.store.removed.insert(id, (self.store.revision, item.version));
    }

    pub(in super::super) fn depart(&mut self, agent: usize) {
        self.store.departed.push(agent);
    }

    pub(in super::super) fn take_back(&mut self, agent: usize) {
        self.store.departed.retain(|departed| *departed != agent);
        self.operator_says(Op::Readmit { agent: agent_id(agent) });
    }

    pub(in super::super) fn recovery(&mut self, key: SealingPublic) {
        self.operator_says(Op::Recovery { key });
    }

    pub(in super::super) fn replace_operator(&mut self) {
        let new = SigningKey::generate().unwrap();
        self.operator_says(Op::OperatorAdd { key: new.public() });
        let old = std::mem::replace(&mut self.operator, new);
        self.operator_says(Op::OperatorRemove { key: old.public() });
    }

    fn operator_says(&mut self, op: Op) {
        let entry = self.roster().entry(self.now_ms, op, &self.operator).unwrap();
        self.store.entries.push(entry);
    }

    /// Another first entry for this group, by another agent and token of the same operator.
    pub(in super::super) fn founded_otherwise(&self) -> Vec<u8> {
        let (identity, sealing) = (SigningKey::generate().unwrap(), SealingKey::generate().unwrap());
        let to = Destination { organisation: HOME.0, group: HOME.1, founding: None };
        let (invite, join) = invited_as(to, &self.operator, agent_id(77), &identity, sealing.public());
        Roster::founding_entry(now_ms(), &invite, &join, sealing.public(), &identity).unwrap()
    }
}
