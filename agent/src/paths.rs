//! Where things are in the agent's data folder.

use std::path::{Path, PathBuf};

/// The agent's data folder; everything the agent keeps is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Keys and certificates of this agent.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    /// The journal.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Components by digest.
    pub fn connectors(&self) -> PathBuf {
        self.0.join("connectors")
    }

    /// Signed releases by the digest of their component.
    pub fn releases(&self) -> PathBuf {
        self.0.join("connectors").join("releases")
    }

    /// What connectors were before their locks moved them.
    pub fn before(&self) -> PathBuf {
        self.0.join("connectors").join("before.json")
    }

    /// Connectors that failed too often on this agent, one file each.
    pub fn quarantine(&self) -> PathBuf {
        self.0.join("connectors").join("quarantine")
    }

    /// What is believed of connectors.
    pub fn catalogue(&self) -> PathBuf {
        self.0.join("catalogue.json")
    }

    /// The box for transformations.
    pub fn transforms(&self) -> PathBuf {
        self.0.join("transforms")
    }

    /// Compiled components.
    pub fn compiled(&self) -> PathBuf {
        self.0.join("compiled")
    }

    /// Deployments by digest.
    pub fn deployments(&self) -> PathBuf {
        self.0.join("deployments")
    }

    /// Signatures of deployments, by the digest of their documents.
    pub fn deployment_signatures(&self) -> PathBuf {
        self.0.join("deployment-signatures")
    }

    /// Sealed secrets by environment.
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// Keys of the agent's group, and the secrets sealed to them.
    pub fn keyring(&self) -> PathBuf {
        self.0.join("keyring")
    }

    /// Tokens of connections.
    pub fn oauth(&self) -> PathBuf {
        self.0.join("oauth")
    }

    /// The key that seals what lies in this folder.
    pub fn local_key(&self) -> PathBuf {
        self.0.join("local-key")
    }

    /// How the owner's policy stands.
    pub fn policy_note(&self) -> PathBuf {
        self.0.join("policy.json")
    }

    /// Says that the agent runs and is connected.
    pub fn ready(&self) -> PathBuf {
        self.0.join("ready.json")
    }
}
