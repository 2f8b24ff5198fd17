//! Aliases: names that operations use instead of connections, so that a project moves from one environment to another
//! unchanged. Each environment maps them to connections of its own.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Project, Snapshot,
    check::{Fault, nearest},
};
use crate::{failure::Code, name::Name};

/// An alias and a connection have the same name.
pub const ALIAS_CLASH: Code = Code::new("project.alias_clash");
/// The environment does not say which connection an alias stands for.
pub const ALIAS_UNMAPPED: Code = Code::new("project.alias_unmapped");
/// An alias is mapped to a connection that it cannot stand for.
pub const ALIAS_MISMATCH: Code = Code::new("project.alias_mismatch");

/// A name for a connection that each environment chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The connector that the connection must have.
    pub connector: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What an environment says of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// From alias to connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<Name, Name>,
    /// Values in place of the project's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<Name, Value>,
}

impl Mapping {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.aliases.is_empty() && self.variables.is_empty()
    }

    /// This one, with what `over` says in its place.
    #[must_use]
    pub fn under(mut self, over: Self) -> Self {
        self.aliases.extend(over.aliases);
        self.variables.extend(over.variables);
        self
    }

    /// What of it the project has a use for.
    #[must_use]
    pub fn of(mut self, project: &Project) -> Self {
        self.aliases.retain(|alias, _| project.aliases.contains_key(alias));
        self.variables.retain(|name, _| project.variables.contains_key(name));
        self
    }

    /// The names in it that the project does not declare.
    pub fn unused<'a>(&'a self, project: &'a Project) -> impl Iterator<Item = &'a Name> {
        let aliases = self.aliases.keys().filter(|alias| !project.aliases.contains_key(*alias));
        aliases.chain(self.variables.keys().filter(|name| !project.variables.contains_key(*name)))
    }
}

impl Project {
    /// The connector behind a connection or an alias.
    pub fn connector_of(&self, name: &Name) -> Option<&Name> {
        let alias = || self.aliases.get(name).map(|alias| &alias.connector);
        self.connections.get(name).map(|connection| &connection.connector).or_else(alias)
    }
}

impl Snapshot {
    /// The snapshot to run from: connections in place of aliases, and the environment's values of variables. What the
    /// mapping does not name stays as it is, and no connection is called so.
    #[must_use]
    pub fn bound(mut self) -> Self {
        let Self { project, mapping, .. } = &mut self;
        project.variables.extend(mapping.variables.clone());
        for operation in project.operations.values_mut() {
            for step in core::iter::once(&mut operation.source).chain(&mut operation.target) {
                if let Some(connection) = mapping.aliases.get(&step.connection) {
                    step.connection = connection.clone();
                }
            }
        }
        self
    }

    /// The connection that a caller means by a name: that of an alias, or the one called so.
    pub fn meant<'a>(&'a self, name: &'a Name) -> Option<&'a Name> {
        let meant = self.mapping.aliases.get(name).unwrap_or(name);
        self.project.connections.contains_key(meant).then_some(meant)
    }
}

/// Every fault of the project's aliases as an environment maps them.
pub fn check(project: &Project, environment: &Name, mapping: &Mapping) -> Vec<Fault> {
    let declared = project.aliases.iter();
    let fault = |(name, alias)| fault_of(project, environment, (name, alias), mapping.aliases.get(name));
    declared.filter_map(fault).collect()
}

