//! What happens to the disk of an agent, and what lies there.

use wherry_trust::keys::SigningKey;

use super::{Group, open, secret_id};

impl Group {
    /// A sealed secret cannot be read any more when the agent starts again.
    pub(in super::super) fn damage(&mut self, agent: usize, name: &str) {
        let (environment, name) = secret_id(name);
        let subject = &mut self.agents[agent];
        std::fs::write(subject.keys.path(&environment, &name), b"{}").unwrap();
        subject.ring = open(&subject.folder, &subject.local, &subject.pem, agent);
    }

    /// Nothing can be written where secrets lie: a file is in the way of the folder.
    pub(in super::super) fn block_secrets(&mut self, agent: usize, blocked: bool) {
        let path = self.agents[agent].folder.path().join("secrets");
        if blocked { std::fs::write(path, b"").unwrap() } else { std::fs::remove_file(path).unwrap() }
    }

    /// The identity key of an agent.
    pub(in super::super) fn identity(&self, agent: usize) -> SigningKey {
        SigningKey::from_pem(&self.agents[agent].pem).unwrap()
    }
}
