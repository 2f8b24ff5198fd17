//! From the policy as written to its rules, with every fault in it.

use std::path::PathBuf;

use wherry_daemon::config::{ConfigFaults, Faults};
use wherry_proto::MAX_SLOTS;
use wherry_trust::keys::PublicKey;

use super::{
    hours::{Hours, Window, zone},
    network::{Entry, NetworkRules},
    raw::{RawPolicy, RawWork},
    rules::{DeploymentRules, Rules},
};

impl Rules {
    /// Checks values that have the right shape.
    ///
    /// # Errors
    /// With every fault found.
    pub fn check(raw: RawPolicy) -> Result<Self, ConfigFaults> {
        let mut faults = Faults::new();
        let publishers =
            raw.connectors.publishers.as_deref().map(|list| keys(&mut faults, "connectors.publishers", list));
        let network = NetworkRules {
            allowed: raw.network.allowed.as_deref().map(|list| entries(&mut faults, "network.allowed", list)),
            denied: entries(&mut faults, "network.denied", &raw.network.denied),
        };
        let roots = raw.files.roots.as_deref().map(|list| roots(&mut faults, list));
        if raw.listeners.allowed.as_ref().is_some_and(|list| !list.is_empty()) {
            faults.push("listeners.allowed", "names a listener, and nothing on an agent can listen: write []");
        }
        if raw.work.slots.is_some_and(|slots| !(1..=MAX_SLOTS).contains(&slots)) {
            faults.push("work.slots", format!("is not between 1 and {MAX_SLOTS}"));
        }
        let hours = hours(&mut faults, &raw.work);
        let deployments = deployments(&mut faults, &raw);
        faults.into_result()?;
        Ok(Self {
            connectors: raw.connectors.allowed.as_ref().map(|names| names.iter().cloned().collect()),
            publishers,
            network,
            roots,
            slots: raw.work.slots,
            hours,
            deployments,
            raw,
        })
    }
}

fn keys(faults: &mut Faults, path: &str, list: &[String]) -> Vec<PublicKey> {
    let read = list.iter().enumerate();
    read.filter_map(|(at, key)| faults.check(&format!("{path}[{at}]"), key.parse())).collect()
}

fn entries(faults: &mut Faults, path: &str, list: &[String]) -> Vec<Entry> {
    let read = list.iter().enumerate();
    read.filter_map(|(at, entry)| faults.check(&format!("{path}[{at}]"), Entry::parse(entry))).collect()
}

fn roots(faults: &mut Faults, list: &[PathBuf]) -> Vec<PathBuf> {
    for (at, root) in list.iter().enumerate() {
        if !root.is_absolute() {
            faults.push(format!("files.roots[{at}]"), "is not an absolute path");
        }
    }
    list.to_vec()
}

fn hours(faults: &mut Faults, work: &RawWork) -> Option<Hours> {
    let zone = work.timezone.as_deref().and_then(|name| faults.check("work.timezone", zone(name)));
    let Some(list) = &work.hours else {
        if work.timezone.is_some() {
            faults.push("work.timezone", "says nothing without hours");
        }
        return None;
    };
    if list.is_empty() {
        faults.push("work.hours", "names no hours: leave it out for always");
    }
    if work.timezone.is_none() {
        faults.push("work.timezone", "is missing: hours are those of a zone such as Europe/Berlin");
    }
    let mut windows = Vec::with_capacity(list.len());
    for (at, raw) in list.iter().enumerate() {
        match Window::parse(raw) {
            Ok(window) => windows.push(window),
            Err((key, wrong)) => faults.push(format!("work.hours[{at}].{key}"), wrong.to_string()),
        }
    }
    zone.map(|zone| Hours::new(zone, windows))
}

fn deployments(faults: &mut Faults, raw: &RawPolicy) -> DeploymentRules {
    let operators = keys(faults, "deployments.operators", &raw.deployments.operators);
    let require_signed = raw.deployments.require_signed_deployments;
    if require_signed && raw.deployments.operators.is_empty() {
        faults.push("deployments.operators", "is empty: nobody could sign what require_signed_deployments asks for");
    }
    DeploymentRules { require_signed, operators }
}
