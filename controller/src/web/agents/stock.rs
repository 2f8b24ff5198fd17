//! What an agent has of the connectors it should have, as people see it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;
use wherry_domain::{
    digest::Digest,
    lock::{Lock, Locked},
    name::Name,
};
use wherry_proto::frame::{self, Holding, HoldingState};

use crate::{engine::StockView, web::pages::rfc3339};

/// The connectors of one environment on an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentStock)]
pub(super) struct Stock {
    environment: String,
    /// The version of the lock that the agent follows; 0 if it has none. Absent while it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_version: Option<u64>,
    /// The version it should follow.
    wanted_lock_version: u64,
    /// What it has; nothing is known while it is away.
    connectors: Vec<Held>,
    /// What that version of the lock names. Only where one agent is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wanted: Vec<Wanted>,
}

impl Stock {
    /// Leaves out what the lock names.
    pub(super) fn shorten(&mut self) {
        self.wanted.clear();
    }
}

/// A connector that an agent should have.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentWantedConnector)]
pub(super) struct Wanted {
    connector: String,
    version: String,
    /// Whether only a share of the attempts runs on it.
    on_trial: bool,
}

/// The component of a connector on the disk of an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentComponent)]
pub(super) struct Component {
    digest: String,
    /// Absent if nothing of it is published here.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// The components on an agent's disk, by name where there is one.
pub(super) fn components(on_disk: &[Digest], known: &BTreeMap<Digest, (Name, semver::Version)>) -> Vec<Component> {
    let mut named: Vec<(Option<&(Name, semver::Version)>, Digest)> =
        on_disk.iter().map(|digest| (known.get(digest), *digest)).collect();
    // Those without a name come last.
    named.sort_by(|one, other| (one.0.is_none(), one).cmp(&(other.0.is_none(), other)));
    let component = |(known, digest): (Option<&(Name, semver::Version)>, Digest)| Component {
        digest: digest.to_string(),
        connector: known.map(|(name, _)| name.to_string()),
        version: known.map(|(_, version)| version.to_string()),
    };
    named.into_iter().map(component).collect()
}

/// One connector on an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentConnector)]
pub(super) struct Held {
    connector: String,
    version: String,
    digest: String,
    /// `preparing`, `ready`, `refused` or `quarantined`.
    state: &'static str,
    /// Why it is refused or quarantined: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The version that runs in the place of a quarantined one.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<String>,
}

/// Why an agent did not take over the newest locks.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentStockTrouble)]
pub(super) struct Trouble {
    /// Stable code.
    code: String,
    message: String,
}

/// That an agent's owner has a policy of his own. What it says stays with the agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentOwnerPolicy)]
pub(super) struct OwnerPolicy {
    /// When the agent read it, by its own clock; absent if none is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_at: Option<String>,
    /// Why the file as it is now is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// Runs at once, as things stand now.
    slots: u32,
}

/// The owner's policy, if the agent says that there is one.
pub(super) fn owner_policy(view: &StockView) -> Option<OwnerPolicy> {
    let frame::OwnerPolicy { loaded_ms, fault, slots } = view.inventory.as_ref()?.policy.clone()?;
    Some(OwnerPolicy { loaded_at: (loaded_ms > 0).then(|| rfc3339(loaded_ms)), fault, slots })
}

/// Every environment that the agent has a lock of, and those it should have one of.
pub(super) fn shown(view: StockView) -> (Vec<Stock>, Option<Trouble>) {
    let StockView { inventory, wanted } = view;
    let lacks = |environment: &Name, lock: &Arc<Lock>, lock_version| Stock {
        environment: environment.to_string(),
        lock_version,
        wanted_lock_version: lock.version,
        connectors: Vec::new(),
        wanted: named(lock),
    };
    let Some(inventory) = inventory else {
        return (wanted.iter().map(|(environment, lock)| lacks(environment, lock, None)).collect(), None);
    };
    let missing = |environment: &_| !inventory.environments.iter().any(|stock| stock.environment == *environment);
    let none = wanted.iter().filter(|(environment, _)| missing(environment));
    let none: Vec<Stock> = none.map(|(environment, lock)| lacks(environment, lock, Some(0))).collect();
    let trouble = inventory.refusal.map(|(code, message)| Trouble { code: code.to_string(), message });
    let has = inventory.environments.into_iter().map(|stock| {
        let lock = wanted.get(&stock.environment);
        Stock {
            wanted_lock_version: lock.map_or(stock.lock_version, |lock| lock.version),
            environment: stock.environment.to_string(),
            lock_version: Some(stock.lock_version),
            connectors: stock.holdings.into_iter().map(held).collect(),
            wanted: lock.map(named).unwrap_or_default(),
        }
    });
    (has.chain(none).collect(), trouble)
}

/// What a lock names.
fn named(lock: &Arc<Lock>) -> Vec<Wanted> {
    let wanted = |on_trial| {
        move |(name, locked): (&Name, &Locked)| Wanted {
            connector: name.to_string(),
            version: locked.version.to_string(),
            on_trial,
        }
    };
    lock.connectors.iter().map(wanted(false)).chain(lock.trials.iter().map(wanted(true))).collect()
}

fn held(holding: Holding) -> Held {
    let (state, why) = match holding.state {
        HoldingState::Preparing => ("preparing", None),
        HoldingState::Ready => ("ready", None),
        HoldingState::Refused { code, message } => ("refused", Some((code, message))),
        HoldingState::Quarantined { code, message } => ("quarantined", Some((code, message))),
    };
    let (code, message) = why.map(|(code, message)| (code.to_string(), message)).unzip();
    Held {
        connector: holding.connector.to_string(),
        version: holding.version.to_string(),
        digest: holding.digest.to_string(),
        state,
        code,
        message,
        instead: holding.instead.map(|version| version.to_string()),
    }
}
