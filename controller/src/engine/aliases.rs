//! Aliases of environments: which connection stands behind a name that operations and applications use, and values of
//! variables in place of a project's own. They count from the next deployment on: a deployment never changes.

use std::{collections::BTreeMap, sync::Arc};

use wherry_daemon::store::{Store, StoreError};
use wherry_domain::{
    id::EnvironmentId,
    name::Name,
    project::{MAX_ENTRIES, Mapping, Snapshot, check::nearest},
};

use super::{Ledger, Refusal, Turn, load::definitions, state::Current};
use crate::model::MappingRecord;

/// Most projects of which an environment says something, also of such that are not deployed there.
const MAX_MAPPINGS: usize = 1_000;
/// Doubts that are told: more than a person reads.
const MOST_DOUBTS: usize = 100;
/// Largest mapping of a project as JSON, in bytes: it fits into one record of the store.
const MAX_BYTES: usize = 48 << 10;

/// What an environment says of a project, and what is in force.
#[derive(Clone, Debug)]
pub struct MappingView {
    /// Of what.
    pub project: Name,
    /// For the next deployment.
    pub mapping: Mapping,
    /// What is deployed.
    pub deployed: Option<Arc<Snapshot>>,
}

/// What was said of a project for its next deployment.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// All of it.
    pub mapping: Mapping,
    /// What people may not have meant, as far as what is deployed tells.
    pub warnings: Vec<String>,
}

impl Ledger {
    /// What an environment says of its projects, or of one.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn mappings(&self, environment: Name, project: Option<Name>) -> Result<Vec<MappingView>, Refusal> {
        self.act(move |turn| {
            let id = turn.environment(&environment)?.id;
            let said = turn.state.mappings.keys().chain(turn.state.current.keys()).filter(|(of, _)| *of == id);
            let mut names: Vec<&Name> = said.map(|(_, name)| name).collect();
            names.retain(|name| project.as_ref().is_none_or(|wanted| wanted == *name));
            names.sort();
            names.dedup();
            let view = |name: &Name| MappingView {
                project: name.clone(),
                mapping: turn.mapping(id, name),
                deployed: turn.state.current.get(&(id, name.clone())).map(|current| Arc::clone(&current.snapshot)),
            };
            Ok(names.into_iter().map(view).collect())
        })
        .await
    }

    /// Says everything of a project anew.
    ///
    /// # Errors
    /// If there is no such environment, or it is too much.
    pub async fn set_mapping(
        &self,
        who: String,
        environment: Name,
        project: Name,
        mapping: Mapping,
    ) -> Result<Said, Refusal> {
        self.begin(move |turn| {
            let warnings = turn.doubts(&environment, &project, mapping.aliases.iter())?;
            let mapping = turn.set_mapping(&who, &environment, project, mapping)?;
            Ok(Said { mapping, warnings })
        })
        .await
    }

    /// Maps one alias.
    ///
    /// # Errors
    /// If there is no such environment, or what is deployed there says that the two cannot belong together.
    pub async fn set_alias(
        &self,
        who: String,
        environment: Name,
        project: Name,
        (alias, connection): (Name, Name),
    ) -> Result<Said, Refusal> {
        self.begin(move |turn| {
            let id = turn.environment(&environment)?.id;
            if let Some(current) = turn.state.current.get(&(id, project.clone())) {
                fits(&current.snapshot, &alias)?;
            }
            let warnings = turn.doubts(&environment, &project, std::iter::once((&alias, &connection)))?;
            let mut mapping = turn.mapping(id, &project);
            mapping.aliases.insert(alias, connection);
            let mapping = turn.set_mapping(&who, &environment, project, mapping)?;
            Ok(Said { mapping, warnings })
        })
        .await
    }

    /// Takes the mapping of one alias away.
    ///
    /// # Errors
    /// If there is no such environment, or the alias is not mapped.
    pub async fn remove_alias(
        &self,
        who: String,
        environment: Name,
        project: Name,
        alias: Name,
    ) -> Result<(), Refusal> {
        self.begin(move |turn| {
            let id = turn.environment(&environment)?.id;
            let mut mapping = turn.mapping(id, &project);
            if mapping.aliases.remove(&alias).is_none() {
                let near = nearest(alias.as_str(), mapping.aliases.keys().map(Name::as_str));
                let hint =
                    near.map_or_else(|| "see wherry alias list".to_owned(), |near| format!("did you mean {near}?"));
                let message = format!("{environment} maps no alias {alias} of project {project}: {hint}");
                return Err(Refusal::not_found("alias.not_found", message));
            }
            turn.set_mapping(&who, &environment, project, mapping).map(drop)
        })
        .await
    }
}

/// Reads what environments say of projects.
pub(super) fn load(store: &dyn Store) -> Result<BTreeMap<(EnvironmentId, Name), Mapping>, StoreError> {
    let stored = definitions::<MappingRecord>(store, "mapping")?.into_iter();
    Ok(stored.map(|one| ((one.environment, one.project), one.mapping)).collect())
}

/// What may have been meant.
fn near<'a>(name: &Name, known: impl Iterator<Item = &'a Name>) -> String {
    let near = nearest(name.as_str(), known.map(Name::as_str));
    near.map_or_else(String::new, |near| format!(": did you mean {near}?"))
}

