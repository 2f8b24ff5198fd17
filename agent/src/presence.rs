//! `ready.json`: says that the agent runs, and whether it is connected. For people, service managers and tests.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use wherry_daemon::notify;
use wherry_domain::{id::AgentId, name::Name};

use crate::{paths::DataDir, private_file};

/// The content of `ready.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// This agent.
    pub agent_id: AgentId,
    /// What it calls itself.
    pub name: Name,
    /// Its process.
    pub pid: u32,
    /// Whether it has a session with the controller.
    pub connected: bool,
}

/// Keeps `ready.json` true.
#[derive(Clone)]
pub struct Presence {
    path: PathBuf,
    ready: Arc<Ready>,
}

impl Presence {
    /// For a process that just starts; nothing is written before it is connected once.
    pub fn new(data: &DataDir, agent_id: AgentId, name: Name) -> Self {
        let ready = Ready { agent_id, name, pid: std::process::id(), connected: false };
        Self { path: data.ready(), ready: Arc::new(ready) }
    }

    /// The session came up or went down.
    pub fn connected(&self, connected: bool) {
        let ready = Ready { connected, ..(*self.ready).clone() };
        let written = serde_json::to_vec(&ready).map(|json| private_file::write(&self.path, &json));
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "ready.json does not tell the truth any more");
        }
        if connected {
            notify::ready();
        }
        notify::status(if connected { "connected to the controller" } else { "not connected to the controller" });
    }

    /// The process ends.
    pub fn gone(&self) {
        if let Err(error) = private_file::remove(&self.path) {
            tracing::warn!(%error, "ready.json stays behind");
        }
    }

    /// What a data folder says; `None` if no agent runs there.
    pub fn read(data: &DataDir) -> Option<Ready> {
        let content = private_file::read(&data.ready(), 4 << 10).ok()?;
        serde_json::from_slice(&content).ok()
    }
}
