//! Moving a connector in an environment: what would change, and the change itself.

use std::sync::Arc;

use wherry_domain::{
    digest::Digest,
    lock::{Lock, Locked},
    name::Name,
    rollout::{Terms, Verdict},
};
use wherry_trust::{
    chain::{Level, peek_lock, reread, step},
    release::Release,
};

use self::words::{under_way, why};
use super::{Kind, Ledger, Refusal, Turn, history::unused};
use crate::model::Connector;

mod changes;
mod holding;
mod inspect;
mod words;

pub use changes::Changes;
pub use inspect::{LockedView, Stand};

/// What an operator wants of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Another version, the newest if none is named; for a share of the attempts first, if a canary is asked for.
    Upgrade {
        /// Which.
        version: Option<semver::Version>,
        /// How.
        canary: Option<Terms>,
    },
    /// An earlier version, the one before if none is named. It is pinned, so that no test of a connection undoes it.
    Rollback {
        /// Which.
        version: Option<semver::Version>,
    },
    /// Stay with the version there is.
    Pin,
    /// Follow the publisher again.
    Unpin,
}

/// A wish with where, and what came with it.
#[derive(Clone, Debug)]
pub struct Move {
    /// The environment.
    pub environment: Name,
    /// The connector.
    pub connector: Name,
    /// What is wanted.
    pub wish: Wish,
    /// Capabilities that grow are agreed to.
    pub approved: bool,
    /// The lock as an operator signed it, a DSSE envelope in JSON.
    pub envelope: Option<Vec<u8>>,
    /// For people who look back.
    pub why: String,
}

/// What a move would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The version that everyone has; none if the connector is new here.
    pub from: Option<semver::Version>,
    /// The version that everyone, or a share of the attempts, gets.
    pub to: semver::Version,
    /// Whether anything changes.
    pub changed: bool,
    /// The lock as it has to be signed.
    pub lock: Lock,
    /// Why only an operator may sign it; none if the controller may.
    pub signature: Option<Refusal>,
    /// What the new version is and the old one is not.
    pub changes: Changes,
}

/// What was moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// As planned.
    pub plan: Plan,
    /// The lock in force.
    pub lock: Arc<Lock>,
}

impl Moved {
    /// The component that agents have to make ready.
    pub fn component(&self, connector: &Name) -> Option<Digest> {
        let named = [&self.lock.connectors, &self.lock.trials].map(|entries| entries.get(connector));
        named.into_iter().flatten().find(|locked| locked.version == self.plan.to).map(|locked| locked.wasm)
    }
}

/// A plan before schemas are compared.
struct Draft {
    lock: Lock,
    from: Option<semver::Version>,
    to: semver::Version,
    /// A canary that a person ends.
    settles: Option<Verdict>,
}

impl Ledger {
    /// What a move would do.
    ///
    /// # Errors
    /// If there is no such environment, connector or version, or the move makes no sense.
    pub async fn plan_move(&self, asked: Move) -> Result<Plan, Refusal> {
        let connector = asked.connector.clone();
        let mut plan = self.act(move |turn| turn.plan_move(&asked)).await?;
        let old = match plan.from.clone() {
            Some(from) => self.descriptor(connector.clone(), from).await?,
            None => None,
        };
        let new = self.descriptor(connector, plan.to.clone()).await?;
        plan.changes.compare_schemas(old.as_deref(), new.as_deref());
        Ok(plan)
    }

    /// Moves a connector.
    ///
    /// # Errors
    /// As [`Ledger::plan_move`]; or if capabilities grow and nobody agreed, or an operator has to sign and none did.
    pub async fn move_connector(&self, who: String, asked: Move) -> Result<Moved, Refusal> {
        self.begin(move |turn| turn.move_connector(&who, &asked)).await
    }
}

