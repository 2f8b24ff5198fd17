//! What happens to the disk of an agent, and what lies there.

use std::path::PathBuf;

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

    pub(in super::super) fn files_of(&self, agent: usize) -> Vec<PathBuf> {
        let mut folders = vec![self.agents[agent].folder.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}
