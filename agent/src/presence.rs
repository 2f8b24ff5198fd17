//! `ready.json`: says that the agent runs, and whether it is connected. For people, service managers and tests.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
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
    /// Walls around the code of connectors that this system does not give; absent while that is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_walls: Option<Vec<String>>,
}

struct Told {
    ready: Ready,
    /// Whether it was connected once: before that nothing is written.
    known: bool,
}

/// Keeps `ready.json` true.
#[derive(Clone)]
pub struct Presence {
    path: PathBuf,
    told: Arc<Mutex<Told>>,
}

impl Presence {
    /// For a process that just starts; nothing is written before it is connected once.
    pub fn new(data: &DataDir, agent_id: AgentId, name: Name) -> Self {
        let ready = Ready { agent_id, name, pid: std::process::id(), connected: false, missing_walls: None };
        Self { path: data.ready(), told: Arc::new(Mutex::new(Told { ready, known: false })) }
    }

    /// The session came up or went down.
    pub fn connected(&self, connected: bool) {
        self.tell(|told| (told.ready.connected, told.known) = (connected, true));
        if connected {
            notify::ready();
        }
        notify::status(if connected { "connected to the controller" } else { "not connected to the controller" });
    }

    /// Notes the walls that are missing, as soon as that is known.
    pub async fn note_walls(self, mut missing: watch::Receiver<Option<Vec<String>>>) -> Result<(), Infallible> {
        // Whoever would have told is gone: then nothing is known.
        if let Ok(walls) = missing.wait_for(Option::is_some).await.map(|walls| walls.clone()) {
            self.tell(|told| told.ready.missing_walls = walls);
        }
        Ok(())
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut told);
        if !told.known {
            return;
        }
        let written = serde_json::to_vec(&told.ready).map(|json| private_file::write(&self.path, &json));
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "ready.json does not tell the truth any more");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn missing_walls_stand_beside_the_rest_whichever_is_known_first() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let presence = Presence::new(&data, AgentId::from_u128(1), "eu-1".parse().unwrap());
        let (told, missing) = watch::channel(Some(vec!["no landlock".to_owned()]));
        presence.clone().note_walls(missing).await.unwrap();
        assert_eq!(Presence::read(&data), None, "it was never connected");
        presence.connected(true);
        presence.connected(false);
        let ready = Presence::read(&data).unwrap();
        assert_eq!((ready.connected, ready.missing_walls), (false, Some(vec!["no landlock".to_owned()])));
        told.send_replace(Some(Vec::new()));
        presence.clone().note_walls(told.subscribe()).await.unwrap();
        assert_eq!(Presence::read(&data).unwrap().missing_walls, Some(Vec::new()));
    }
}
