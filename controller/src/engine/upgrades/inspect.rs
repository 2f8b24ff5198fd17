//! How an environment stands: what its lock names, what is newer, and what canaries are up to.

use std::sync::Arc;

use wherry_domain::{digest::Digest, lock::Lock, name::Name};
use wherry_trust::chain::Level;

use crate::{
    engine::{Ledger, Readiness, Refusal},
    model::RolloutRecord,
};

/// The lock of an environment with what people want to know beside it.
#[derive(Clone, Debug)]
pub struct Stand {
    /// The lock.
    pub lock: Arc<Lock>,
    /// Who signed it.
    pub level: Level,
    /// Its connectors.
    pub connectors: Vec<LockedView>,
}

/// One connector of it.
#[derive(Clone, Debug)]
pub struct LockedView {
    /// Its name.
    pub connector: Name,
    /// What everyone has.
    pub version: semver::Version,
    /// Its component.
    pub digest: Digest,
    /// Whether it stays.
    pub pinned: bool,
    /// The newest version that may run here.
    pub newest: Option<semver::Version>,
    /// The canary under way, or the last one.
    pub rollout: Option<RolloutRecord>,
    /// Live agents that know locks.
    pub agents: usize,
    /// Enrolled agents without a session.
    pub away: usize,
    /// Those of them that have this version ready.
    pub ready: usize,
}

impl Ledger {
    /// How an environment stands.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn stand(&self, environment: Name) -> Result<Stand, Refusal> {
        self.act(move |turn| {
            turn.environment(&environment)?;
            turn.refresh_catalogue();
            // Where none could be signed yet, agents are told of none: nobody has to wait to be told that.
            let lock = match turn.lock_of(&environment) {
                Some(lock) => lock,
                None => Arc::new(Lock::empty(environment.clone(), turn.wanted_mode(&environment)?)),
            };
            let level = turn.lock_level(&environment).unwrap_or(Level::Controller);
            let view = |(name, locked): (&Name, &wherry_domain::lock::Locked)| {
                let place = (environment.clone(), name.clone());
                let rollout = turn.state.rollouts.get(&place).map(|canary| canary.shown(turn.now));
                let newest = turn.newest(&environment, name, None).ok().map(|connector| connector.version);
                let Readiness { agents, away, ready, .. } =
                    turn.readiness(&environment, name, locked.wasm).unwrap_or_default();
                LockedView {
                    connector: name.clone(),
                    version: locked.version.clone(),
                    digest: locked.wasm,
                    pinned: locked.pinned,
                    newest,
                    rollout,
                    agents,
                    away,
                    ready,
                }
            };
            let connectors = lock.connectors.iter().map(view).collect();
            Ok(Stand { lock, level, connectors })
        })
        .await
    }
}
