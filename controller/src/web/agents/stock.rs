//! What an agent has of the connectors it should have, as people see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use wherry_proto::frame::{self, Holding, HoldingState};

use crate::{engine::StockView, web::pages::rfc3339};

/// The connectors of one environment on an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentStock)]
pub(super) struct Stock {
    environment: String,
    /// The version of the lock that the agent follows; 0 if it has none.
    lock_version: u64,
    /// The version it should follow.
    wanted_lock_version: u64,
    connectors: Vec<Held>,
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
    let frame::OwnerPolicy { loaded_ms, fault, slots } = view.inventory.policy.clone()?;
    Some(OwnerPolicy { loaded_at: (loaded_ms > 0).then(|| rfc3339(loaded_ms)), fault, slots })
}

/// Every environment that the agent has a lock of, and those it should have one of.
pub(super) fn shown(view: StockView) -> (Vec<Stock>, Option<Trouble>) {
    let StockView { inventory, wanted } = view;
    let missing = |environment: &_| !inventory.environments.iter().any(|stock| stock.environment == *environment);
    let none = wanted.iter().filter(|(environment, _)| missing(environment)).map(|(environment, version)| Stock {
        environment: environment.to_string(),
        lock_version: 0,
        wanted_lock_version: *version,
        connectors: Vec::new(),
    });
    let none: Vec<Stock> = none.collect();
    let trouble = inventory.refusal.map(|(code, message)| Trouble { code: code.to_string(), message });
    let has = inventory.environments.into_iter().map(|stock| Stock {
        wanted_lock_version: version(&wanted, &stock.environment, stock.lock_version),
        environment: stock.environment.to_string(),
        lock_version: stock.lock_version,
        connectors: stock.holdings.into_iter().map(held).collect(),
    });
    (has.chain(none).collect(), trouble)
}

fn version<K: Ord>(wanted: &BTreeMap<K, u64>, environment: &K, otherwise: u64) -> u64 {
    wanted.get(environment).copied().unwrap_or(otherwise)
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