fn fault_of(
    project: &Project,
    environment: &Name,
    (name, alias): (&Name, &Alias),
    mapped: Option<&Name>,
) -> Option<Fault> {
    let (code, message, suggestion) = match mapped {
        None => {
            let fitting = project.connections.iter().find(|(_, one)| one.connector == alias.connector);
            let example = fitting.map_or("CONNECTION", |(name, _)| name.as_str());
            let message = format!(
                "environment {environment} maps alias {name} to no connection: wherry alias set {name} {example} --environment \
                 {environment} --project {}",
                project.name
            );
            (ALIAS_UNMAPPED, message, None)
        }
        Some(connection) => match project.connections.get(connection) {
            None => {
                let message =
                    format!("alias {name} is mapped to {connection}, and the project has no connection of that name");
                let near = nearest(connection.as_str(), project.connections.keys().map(Name::as_str));
                (ALIAS_MISMATCH, message, near)
            }
            Some(found) if found.connector != alias.connector => {
                let message = format!(
                    "alias {name} wants connector {}, and {connection} has connector {}: map it to another connection",
                    alias.connector, found.connector
                );
                (ALIAS_MISMATCH, message, None)
            }
            Some(_) => return None,
        },
    };
    let path = ["aliases".to_owned(), name.to_string()].into();
    Some(Fault { path, code, message, suggestion, at: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn project(aliases: Value) -> Project {
        serde_json::from_value(json!({
            "name": "desk", "variables": {"table": "incidents"}, "aliases": aliases,
            "connections": {
                "helix-eu": {"connector": "http", "url": "https://eu.example"},
                "files": {"connector": "files", "url": "https://files.example"},
            },
            "operations": {"copy": {
                "source": {"connection": "crm", "activity": "query"},
                "target": {"connection": "helix-eu", "activity": "request"},
            }},
        }))
        .unwrap()
    }

    fn mapping(to: &str) -> Mapping {
        serde_json::from_value(json!({"aliases": {"crm": to}, "variables": {"table": "tasks", "other": 1}})).unwrap()
    }

    fn codes(project: &Project, mapping: &Mapping) -> Vec<(String, Option<String>)> {
        let faults = check(project, &"prod".parse().unwrap(), mapping).into_iter();
        faults.map(|fault| (fault.code.to_string(), fault.suggestion)).collect()
    }

    #[test]
    fn an_alias_is_unmapped_mapped_wrongly_or_right() {
        let project = project(json!({"crm": {"connector": "http"}}));
        assert_eq!(codes(&project, &Mapping::default()), [("project.alias_unmapped".to_owned(), None)]);
        let near = Some("helix-eu".to_owned());
        assert_eq!(codes(&project, &mapping("helix-ru")), [("project.alias_mismatch".to_owned(), near)]);
        assert_eq!(codes(&project, &mapping("files")), [("project.alias_mismatch".to_owned(), None)]);
        assert_eq!(codes(&project, &mapping("helix-eu")), []);
    }

    #[test]
    fn an_alias_and_a_connection_of_one_name_are_refused() {
        let clash = project(json!({"crm": {"connector": "http"}, "files": {"connector": "files"}}));
        let faults = super::super::check::check(&clash, None);
        let found: Vec<_> = faults.iter().map(|fault| (fault.path.join("/"), fault.code.as_str())).collect();
        assert_eq!(found, [("aliases/files".to_owned(), "project.alias_clash")]);
        let undeclared = super::super::check::check(&project(json!({})), None);
        assert_eq!(undeclared.first().map(|fault| fault.code.as_str()), Some("project.connection_unknown"));
    }

    #[test]
    fn a_bound_snapshot_has_connections_for_aliases_and_the_environments_variables() {
        let project = project(json!({"crm": {"connector": "http"}}));
        let unused: Vec<_> = mapping("helix-eu").unused(&project).map(ToString::to_string).collect();
        assert_eq!(unused, ["other"]);
        let mapping = mapping("helix-eu").of(&project);
        let written = Snapshot {
            environment: "prod".parse().unwrap(),
            number: 1,
            project,
            mapping,
            connectors: BTreeMap::new(),
            side_effects: BTreeMap::new(),
        };
        let bound = written.clone().bound();
        let steps: Vec<_> = bound.project.operations.values().flat_map(|one| one.steps()).collect();
        assert!(steps.iter().all(|step| step.connection.as_str() == "helix-eu"));
        assert_eq!(serde_json::to_value(&bound.project.variables).unwrap(), json!({"table": "tasks"}));
        let meant = |name: &str| bound.meant(&name.parse().unwrap()).map(ToString::to_string);
        assert_eq!((meant("crm"), meant("files")), (Some("helix-eu".to_owned()), Some("files".to_owned())));
        assert_eq!(meant("else"), None);
        let read: Snapshot = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
        assert_eq!(read, written, "the document keeps the project as it was written");
    }
}