impl Turn<'_> {
    /// Signs nothing: whoever may read may ask.
    fn plan_move(&self, asked: &Move) -> Result<Plan, Refusal> {
        let before = self.lock_known(&asked.environment)?;
        let Draft { lock, from, to, .. } = self.draft(&before, asked)?;
        let signature = step(&before, &lock, Level::Controller).err();
        let signature =
            signature.map(|error| Refusal { code: error.code(), ..Refusal::conflict("lock.held", error.to_string()) });
        let changed = lock != *before;
        let lock = self.plan_lock(&asked.environment, lock)?;
        let changes = self.changes(&asked.environment, &asked.connector, from.as_ref(), &to)?;
        Ok(Plan { from, to, changed, lock, signature, changes })
    }

    fn move_connector(&mut self, who: &str, asked: &Move) -> Result<Moved, Refusal> {
        let before = self.lock_here(&asked.environment)?;
        let settles = self.draft(&before, asked)?.settles;
        let plan = self.plan_move(asked)?;
        if !plan.changed {
            return Ok(Moved { plan, lock: before });
        }
        let grown = &plan.changes.capabilities;
        if !asked.approved && !grown.is_empty() {
            let message = format!(
                "{} {} asks for more than was approved: {}; look at it, then run the command with --approve-capabilities",
                asked.connector,
                plan.to,
                grown.join(", ")
            );
            return Err(Refusal::conflict("lock.capabilities_grown", message));
        }
        let lock = match (&asked.envelope, &plan.signature) {
            (Some(envelope), _) => {
                signed_is(envelope, &plan.lock)?;
                self.list(&plan.lock)?;
                self.accept_lock(&asked.environment, envelope)?
            }
            (None, None) => self.commit_lock(&asked.environment, plan.lock.clone())?,
            (None, Some(refusal)) => {
                let message = format!("{}; it takes an operator's signature", refusal.message);
                return Err(Refusal { message, ..refusal.clone() });
            }
        };
        self.explain_lock(who, &why(asked, &plan));
        if let Some(verdict) = settles {
            self.settled_by_hand(&asked.environment, &asked.connector, verdict);
        }
        if let Wish::Upgrade { canary: Some(terms), .. } = &asked.wish {
            self.begin_rollout(who, &lock, &asked.connector, *terms)?;
        }
        Ok(Moved { plan, lock })
    }

    /// The lock of an environment, which has one from its first deployment on.
    pub(super) fn lock_here(&mut self, environment: &Name) -> Result<Arc<Lock>, Refusal> {
        self.environment(environment)?;
        self.refresh_catalogue();
        self.lock_known(environment)
    }

    fn lock_known(&self, environment: &Name) -> Result<Arc<Lock>, Refusal> {
        self.environment(environment)?;
        let missing =
            || Refusal::new(Kind::Busy, "catalogue.malformed", "there is no lock yet: look into the controller's log");
        self.lock_of(environment).ok_or_else(missing)
    }

    fn draft(&self, before: &Lock, asked: &Move) -> Result<Draft, Refusal> {
        let (environment, name) = (&asked.environment, &asked.connector);
        let mut lock = Lock { mode: self.wanted_mode(environment)?, ..before.clone() };
        let old = before.connectors.get(name);
        let trial = before.trials.get(name);
        let here = || unused(environment, name);
        let from = old.map(|locked| locked.version.clone());
        let mut settles = None;
        let to = match &asked.wish {
            Wish::Upgrade { version, canary } => {
                let to = self.newest(environment, name, version.as_ref())?;
                let promotes = trial.filter(|trial| canary.is_none() && trial.version == to.version);
                match (trial, promotes) {
                    (_, Some(trial)) => {
                        settles = Some(Verdict::Everyone);
                        lock.trials.remove(name);
                        lock.connectors.insert(name.clone(), trial.clone());
                    }
                    (Some(trial), None) => return Err(under_way(environment, name, &trial.version)),
                    (None, None) => self.raise(&mut lock, old, (name, &to.version), *canary)?,
                }
                to.version
            }
            Wish::Rollback { version } => {
                let old = old.ok_or_else(here)?;
                lock.trials.remove(name);
                settles = trial.map(|_| Verdict::Back);
                match (version, trial) {
                    // What a canary tries is taken back, and nothing else.
                    (None, Some(_)) => old.version.clone(),
                    (version, _) => {
                        let to = match version {
                            Some(version) => version.clone(),
                            None => self.version_before(environment, name, &old.version)?,
                        };
                        let entry = self.locked_entry(name, &to, None)?;
                        lock.connectors.insert(name.clone(), Locked { pinned: true, ..entry });
                        to
                    }
                }
            }
            Wish::Pin | Wish::Unpin => {
                if let Some(trial) = trial {
                    return Err(under_way(environment, name, &trial.version));
                }
                let locked = lock.connectors.get_mut(name).ok_or_else(here)?;
                locked.pinned = asked.wish == Wish::Pin;
                locked.version.clone()
            }
        };
        Ok(Draft { lock, from, to, settles })
    }

    fn raise(
        &self,
        lock: &mut Lock,
        old: Option<&Locked>,
        (name, to): (&Name, &semver::Version),
        canary: Option<Terms>,
    ) -> Result<(), Refusal> {
        if old.is_some_and(|old| old.version == *to) {
            return Ok(());
        }
        if old.is_some_and(|old| old.pinned) {
            return Err(Refusal::conflict(
                "lock.pinned",
                format!(
                    "connector {name} is pinned: run `wherry connector unpin {name} --environment {}` first",
                    lock.environment
                ),
            ));
        }
        if let Some(old) = old.filter(|old| old.version > *to) {
            let message = format!(
                "connector {name} runs as {}: run `wherry connector rollback {name} --environment {} --to {to}` to go back",
                old.version, lock.environment
            );
            return Err(Refusal::conflict("lock.lowered", message));
        }
        let entry = self.locked_entry(name, to, None)?;
        match (canary, old) {
            (Some(_), None) => {
                let message =
                    format!("connector {name} is new here, so there is nothing to compare it with: leave out --canary");
                Err(Refusal::conflict("rollout.nothing_to_compare", message))
            }
            (Some(_), Some(_)) => {
                lock.trials.insert(name.clone(), entry);
                Ok(())
            }
            (None, _) => {
                lock.connectors.insert(name.clone(), entry);
                Ok(())
            }
        }
    }

    /// The version asked for, or the newest one that may run here.
    fn newest(&self, environment: &Name, name: &Name, asked: Option<&semver::Version>) -> Result<Connector, Refusal> {
        let missing = |what: String| {
            Refusal::not_found("connector.not_found", format!("{what}: see wherry connector versions {name}"))
        };
        let versions =
            self.state.connectors.get(name).ok_or_else(|| missing(format!("there is no connector {name}")))?;
        let allowed = self.policies(environment).allowed_publishers;
        match asked {
            Some(version) => {
                let found =
                    versions.get(version).ok_or_else(|| missing(format!("there is no connector {name} {version}")))?;
                if allowed.has(&found.publisher) {
                    return Ok(found.clone());
                }
                let message = format!(
                    "{name} {version} is signed by {}, and {environment} allows {allowed} (policy allowed_publishers)",
                    found.publisher
                );
                Err(Refusal::conflict("policy.publisher_refused", message))
            }
            None => {
                let runs = |one: &&Connector| one.revoked_ms.is_none() && allowed.has(&one.publisher);
                let mut sound = versions.values().rev().filter(runs);
                let newest = sound.clone().find(|one| one.version.pre.is_empty()).or_else(|| sound.next());
                newest.cloned().ok_or_else(|| missing(format!("no version of {name} may run in {environment}")))
            }
        }
    }

    /// What ran before this version and is older: what a rollback left is not gone back to.
    fn version_before(
        &self,
        environment: &Name,
        name: &Name,
        now: &semver::Version,
    ) -> Result<semver::Version, Refusal> {
        let changes = self.lock_changes(environment)?;
        let moved = changes.iter().rev().flat_map(|change| &change.changes).filter(|moved| moved.connector == *name);
        let mut ran: Vec<&semver::Version> = Vec::new();
        for version in moved.flat_map(|moved| [&moved.from, &moved.to]).flatten().chain([now]) {
            ran.retain(|earlier| *earlier < version);
            ran.push(version);
        }
        let before = ran.iter().rev().nth(1).map(|version| (*version).clone());
        before.ok_or_else(|| {
            let message =
                format!("nothing older than {name} {now} ran in {environment} before: name a version with --to");
            Refusal::conflict("lock.nothing_before", message)
        })
    }

    fn settled_by_hand(&mut self, environment: &Name, connector: &Name, verdict: Verdict) {
        let (place, wall_ms, now) = ((environment.clone(), connector.clone()), self.wall_ms, self.now);
        if let Some(canary) = self.state.rollouts.get_mut(&place) {
            canary.by_hand(verdict, wall_ms, now);
        }
        self.keep_rollout(&place);
    }
}

/// Whether what was signed is what was asked for.
fn signed_is(envelope: &[u8], wanted: &Lock) -> Result<(), Refusal> {
    let signed = peek_lock(envelope).map_err(|error| Refusal::invalid("envelope.malformed", error.to_string()))?;
    if signed == *wanted {
        return Ok(());
    }
    let message = "the signed lock is not what this move makes of the lock in force: run the command again";
    Err(Refusal::conflict("lock.overtaken", message))
}

/// A published version as its publisher signed it.
pub(super) fn release_of(connector: &Connector) -> Option<Release> {
    reread(connector.envelope.as_bytes()).ok().map(|(_, release)| release)
}
