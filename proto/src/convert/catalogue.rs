//! Catalogues and inventories.

use wherry_domain::{failure::Code, lock::MAX_CONNECTORS};

use super::{Invalid, parse};
use crate::{
    MAX_FRAME, MAX_SLOTS,
    frame::{Catalogue, Holding, HoldingState, Inventory, OwnerPolicy, Stock},
    wire::{self, inventory::holding::State},
};

/// Most environments that a group serves, as the controller limits them.
const MAX_ENVIRONMENTS: usize = 1_000;
/// Longest explanation, in characters.
const MAX_WORDS: usize = 400;
/// Most walls that can be missing: there are four kinds, and that there are none at all.
const MAX_WALLS: usize = 8;

pub(super) fn catalogue(wire: wire::Catalogue) -> Result<Catalogue, Invalid> {
    if wire.locks.len() > MAX_ENVIRONMENTS {
        return Err(Invalid::new("locks", format!("there are more than {MAX_ENVIRONMENTS}")));
    }
    let size = wire.publishers.len() + wire.index.len() + wire.locks.iter().map(Vec::len).sum::<usize>();
    if size > MAX_FRAME {
        return Err(Invalid::new("catalogue", format!("it has {size} bytes, more than {MAX_FRAME}")));
    }
    Ok(Catalogue { publishers: wire.publishers, index: wire.index, locks: wire.locks })
}

pub(super) fn wire_catalogue(catalogue: Catalogue) -> wire::Catalogue {
    wire::Catalogue { publishers: catalogue.publishers, index: catalogue.index, locks: catalogue.locks }
}

pub(super) fn inventory(wire: wire::Inventory) -> Result<Inventory, Invalid> {
    if wire.environments.len() > MAX_ENVIRONMENTS {
        return Err(Invalid::new("environments", format!("there are more than {MAX_ENVIRONMENTS}")));
    }
    let refused = (!wire.refusal_code.is_empty()).then(|| (code(&wire.refusal_code), words(&wire.refusal)));
    let environments = wire.environments.into_iter().map(stock).collect::<Result<_, _>>()?;
    let walls = wire.walls.iter().take(MAX_WALLS).map(|wall| words(wall)).collect();
    let policy = wire.policy.map(|policy| OwnerPolicy {
        loaded_ms: policy.loaded_ms,
        fault: (!policy.fault.is_empty()).then(|| words(&policy.fault)),
        slots: policy.slots.min(MAX_SLOTS),
    });
    Ok(Inventory { environments, refusal: refused, policy, walls })
}

fn stock(wire: wire::inventory::Environment) -> Result<Stock, Invalid> {
    // Those of the lock, and as many again that are quarantined or on trial.
    if wire.holdings.len() > 2 * MAX_CONNECTORS {
        return Err(Invalid::new("holdings", format!("there are more than {}", 2 * MAX_CONNECTORS)));
    }
    Ok(Stock {
        environment: parse("environment", &wire.environment)?,
        lock_version: wire.lock_version,
        holdings: wire.holdings.into_iter().map(holding).collect::<Result<_, _>>()?,
    })
}

fn holding(wire: wire::inventory::Holding) -> Result<Holding, Invalid> {
    let (code, message) = (code(&wire.code), words(&wire.message));
    let state = match wire.state() {
        State::Unspecified => return Err(Invalid::missing("state")),
        State::Preparing => HoldingState::Preparing,
        State::Ready => HoldingState::Ready,
        State::Refused => HoldingState::Refused { code, message },
        State::Quarantined => HoldingState::Quarantined { code, message },
    };
    let version = |text: &str| text.parse().map_err(|_| Invalid::new("version", "it is no version"));
    Ok(Holding {
        connector: parse("connector", &wire.connector)?,
        version: version(&wire.version)?,
        digest: parse("digest", &wire.digest)?,
        state,
        instead: (!wire.instead.is_empty()).then(|| version(&wire.instead)).transpose()?,
    })
}

fn code(text: &str) -> Code {
    Code::received(text)
}

fn words(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS).collect()
}

pub(super) fn wire_inventory(inventory: Inventory) -> wire::Inventory {
    let (refusal_code, refusal) = inventory.refusal.map(|(code, words)| (code.to_string(), words)).unwrap_or_default();
    wire::Inventory {
        environments: inventory.environments.into_iter().map(wire_stock).collect(),
        refusal_code,
        refusal,
        walls: inventory.walls,
        policy: inventory.policy.map(|OwnerPolicy { loaded_ms, fault, slots }| wire::inventory::OwnerPolicy {
            loaded_ms,
            fault: fault.unwrap_or_default(),
            slots,
        }),
    }
}

fn wire_stock(stock: Stock) -> wire::inventory::Environment {
    wire::inventory::Environment {
        environment: stock.environment.to_string(),
        lock_version: stock.lock_version,
        holdings: stock.holdings.into_iter().map(wire_holding).collect(),
    }
}

fn wire_holding(holding: Holding) -> wire::inventory::Holding {
    let (state, code, message) = match holding.state {
        HoldingState::Preparing => (State::Preparing, String::new(), String::new()),
        HoldingState::Ready => (State::Ready, String::new(), String::new()),
        HoldingState::Refused { code, message } => (State::Refused, code.to_string(), message),
        HoldingState::Quarantined { code, message } => (State::Quarantined, code.to_string(), message),
    };
    wire::inventory::Holding {
        connector: holding.connector.to_string(),
        version: holding.version.to_string(),
        digest: holding.digest.to_string(),
        state: state.into(),
        code,
        message,
        instead: holding.instead.map(|version| version.to_string()).unwrap_or_default(),
    }
}
