//! What the owner of an agent does.

use wherry_domain::name::Name;
use wherry_trust::{keys::SigningKey, names::AgentIdentity};

use super::{Group, HOME, agent_id, secret_id};
use crate::keyring::outgoing;

impl Group {
    /// The owner hands a value to the whole group, in another process.
    pub(in super::super) fn hand_over(&mut self, agent: usize, name: &str, value: &str) {
        let subject = &self.agents[agent];
        let identity = AgentIdentity::new("wherry.test", HOME.0, HOME.1, agent_id(agent)).unwrap();
        let key = SigningKey::from_pem(&subject.pem).unwrap();
        let (environment, name): (Name, Name) = secret_id(name);
        let folder = subject.folder.path();
        outgoing::seal_in(folder, (&identity, &key), (&environment, &name), value.as_bytes()).unwrap();
    }

    /// What the agent says of it does not arrive.
    pub(in super::super) fn lose_outgoing(&mut self, agent: usize) {
        let subject = &mut self.agents[agent];
        assert_eq!(subject.ring.outgoing(subject.folder.path()).unwrap().resealed.len(), 1);
        assert!(subject.ring.outgoing(subject.folder.path()).is_none(), "it is said twice in a session");
    }

    pub(in super::super) fn send_outgoing(&mut self, agent: usize) {
        let subject = &mut self.agents[agent];
        let report = subject.ring.outgoing(subject.folder.path()).unwrap();
        assert!(self.take(agent, report));
    }

    pub(in super::super) fn outgoing_is_empty(&mut self, agent: usize) -> bool {
        let subject = &mut self.agents[agent];
        subject.ring.begin();
        subject.ring.outgoing(subject.folder.path()).is_none() && !outgoing::is_waiting(subject.folder.path())
    }
}
