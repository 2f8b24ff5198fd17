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

/// Which connector an attempt asks for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The environment it runs in.
    pub environment: &'a Name,
    /// The connector.
    pub name: &'a Name,
    /// What the deployment pins.
    pub deployed: Option<&'a ConnectorPin>,
    /// Whether it takes part in the trial.
    pub on_trial: bool,
    /// Whether it may begin on the version before, while the one it should run on is still being made ready.
    pub at_once: bool,
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
    /// The connector that an attempt runs on, ready to run. What its deployment pins counts on an agent that knows no
    /// locks only. What fails while the lock moves on to something else is not wanted any more: then that is taken.
    ///
    /// # Errors
    /// If no version may run, or it cannot be fetched, is not what it should be, or nobody trusted signed it.
    pub async fn take(&self, asked: Asked<'_>) -> Result<Taken, Failure> {
        let mut moves = MOVES;
        loop {
            let choice = self.0.stock.choose(asked.environment, asked.name, asked.on_trial)?;
            let chosen = choice.as_ref().map(|choice| choice.locked.clone());
            let choice = choice.map(|choice| self.0.at_once(asked, choice));
            match self.take_chosen(asked, choice).await {
                Err(_) if moves > 0 && self.moved_on(asked, chosen.as_ref()) => moves -= 1,
                taken => return taken,
            }
        }
    }

    /// Whether something else would be chosen now.
    fn moved_on(&self, asked: Asked<'_>, before: Option<&Locked>) -> bool {
        let now = self.0.stock.choose(asked.environment, asked.name, asked.on_trial);
        now.is_ok_and(|now| now.as_ref().map(|choice| &choice.locked) != before)
    }

    async fn take_chosen(&self, asked: Asked<'_>, choice: Option<Choice>) -> Result<Taken, Failure> {
        let Asked { name, deployed, .. } = asked;
        let blame = |locked| Blame { inner: Arc::clone(&self.0), name: name.clone(), locked };
        let Some(Choice { locked, place, instead_of, .. }) = choice else {
            let pin = deployed.ok_or_else(|| {
                Failure::permanent(UNPINNED, format!("the deployment pins no connector {name}, deploy it again"))
            })?;
            let loaded = self.0.load(name, Title::Deployed(pin.clone())).await?;
            let version = pin.version.clone();
            return Ok(Taken { loaded, version, on_trial: false, warning: None, blame: blame(None) });
        };
        let warning = instead_of.map(|wanted| self.0.instead(name, &wanted, &locked));
        let (version, on_trial) = (locked.version.clone(), place == Place::Trial);
        let loaded = self.0.load(name, title(locked.clone(), place)).await?;
        Ok(Taken { loaded, version, on_trial, warning, blame: blame(Some(locked)) })
    }
}

const fn title(locked: Locked, place: Place) -> Title {
    match place {
        Place::Lock | Place::Trial => Title::Locked(locked),
        Place::Before => Title::Before(locked),
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
    /// What was chosen, or what can run in its place at once while it is still being made ready: nobody waits for an
    /// upgrade.
    fn at_once(&self, asked: Asked<'_>, choice: Choice) -> Choice {
        let Some((locked, place)) = choice.meanwhile.clone().filter(|_| asked.at_once) else { return choice };
        // What was deployed with a newer version may use what only that one offers.
        let known = asked.deployed.is_none_or(|pin| pin.version <= locked.version);
        let here = || matches!(self.recall(asked.name, &title(locked.clone(), place)), Ok(Some(_)));
        if !known || !here() {
            return choice;
        }
        Choice { instead_of: Some(choice.locked), locked, place, meanwhile: None }
    }

    /// What the log of a run says that runs on another version than its environment's.
    fn instead(&self, name: &Name, wanted: &Locked, locked: &Locked) -> String {
        let why = match self.stock.held(wanted.wasm) {
            Some(held) => format!("is quarantined on this agent ({})", held.code),
            None => "is still being made ready on this agent".to_owned(),
        };
        format!("connector {name} {} {why}: this run uses {}", wanted.version, locked.version)
    }
}
