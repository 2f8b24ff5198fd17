//! The connector that an attempt runs on, and whom its failures are counted against.

use std::sync::Arc;

use semver::Version;
use wherry_domain::{
    failure::{Code, Failure},
    lock::Locked,
    name::Name,
    project::ConnectorPin,
};
use wherry_host::ConnectorFault;

use super::{
    Connectors, Inner, Loaded, Title,
    choose::{Choice, Place},
    quarantine::is_strike,
};

/// How often a lock may move on under an attempt that waits for its connector.
const MOVES: usize = 8;
/// Nothing says which version to run.
const UNPINNED: Code = Code::new("deployment.invalid");

/// The connector for an attempt.
pub struct Taken {
    /// What runs.
    pub loaded: Loaded,
    /// Its version.
    pub version: Version,
    /// Whether it is the version on trial.
    pub on_trial: bool,
    /// What the log of the run has to say of it.
    pub warning: Option<String>,
    /// To report its failures.
    pub blame: Blame,
}

/// Whom a failure is counted against.
#[derive(Clone)]
pub struct Blame {
    inner: Arc<Inner>,
    name: Name,
    /// Nothing is counted against what only a deployment names.
    locked: Option<Locked>,
}

impl Connectors {
    /// The connector that an attempt of the environment runs on, ready to run. `deployed` is what its deployment pins,
    /// which counts on an agent that knows no locks only. What fails while the lock moves on to something else is not
    /// wanted any more: then that is taken.
    ///
    /// # Errors
    /// If no version may run, or it cannot be fetched, is not what it should be, or nobody trusted signed it.
    pub async fn take(
        &self,
        environment: &Name,
        name: &Name,
        deployed: Option<&ConnectorPin>,
        on_trial: bool,
    ) -> Result<Taken, Failure> {
        let mut moves = MOVES;
        loop {
            let choice = self.0.stock.choose(environment, name, on_trial)?;
            let chosen = choice.as_ref().map(|choice| choice.locked.clone());
            match self.take_chosen(name, deployed, choice).await {
                Err(_) if moves > 0 && self.moved_on(environment, name, on_trial, chosen.as_ref()) => moves -= 1,
                taken => return taken,
            }
        }
    }

    /// Whether something else would be chosen now.
    fn moved_on(&self, environment: &Name, name: &Name, on_trial: bool, before: Option<&Locked>) -> bool {
        let now = self.0.stock.choose(environment, name, on_trial);
        now.is_ok_and(|now| now.as_ref().map(|choice| &choice.locked) != before)
    }

    async fn take_chosen(
        &self,
        name: &Name,
        deployed: Option<&ConnectorPin>,
        choice: Option<Choice>,
    ) -> Result<Taken, Failure> {
        let blame = |locked| Blame { inner: Arc::clone(&self.0), name: name.clone(), locked };
        let Some(Choice { locked, place, instead_of }) = choice else {
            let pin = deployed.ok_or_else(|| {
                Failure::permanent(UNPINNED, format!("the deployment pins no connector {name}, deploy it again"))
            })?;
            let loaded = self.0.load(name, Title::Deployed(pin.clone())).await?;
            let version = pin.version.clone();
            return Ok(Taken { loaded, version, on_trial: false, warning: None, blame: blame(None) });
        };
        let warning = instead_of.map(|wanted| self.0.instead(name, &wanted, &locked));
        let (version, on_trial) = (locked.version.clone(), place == Place::Trial);
        let title = match place {
            Place::Lock | Place::Trial => Title::Locked(locked.clone()),
            Place::Before => Title::Before(locked.clone()),
        };
        let loaded = self.0.load(name, title).await?;
        Ok(Taken { loaded, version, on_trial, warning, blame: blame(Some(locked)) })
    }
}

impl Blame {
    /// A connector failed. Three failures of the kind that only the component itself can be blamed for, within ten
    /// minutes, and it is not run here any more.
    pub(crate) fn judge(&self, fault: &ConnectorFault) {
        if let Some(locked) = self.locked.as_ref().filter(|_| is_strike(fault)) {
            self.inner.stock.struck(&self.name, locked, &fault.code());
        }
    }
}

impl Inner {
    /// What the log of a run says that runs on another version than its environment's.
    fn instead(&self, name: &Name, wanted: &Locked, locked: &Locked) -> String {
        let code = self.stock.held(wanted.wasm).map(|held| format!(" ({})", held.code)).unwrap_or_default();
        format!(
            "connector {name} {} is quarantined on this agent{code}: this run uses {}",
            wanted.version, locked.version
        )
    }
}
