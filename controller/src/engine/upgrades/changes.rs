//! What a version of a connector is and the one before is not, and whom that concerns.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use wherry_domain::name::Name;
use wherry_trust::{
    chain::grown,
    release::{Activity, Described, Release},
};

use super::release_of;
use crate::engine::{Refusal, Turn};

/// Differences of schemas that are shown; a person reads no more.
const MAX_SHOWN: usize = 50;
/// How deep schemas are compared.
const DEPTH: usize = 8;

/// What changes from one version to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who signed the new version.
    pub publisher: String,
    /// What the publisher says about it.
    pub notes: String,
    /// Capabilities that it asks for beyond what was approved.
    pub capabilities: Vec<String>,
    /// Activities that are new.
    pub activities_added: Vec<String>,
    /// Activities that are gone.
    pub activities_removed: Vec<String>,
    /// Activities whose side effects or direction are others, in words.
    pub side_effects: Vec<String>,
    /// Differences of schemas, in words; none if one of the versions was published without.
    pub schemas: Option<Vec<String>>,
    /// Agents of the environment that are too old for it, in words.
    pub agents_too_old: Vec<String>,
    /// Connections that use the connector, as `project/connection`.
    pub connections: Vec<String>,
    /// Operations that use it, as `project/operation`.
    pub operations: Vec<String>,
}

impl Changes {
    /// Adds what descriptors tell.
    pub(super) fn compare_schemas(&mut self, old: Option<&Described>, new: Option<&Described>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let mut found = Vec::new();
        differences("connection", &old.connection.config_schema, &new.connection.config_schema, &mut found);
        for activity in &new.activities {
            let Some(before) = old.activity(&activity.name) else { continue };
            let name = &activity.name;
            differences(name, &before.config_schema, &activity.config_schema, &mut found);
            let empty = Map::new();
            let parts = [
                ("takes", &before.input_schema, &activity.input_schema),
                ("yields", &before.output_schema, &activity.output_schema),
            ];
            for (what, before, after) in parts {
                let (before, after) = (before.as_ref().unwrap_or(&empty), after.as_ref().unwrap_or(&empty));
                differences(&format!("{name} {what}"), before, after, &mut found);
            }
        }
        found.truncate(MAX_SHOWN);
        self.schemas = Some(found);
    }
}

impl Turn<'_> {
    pub(super) fn changes(
        &self,
        environment: &Name,
        connector: &Name,
        from: Option<&semver::Version>,
        to: &semver::Version,
    ) -> Result<Changes, Refusal> {
        let published = |version: &semver::Version| self.state.connectors.get(connector)?.get(version);
        let missing = || Refusal::not_found("connector.not_found", format!("there is no connector {connector} {to}"));
        let target = published(to).ok_or_else(missing)?;
        let new = release_of(target).ok_or_else(missing)?;
        let old = from.and_then(published).and_then(release_of);
        let lock = self.lock_of(environment);
        let locked = lock.as_ref().and_then(|lock| lock.connectors.get(connector));
        let agreed: BTreeSet<String> = locked.map(|locked| locked.approved.clone()).unwrap_or_default();
        // What a connector asks for when it is first used was agreed to by deploying it.
        let capabilities = locked.map(|_| grown(&new.asks(), &agreed)).unwrap_or_default();
        let (connections, operations) = self.users_of(environment, connector);
        let mut changes = Changes {
            publisher: target.publisher.clone(),
            notes: new.notes.clone(),
            capabilities,
            agents_too_old: self.too_old(environment, &new)?,
            connections,
            operations,
            ..Changes::default()
        };
        if let Some(old) = old {
            compare_activities(&old, &new, &mut changes);
        }
        Ok(changes)
    }

    /// Deployed connections and operations that use a connector.
    fn users_of(&self, environment: &Name, connector: &Name) -> (Vec<String>, Vec<String>) {
        let (mut connections, mut operations) = (Vec::new(), Vec::new());
        let here = self.state.current.values().filter(|current| current.snapshot.environment == *environment);
        for current in here {
            let project = &current.snapshot.project;
            let uses = |connection: &Name| project.connector_of(connection) == Some(connector);
            let with = project.connections.iter().filter(|(_, connection)| connection.connector == *connector);
            connections.extend(with.map(|(name, _)| format!("{}/{name}", project.name)));
            let with =
                project.operations.iter().filter(|(_, operation)| operation.steps().any(|step| uses(&step.connection)));
            operations.extend(with.map(|(name, _)| format!("{}/{name}", project.name)));
        }
        (connections, operations)
    }
}

