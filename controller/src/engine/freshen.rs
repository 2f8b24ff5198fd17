//! Testing a connection brings its connector up to date first: the newest version that may follow without a person's
//! word goes to every agent of the environment's group.

use std::time::Duration;

use wherry_domain::{digest::Digest, lock::Mode, name::Name};
use wherry_trust::chain::{Level, grown, step};

use super::{
    Ledger, Readiness, Refusal, Turn, classes::loosens, fitness::takes_away, rollouts::Canary, upgrades::release_of,
};
use crate::model::Connector;

/// How long agents get to make a new version ready before the test goes on.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What a test did to the connector of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshened {
    /// The connector.
    pub name: Name,
    /// What ran before.
    pub from: semver::Version,
    /// What runs now; the same, if nothing was to be done.
    pub to: semver::Version,
    /// Agents that have it ready.
    pub agents_updated: usize,
    /// Agents that are connected.
    pub agents_total: usize,
    /// Enrolled agents that are not.
    pub agents_away: usize,
}

impl Ledger {
    /// Brings the connector of a connection up to date, and waits for the agents, for a while.
    ///
    /// # Errors
    /// If the connection is not known.
    pub async fn freshen(
        &self,
        who: String,
        environment: Name,
        project: Option<Name>,
        connection: Name,
    ) -> Result<Option<Freshened>, Refusal> {
        let asked = environment.clone();
        let moved = self.act(move |turn| turn.freshen(&who, &asked, project.as_ref(), &connection)).await?;
        let Some((mut fresh, wasm)) = moved else { return Ok(None) };
        let moved = fresh.from != fresh.to;
        let readiness = match moved {
            true => self.made_ready(&environment, &fresh.name, wasm).await?,
            false => self.readiness(environment, fresh.name.clone(), wasm).await?,
        };
        (fresh.agents_updated, fresh.agents_total) = (readiness.ready, readiness.agents);
        fresh.agents_away = readiness.away;
        Ok(Some(fresh))
    }

    /// Waits for a while until the agents of an environment can run a component that they are to run from now on. Those
    /// that are slower follow by themselves, and the answer does not count them.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn made_ready(&self, environment: &Name, name: &Name, wasm: Digest) -> Result<Readiness, Refusal> {
        let mut readiness = Readiness::default();
        let waiting = async {
            loop {
                readiness = self.readiness(environment.clone(), name.clone(), wasm).await?;
                if readiness.ready + readiness.refused.len() >= readiness.agents {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, waiting).await.unwrap_or(Ok(()))?;
        Ok(readiness)
    }
}

impl Turn<'_> {
    fn freshen(
        &mut self,
        who: &str,
        environment: &Name,
        project: Option<&Name>,
        connection: &Name,
    ) -> Result<Option<(Freshened, Digest)>, Refusal> {
        let current = self.find_connection(environment, project, connection)?;
        let Some(name) = current.snapshot.project.connections.get(connection).map(|known| known.connector.clone())
        else {
            return Ok(None);
        };
        let before = self.lock_here(environment)?;
        let Some(locked) = before.connectors.get(&name).cloned() else { return Ok(None) };
        let suspended = self.policies(environment).disable_auto_connector_update || before.mode == Mode::Held;
        let mut fresh = Freshened {
            name: name.clone(),
            from: locked.version.clone(),
            to: locked.version.clone(),
            agents_updated: 0,
            agents_total: 0,
            agents_away: 0,
        };
        let newer = if suspended || locked.pinned || before.trials.contains_key(&name) {
            None
        } else {
            self.newest_quiet(environment, &name, &locked.version, &locked.approved)
        };
        let Some(to) = newer else { return Ok(Some((fresh, locked.wasm))) };
        let entry = self.locked_entry(&name, &to, None)?;
        let wasm = entry.wasm;
        let mut lock = before.as_ref().clone();
        lock.connectors.insert(name, entry);
        if step(&before, &lock, Level::Controller).is_err() {
            return Ok(Some((fresh, locked.wasm)));
        }
        self.commit_lock(environment, lock)?;
        self.explain_lock(who, &format!("test of connection {connection}"));
        fresh.to = to;
        Ok(Some((fresh, wasm)))
    }

    /// The newest version that may follow without a person's word: the same major version, trusted, not revoked,
    /// without new capabilities or activities that become more dangerous, with everything that there is now, which all
    /// agents can run, and not the one that the last canary here took back.
    fn newest_quiet(
        &self,
        environment: &Name,
        name: &Name,
        now: &semver::Version,
        agreed: &std::collections::BTreeSet<String>,
    ) -> Option<semver::Version> {
        let allowed = self.policies(environment).allowed_publishers;
        let canary = self.state.rollouts.get(&(environment.clone(), name.clone()));
        let taken_back = canary.and_then(Canary::taken_back);
        let versions = self.state.connectors.get(name)?;
        let here = versions.get(now).and_then(|here| Some((here, release_of(here)?)));
        let here = here.as_ref().map(|(here, release)| (*here, release));
        let fits = |one: &&Connector| {
            let Some(release) = Some(one).filter(|one| one.version > *now).and_then(|one| release_of(one)) else {
                return false;
            };
            one.version.major == now.major
                && one.version.pre.is_empty()
                && one.revoked_ms.is_none()
                && taken_back != Some(&one.version)
                && here.is_some_and(|(here, now)| !loosens(here, one) && !takes_away((here, now), (one, &release)))
                && self.too_old(environment, &release).is_ok_and(|agents| agents.is_empty())
                && allowed.has(&one.publisher)
                && self.state.publishers.contains_key(&one.publisher)
                && grown(&release.asks(), agreed).is_empty()
        };
        versions.values().rev().find(fits).map(|one| one.version.clone())
    }
}
