//! Locks: what each environment runs, moved within the bounds that agents check.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wherry_domain::{
    digest::Digest,
    id::GroupId,
    lock::{FORMAT, Lock, Mode},
    name::Name,
    project::ConnectorPin,
};
use wherry_trust::chain::{Believed, Keys, Level, read_lock, sign_lock};

use super::{LOCK, LOCK_BEFORE, MAX_CATALOGUE, fits, refused};
use crate::engine::{Refusal, Turn};

/// Releases that are listed for locks which are being decided; the oldest go first.
const MAX_DRAFTED: usize = 64;

impl Turn<'_> {
    /// The lock of an environment.
    pub(in crate::engine) fn lock_of(&self, environment: &Name) -> Option<Arc<Lock>> {
        self.state.catalogue.believed.lock(environment).map(|held| Arc::clone(&held.document))
    }

    /// Who signed the lock of an environment.
    pub(in crate::engine) fn lock_level(&self, environment: &Name) -> Option<Level> {
        self.state.catalogue.believed.lock(environment).map(|held| held.level)
    }

    /// The lock as it has to be signed to follow the one in force: with its version, and with the version of an index
    /// that lists everything in it.
    ///
    /// # Errors
    /// If the environment is unknown, or the index cannot be signed.
    pub(in crate::engine) fn draft_lock(&mut self, environment: &Name, lock: Lock) -> Result<Lock, Refusal> {
        self.environment(environment)?;
        self.refresh_documents(false)?;
        self.list(&lock)?;
        self.plan_lock(environment, lock)
    }

    /// What [`Turn::draft_lock`] will give, without signing anything: if its index is not signed yet, with the version
    /// that this one will have.
    pub(in crate::engine) fn plan_lock(&self, environment: &Name, lock: Lock) -> Result<Lock, Refusal> {
        self.environment(environment)?;
        let known = self.state.catalogue.believed.index().map_or(0, |held| held.document.version);
        let index = if self.unlisted(&lock).is_empty() { known } else { self.next_index_version() };
        let before = self.lock_of(environment).map_or(0, |before| before.version);
        let version = before.max(self.version_floor()).saturating_add(1);
        Ok(Lock { v: FORMAT, environment: environment.clone(), version, index, ..lock })
    }

    fn unlisted(&self, lock: &Lock) -> Vec<(Name, semver::Version)> {
        let Some(index) = self.state.catalogue.believed.index() else { return Vec::new() };
        let entries = lock.connectors.iter().chain(&lock.trials);
        let missing = entries.filter(|(name, locked)| !index.document.lists(name, locked));
        missing.map(|(name, locked)| (name.clone(), locked.version.clone())).collect()
    }

    /// Makes sure that the index lists what a lock is about to name.
    ///
    /// # Errors
    /// If the index cannot be signed.
    pub(in crate::engine) fn list(&mut self, lock: &Lock) -> Result<(), Refusal> {
        let missing = self.unlisted(lock);
        if missing.is_empty() {
            return Ok(());
        }
        let drafted = &mut self.state.catalogue.drafted;
        drafted.retain(|one| !missing.contains(one));
        // What this lock needs stays, however much it is.
        let room = MAX_DRAFTED.saturating_sub(missing.len());
        drafted.drain(..drafted.len().saturating_sub(room));
        drafted.extend(missing.iter().cloned());
        let refreshed = self.refresh_documents(true);
        if refreshed.is_err() {
            // It must not stand in the way of what comes after it.
            self.state.catalogue.drafted.retain(|one| !missing.contains(one));
        }
        refreshed
    }

    /// Moves a lock, signed with the catalogue key.
    ///
    /// # Errors
    /// Whatever an agent would refuse it for, with the agent's code.
    pub(in crate::engine) fn commit_lock(&mut self, environment: &Name, lock: Lock) -> Result<Arc<Lock>, Refusal> {
        let lock = self.draft_lock(environment, lock)?;
        let json = sign_lock(&lock, self.state.catalogue.key.signing()).map_err(|error| refused(&error))?.to_json();
        let group = self.environment(environment)?.group;
        let believed = self.believable(None, None, (std::slice::from_ref(&json), Some(group)))?;
        self.lock_is(environment, believed, &json)
    }

    /// Moves a lock that an operator signed: one that [`Turn::draft_lock`] gave.
    ///
    /// # Errors
    /// As [`Turn::commit_lock`]; or if nobody signed it whom the agents of the environment's group know as operator.
    pub(in crate::engine) fn accept_lock(&mut self, environment: &Name, json: &[u8]) -> Result<Arc<Lock>, Refusal> {
        let group = self.environment(environment)?.group;
        let before = self.lock_of(environment).map_or(0, |before| before.version);
        let believed = self.believable(None, None, (&[json.to_vec()], Some(group)))?;
        let now = believed.lock(environment).map_or(0, |held| held.document.version);
        if now == before {
            let message = format!("this is not a newer lock of {environment}: ask for the change again and sign that");
            return Err(Refusal::conflict("lock.overtaken", message));
        }
        self.lock_is(environment, believed, json)
    }

    fn lock_is(&mut self, environment: &Name, believed: Believed, json: &[u8]) -> Result<Arc<Lock>, Refusal> {
        let missing =
            || Refusal::conflict("catalogue.malformed", "the lock is for another environment: sign this one's");
        let held = believed.lock(environment).ok_or_else(missing)?;
        let (lock, level) = (Arc::clone(&held.document), held.level);
        let moved = self.state.catalogue.believed.lock(environment).cloned();
        if moved.as_ref().is_some_and(|before| before.document == lock) {
            return Err(missing());
        }
        let group = self.environment(environment)?.group;
        let grows = moved.as_ref().is_none_or(|before| before.json().len() < json.len());
        let frame = self.frame_of(&believed, group);
        if grows && !frame.as_ref().is_none_or(fits) {
            let message = format!(
                "with this lock, the catalogue of the group has more than {MAX_CATALOGUE} bytes: use fewer connectors, \
                 or move environments to another group"
            );
            return Err(Refusal::conflict("catalogue.too_large", message));
        }
        self.keep_signed((LOCK, environment.as_str()), level, json)?;
        self.remember_lock(moved.as_ref().map(|before| before.document.as_ref()), &lock, level);
        if let Some(before) = moved {
            self.keep_signed((LOCK_BEFORE, environment.as_str()), before.level, &before.json())?;
            self.state.catalogue.before.insert(environment.clone(), before.document);
        }
        self.state.catalogue.believed = believed;
        self.state.catalogue.untold = true;
        self.make_room(frame.as_ref());
        Ok(lock)
    }

    /// There is an environment that may lack a lock, or somebody who can hold one.
    pub(in crate::engine) fn environments_changed(&mut self) {
        self.state.catalogue.stale.locks = true;
        self.state.catalogue.locks_failed.try_at_once();
    }

    /// Each turn comes by here. One environment whose lock cannot be made keeps no other from its own.
    pub(super) fn refresh_locks(&mut self) {
        let catalogue = &self.state.catalogue;
        if !catalogue.stale.locks || catalogue.locks_failed.waits(self.now) {
            return;
        }
        let mut failed = self.first_locks();
        failed.extend(self.raise_locks());
        failed.extend(self.hold_due("controller"));
        self.state.catalogue.stale.locks = !failed.is_empty();
        let now = self.now;
        let count = failed.len();
        let first = failed.into_iter().next().map(|(environment, refusal)| {
            let message = format!("{count} environments, the first is {environment}: {}", refusal.message);
            Refusal { message, ..refusal }
        });
        self.state.catalogue.locks_failed.note(first, now, "locks cannot be signed");
    }

    /// Environments without a lock get one.
    fn first_locks(&mut self) -> Vec<(Name, Refusal)> {
        let known = &self.state.catalogue.believed;
        let without = self.state.environments.keys().filter(|name| known.lock(name).is_none());
        let without: Vec<Name> = without.cloned().collect();
        let failed = without.into_iter().filter_map(|name| self.first_lock(&name).err().map(|refusal| (name, refusal)));
        failed.collect()
    }

    /// The first lock of an environment, from what its deployments pin.
    fn first_lock(&mut self, environment: &Name) -> Result<Arc<Lock>, Refusal> {
        let id = self.environment(environment)?.id;
        let mut pins: BTreeMap<Name, semver::Version> = BTreeMap::new();
        let here = self.state.current.iter().filter(|((of, _), _)| *of == id);
        for (name, pin) in here.flat_map(|(_, current)| &current.snapshot.connectors) {
            let newest = pins.entry(name.clone()).or_insert_with(|| pin.version.clone());
            *newest = newest.clone().max(pin.version.clone());
        }
        let mut lock = Lock::empty(environment.clone(), Mode::Automatic);
        for (name, version) in pins {
            lock.connectors.insert(name.clone(), self.locked_entry(&name, &version, None)?);
        }
        self.commit_lock(environment, lock)
    }

    /// After a restore from a copy, agents may know newer locks than this controller: its own get higher versions. Those
    /// of a catalogue key that was replaced are signed anew, or agents that come later would believe none of them.
    fn raise_locks(&mut self) -> Vec<(Name, Refusal)> {
        let floor = self.version_floor();
        let ours = Keys { catalogue: vec![self.state.catalogue.key.public()], operators: Vec::new() };
        let mut low = Vec::new();
        for held in self.state.catalogue.believed.locks().filter(|held| held.level == Level::Controller) {
            let due = held.document.version <= floor || read_lock(&held.json(), &ours).is_err();
            if due && self.state.environments.contains_key(&held.document.environment) {
                low.push(held.document.as_ref().clone());
            }
        }
        let raised = low.into_iter().map(|lock| (lock.environment.clone(), lock));
        raised.filter_map(|(name, lock)| self.commit_lock(&name, lock).err().map(|refusal| (name, refusal))).collect()
    }

    /// Adds to the lock what a deployment uses for the first time in its environment.
    ///
    /// # Errors
    /// `lock.connector_missing` in an environment that only operators change; or why there is no lock at all, without
    /// which no agent would run the deployment.
    pub(in crate::engine) fn lock_newly_used(
        &mut self,
        environment: &Name,
        used: &BTreeMap<Name, ConnectorPin>,
    ) -> Result<(), Refusal> {
        self.refresh_catalogue();
        let lock = match self.lock_of(environment) {
            Some(lock) => lock,
            None => self.first_lock(environment).map_err(|refusal| {
                let message = format!("no lock can be made for environment {environment}: {}", refusal.message);
                Refusal { message, ..refusal }
            })?,
        };
        let mut next = lock.as_ref().clone();
        for (name, pin) in used.iter().filter(|(name, _)| !lock.connectors.contains_key(*name)) {
            next.connectors.insert(name.clone(), self.locked_entry(name, &pin.version, None)?);
        }
        if next == *lock { Ok(()) } else { self.commit_lock(environment, next).map(drop) }
    }

    /// Whether a deployment may use these connectors: in a held environment only those in its lock.
    pub(in crate::engine) fn lock_allows(
        &self,
        environment: &Name,
        used: &BTreeMap<Name, ConnectorPin>,
    ) -> Result<(), Refusal> {
        let Some(lock) = self.lock_of(environment).filter(|lock| lock.mode == Mode::Held) else { return Ok(()) };
        match used.keys().find(|name| !lock.connectors.contains_key(*name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!(
                    "environment {environment} is held and its lock has no connector {name}: run \
                     `wherry connector upgrade {name} --environment {environment}` with an operator's key first"
                );
                Err(Refusal::conflict("lock.connector_missing", message))
            }
        }
    }

    /// Which connector the agents of a group mean by the digest of a component or of a release: what their locks name,
    /// now and before.
    pub(in crate::engine) fn locked_for(&self, group: GroupId, digest: Digest) -> Option<(Name, semver::Version)> {
        let served = self.state.environments.values().filter(|environment| environment.group == group);
        let catalogue = &self.state.catalogue;
        let locks = served.flat_map(|environment| {
            let in_force = catalogue.believed.lock(&environment.name).map(|held| held.document.as_ref());
            in_force.into_iter().chain(catalogue.before.get(&environment.name).map(AsRef::as_ref))
        });
        let mut entries = locks.flat_map(|lock| lock.connectors.iter().chain(&lock.trials));
        let found = entries.find(|(_, locked)| locked.release == digest || locked.wasm == digest);
        found.map(|(name, locked)| (name.clone(), locked.version.clone()))
    }

    /// Environments whose locks name a release.
    pub(super) fn environments_with(&self, name: &Name, version: &semver::Version) -> BTreeSet<Name> {
        let locks = self.state.catalogue.believed.locks().map(|held| &held.document);
        let known = locks.filter(|lock| self.state.environments.contains_key(&lock.environment));
        let with = known.filter(|lock| {
            [lock.connectors.get(name), lock.trials.get(name)].into_iter().flatten().any(|one| one.version == *version)
        });
        with.map(|lock| lock.environment.clone()).collect()
    }
}