/// What is deployed would not understand the alias.
fn fits(snapshot: &Snapshot, alias: &Name) -> Result<(), Refusal> {
    if !snapshot.project.connections.contains_key(alias) {
        return Ok(());
    }
    let message = format!("project {} has a connection {alias}: an alias has a name of its own", snapshot.project.name);
    Err(Refusal::conflict("project.alias_clash", message))
}

impl Turn<'_> {
    /// What is stored for the next deployment.
    pub(super) fn mapping(&self, environment: EnvironmentId, project: &Name) -> Mapping {
        self.state.mappings.get(&(environment, project.clone())).cloned().unwrap_or_default()
    }

    fn set_mapping(
        &mut self,
        who: &str,
        environment: &Name,
        project: Name,
        mapping: Mapping,
    ) -> Result<Mapping, Refusal> {
        let id = self.environment(environment)?.id;
        let entries = mapping.aliases.len().max(mapping.variables.len());
        let bytes = serde_json::to_vec(&mapping).map_or(usize::MAX, |document| document.len());
        if entries > MAX_ENTRIES || bytes > MAX_BYTES {
            let message = format!("at most {MAX_ENTRIES} aliases and variables with {MAX_BYTES} bytes are kept");
            return Err(Refusal::invalid("alias.too_many", message));
        }
        let key = (id, project);
        if !self.state.mappings.contains_key(&key) && self.state.mappings.len() >= MAX_MAPPINGS {
            return Err(Refusal::conflict("alias.too_many", format!("at most {MAX_MAPPINGS} projects have aliases")));
        }
        self.audit(who, "alias.set", &format!("{environment} {}", key.1), "");
        if mapping.is_empty() {
            self.undefine("mapping", &format!("{id}/{}", key.1));
            self.state.mappings.remove(&key);
            return Ok(mapping);
        }
        let record = MappingRecord { environment: id, project: key.1.clone(), mapping: mapping.clone() };
        self.define("mapping", &format!("{id}/{}", key.1), &record);
        self.state.mappings.insert(key, mapping.clone());
        Ok(mapping)
    }

    /// What of these aliases makes no sense to what is deployed: it may to the next deployment.
    fn doubts<'a>(
        &self,
        environment: &Name,
        project: &Name,
        aliases: impl Iterator<Item = (&'a Name, &'a Name)>,
    ) -> Result<Vec<String>, Refusal> {
        let id = self.environment(environment)?.id;
        let Some(current) = self.state.current.get(&(id, project.clone())) else {
            return Ok(vec![format!("no project {project} is deployed in {environment} yet")]);
        };
        let deployed = &current.snapshot.project;
        let told = aliases.flat_map(|(alias, connection)| {
            let undeclared = (!deployed.aliases.contains_key(alias)).then(|| {
                format!(
                    "the deployed project {project} declares no alias {alias}{}",
                    near(alias, deployed.aliases.keys())
                )
            });
            let missing = (!deployed.connections.contains_key(connection)).then(|| {
                let near = near(connection, deployed.connections.keys());
                format!("the deployed project {project} has no connection {connection}{near}")
            });
            undeclared.into_iter().chain(missing)
        });
        Ok(told.take(MOST_DOUBTS).collect())
    }

    /// Forgets what was said in an environment that is gone.
    pub(super) fn forget_mappings(&mut self, environment: EnvironmentId) {
        let gone: Vec<_> = self.state.mappings.keys().filter(|(id, _)| *id == environment).cloned().collect();
        for key in gone {
            self.undefine("mapping", &format!("{}/{}", key.0, key.1));
            self.state.mappings.remove(&key);
        }
    }

    /// The deployment and the connection that a caller means by an alias or a connection's name.
    pub(super) fn find_called(
        &self,
        environment: &Name,
        project: Option<&Name>,
        name: &Name,
    ) -> Result<(Current, Name), Refusal> {
        let id = self.environment(environment)?.id;
        let here = self.state.current.range((id, Name::lowest())..).take_while(|((of, _), _)| *of == id);
        let wanted: Vec<&Current> = here
            .map(|(_, current)| current)
            .filter(|current| project.is_none_or(|name| *name == current.deployment.project))
            .collect();
        if let (Some(project), true) = (project, wanted.is_empty()) {
            let message = format!(
                "project {project} is not deployed in {environment}: see wherry project list --environment {environment}"
            );
            return Err(Refusal::not_found("project.not_deployed", message));
        }
        let mut having = wanted.iter().filter_map(|current| Some((*current, current.snapshot.meant(name)?)));
        match (having.next(), having.next()) {
            (Some((one, connection)), None) => Ok((one.clone(), connection.clone())),
            (Some((one, _)), Some((other, _))) => {
                let (one, other) = (&one.deployment.project, &other.deployment.project);
                let message = format!("projects {one} and {other} of {environment} both have {name}: name the project");
                Err(Refusal::conflict("connection.ambiguous", message))
            }
            (None, _) => {
                let names = |current: &&Current| {
                    let project = &current.snapshot.project;
                    project.connections.keys().chain(project.aliases.keys()).cloned().collect::<Vec<_>>()
                };
                let known: Vec<Name> = wanted.iter().flat_map(names).collect();
                let near = nearest(name.as_str(), known.iter().map(Name::as_str));
                let hint =
                    near.map_or_else(|| "see wherry alias list".to_owned(), |near| format!("did you mean {near}?"));
                let message = format!("no deployed alias or connection of {environment} is called {name}: {hint}");
                Err(Refusal::not_found("connection.not_found", message))
            }
        }
    }
}