fn compare_activities(old: &Release, new: &Release, changes: &mut Changes) {
    let by_name = |release: &Release| -> BTreeMap<String, Activity> {
        release.activities.iter().map(|activity| (activity.name.clone(), activity.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    changes.activities_added = new.keys().filter(|name| !old.contains_key(*name)).cloned().collect();
    changes.activities_removed = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
    for (name, activity) in &new {
        let Some(before) = old.get(name).filter(|before| *before != activity) else { continue };
        let word = |activity: &Activity| {
            serde_json::to_value(activity.side_effects).ok().and_then(|word| Some(word.as_str()?.to_owned()))
        };
        let (was, is) = (word(before).unwrap_or_default(), word(activity).unwrap_or_default());
        let line = if before.kind == activity.kind {
            format!("{name}: {was} becomes {is}")
        } else {
            format!("{name}: source and target are swapped")
        };
        changes.side_effects.push(line);
    }
}

/// Lines about what two schemas say differently.
fn differences(place: &str, old: &Map<String, Value>, new: &Map<String, Value>, found: &mut Vec<String>) {
    let (old, new) = (Value::Object(old.clone()), Value::Object(new.clone()));
    walk(place, &old, &new, DEPTH, found);
}

fn walk(place: &str, old: &Value, new: &Value, depth: usize, found: &mut Vec<String>) {
    if old == new || found.len() >= MAX_SHOWN {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        let line = match (old.as_array(), new.as_array(), place.rsplit_once(" .required")) {
            (Some(before), Some(after), Some((place, _))) => required(place, before, after),
            (_, _, _) => format!("{place} changed"),
        };
        found.push(line);
        return;
    };
    if depth == 0 {
        found.push(format!("{place} changed"));
        return;
    }
    // Texts for people are no change of a schema.
    let words = ["title", "description", "examples", "$comment"];
    let keys: BTreeSet<&String> =
        before.keys().chain(after.keys()).filter(|key| !words.contains(&key.as_str())).collect();
    for key in keys {
        let below = if key == "properties" { place.to_owned() } else { format!("{place} .{key}") };
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) => walk(&below, old, new, depth - 1, found),
            (None, Some(_)) => found.push(format!("{below} is new")),
            (Some(_), None) => found.push(format!("{below} is gone")),
            (None, None) => (),
        }
    }
}

fn required(place: &str, old: &[Value], new: &[Value]) -> String {
    let names = |list: &[Value], other: &[Value]| {
        let only = list.iter().filter(|name| !other.contains(name));
        only.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    match (names(new, old), names(old, new)) {
        (now, _) if !now.is_empty() => format!("{place}: {now} must be given now"),
        (_, then) => format!("{place}: {then} need not be given any more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_of_schemas_are_told_in_words() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let old = map(json!({ "type": "object", "title": "a", "required": ["path"], "properties": {
            "path": { "type": "string" }, "size": { "type": "integer" } } }));
        let new = map(json!({ "type": "object", "title": "b", "required": ["path", "page"], "properties": {
            "path": { "type": "string", "maxLength": 9 }, "page": { "type": "integer" } } }));
        let mut found = Vec::new();
        differences("query", &old, &new, &mut found);
        assert_eq!(
            found,
            [
                "query .page is new",
                "query .path .maxLength is new",
                "query .size is gone",
                "query: page must be given now"
            ]
        );
    }
}
