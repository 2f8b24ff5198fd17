//! Behind which walls the code of a connector runs: in a worker process, or in the agent's own.

use std::{path::Path, time::Duration};

use tokio::{runtime::Handle, sync::watch};
use wherry_host::{Host, HostError, HostSettings};
use wherry_trust::keys::PublicKey;
use wherry_worker::{Apart, Code, Pool, PoolSettings, Wall};

/// Which connectors run in worker processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerMode {
    /// All.
    #[default]
    All,
    /// All but those that one of the owner's own publishers signed.
    ThirdParty,
    /// None.
    Off,
}

/// What the agent owner says of workers.
#[derive(Clone, Debug)]
pub struct WorkerRules {
    /// Which connectors get one.
    pub mode: WorkerMode,
    /// Publishers that are not third parties.
    pub own: Vec<PublicKey>,
    /// How long a worker without work is kept.
    pub idle: Duration,
    /// How many of them are kept.
    pub kept: usize,
}

/// Connectors run in this process.
const NO_WORKERS: &str = "connectors run inside the agent itself: worker.mode is off";

/// Which walls are missing here, in words; nothing while that is not known yet.
pub(crate) type Missing = Option<Vec<String>>;

/// Loads code where it belongs.
pub(crate) struct Walls {
    host: Host,
    rules: WorkerRules,
    pool: Option<Pool>,
    missing: watch::Receiver<Missing>,
}

impl Walls {
    /// With workers of `program`, whose messages move on `runtime`.
    ///
    /// # Errors
    /// If the engine or a thread cannot be had.
    pub(crate) fn new(
        rules: WorkerRules,
        settings: HostSettings,
        program: &Path,
        runtime: &Handle,
    ) -> Result<Self, HostError> {
        let host = Host::new(settings.clone())?;
        let pool = match rules.mode {
            WorkerMode::Off => None,
            WorkerMode::All | WorkerMode::ThirdParty => Some(PoolSettings {
                program: program.to_owned(),
                arguments: vec!["worker".to_owned()],
                host: settings,
                idle: rules.idle,
                kept: rules.kept,
            }),
        };
        let pool = pool.map(|settings| Pool::new(settings, runtime.clone())).transpose();
        let pool = pool.map_err(|error| HostError::Engine(format!("no thread for workers: {error}")))?;
        let (told, missing) = watch::channel(None);
        if let Some(pool) = pool.clone() {
            runtime.spawn(async move { told.send_replace(Some(tell(pool).await)) });
        } else {
            tracing::warn!("{NO_WORKERS}");
            told.send_replace(Some(vec![NO_WORKERS.to_owned()]));
        }
        Ok(Self { host, rules, pool, missing })
    }

    /// Which walls are missing on this system.
    pub(crate) fn missing(&self) -> watch::Receiver<Missing> {
        self.missing.clone()
    }

    /// Which compiled code is accepted.
    pub(crate) fn compatibility(&self) -> String {
        self.host.compatibility()
    }

    /// Loads compiled code that was verified just now, of a connector that `publisher` signed.
    ///
    /// # Errors
    /// If it is not for this engine.
    pub(crate) fn load(&self, compiled: &Path, publisher: &PublicKey) -> Result<Code, HostError> {
        // Mapped here too: code that is stale is noticed before a worker is started for it. Nothing of it runs here.
        let connector = self.host.load(compiled)?;
        match &self.pool {
            Some(pool) if self.is_apart(publisher) => Apart::open(pool, compiled).map(Code::Apart),
            Some(_) | None => Ok(Code::Here(connector)),
        }
    }

    fn is_apart(&self, publisher: &PublicKey) -> bool {
        match self.rules.mode {
            WorkerMode::All => true,
            WorkerMode::ThirdParty => !self.rules.own.contains(publisher),
            WorkerMode::Off => false,
        }
    }
}

/// Says once which walls this system has; gives those that are missing.
async fn tell(pool: Pool) -> Vec<String> {
    let walls = match pool.walls().await {
        Ok(walls) => walls,
        Err(fault) => {
            tracing::error!(code = fault.code(), %fault, "connectors cannot run: no worker process starts");
            return vec![format!("no worker process starts: {fault}")];
        }
    };
    let parts = [
        ("namespaces", &walls.namespaces),
        ("landlock", &walls.landlock),
        ("seccomp", &walls.seccomp),
        ("limits", &walls.limits),
    ];
    let gaps: Vec<String> = parts.into_iter().filter_map(|(name, wall)| gap(name, wall)).collect();
    if gaps.is_empty() {
        tracing::info!("connectors run in worker processes with namespaces, landlock, seccomp and limits");
    } else {
        let gaps = gaps.join(", ");
        tracing::warn!(gaps, "connectors run in worker processes, but this system does not give every wall");
    }
    gaps
}

fn gap(name: &str, wall: &Wall) -> Option<String> {
    match wall {
        Wall::Stands => None,
        Wall::Missing => Some(format!("no {name}")),
        Wall::Partial(what) => Some(format!("{name}: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use wherry_trust::keys::SigningKey;

    use super::*;

    fn rules(mode: WorkerMode, own: Vec<PublicKey>) -> Walls {
        let rules = WorkerRules { mode, own, idle: Duration::from_secs(1), kept: 1 };
        let missing = watch::channel(None).1;
        Walls { host: Host::new(HostSettings::default()).unwrap(), rules, pool: None, missing }
    }

    #[test]
    fn only_the_owners_own_publishers_are_no_third_parties() {
        let [own, other] = [(); 2].map(|()| SigningKey::generate().unwrap().public());
        assert!(rules(WorkerMode::All, vec![own]).is_apart(&own));
        let walls = rules(WorkerMode::ThirdParty, vec![own]);
        assert!(!walls.is_apart(&own) && walls.is_apart(&other));
        assert!(rules(WorkerMode::ThirdParty, vec![]).is_apart(&own), "without a list everybody is one");
        assert!(!rules(WorkerMode::Off, vec![]).is_apart(&other));
    }

    #[test]
    fn every_missing_wall_is_named() {
        assert_eq!(gap("seccomp", &Wall::Stands), None);
        assert_eq!(gap("landlock", &Wall::Missing).as_deref(), Some("no landlock"));
        assert_eq!(gap("limits", &Wall::Partial("x".into())).as_deref(), Some("limits: x"));
    }
}
