//! Environments and groups.

use wherry_domain::{id::GroupId, name::Name};

use super::{Ledger, Refusal, Turn, state::GroupState};
use crate::model::{Environment, Group};
use wherry_domain::schedule::{Queue, Slots};

/// Most environments of an organisation; agents take over as many locks.
const MAX_ENVIRONMENTS: usize = 1_000;

impl Ledger {
    /// Makes an environment, and its group if that is new.
    ///
    /// # Errors
    /// If the name is taken.
    pub async fn create_environment(
        &self,
        who: String,
        name: Name,
        group: Name,
    ) -> Result<(Environment, Group), Refusal> {
        self.begin(move |turn| {
            if turn.state.environments.contains_key(&name) {
                let message = format!("there is an environment {name} already: choose another name");
                return Err(Refusal::conflict("environment.exists", message));
            }
            if turn.state.environments.len() >= MAX_ENVIRONMENTS {
                let message = format!("an organisation has at most {MAX_ENVIRONMENTS} environments");
                return Err(Refusal::conflict("environment.too_many", message));
            }
            let group = turn.group_or_new(&who, group);
            let environment =
                Environment { id: turn.fresh(), name: name.clone(), group: group.id, created_ms: turn.wall_ms };
            turn.audit(&who, "environment.create", name.as_str(), &format!("group {}", group.name));
            turn.define("environment", name.as_str(), &environment);
            turn.state.directory.learn_environment(environment.id, &name);
            turn.state.environments.insert(name, environment.clone());
            turn.environments_changed();
            turn.desire();
            Ok((environment, group))
        })
        .await
    }

    /// Every environment with its group.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn environments(&self) -> Result<Vec<(Environment, Group)>, Refusal> {
        self.act(|turn| {
            let with_group = |environment: &Environment| {
                let group = turn.state.groups.get(&environment.group)?;
                Some((environment.clone(), group.group.clone()))
            };
            Ok(turn.state.environments.values().filter_map(with_group).collect())
        })
        .await
    }

    /// Removes an environment that nothing depends on.
    ///
    /// # Errors
    /// If there is none, or projects are deployed or runs active in it.
    pub async fn delete_environment(&self, who: String, name: Name) -> Result<(), Refusal> {
        self.act(move |turn| {
            let environment = turn.environment(&name)?.clone();
            let runs = turn.state.runs.values().filter(|run| run.record.spec.environment == environment.id).count();
            if runs > 0 {
                let message = format!("{runs} runs of {name} are not over: cancel them or wait");
                return Err(Refusal::conflict("resource.in_use", message));
            }
            let projects = turn.state.current.keys().filter(|(id, _)| *id == environment.id);
            let projects: Vec<String> = projects.map(|(_, project)| project.to_string()).collect();
            if !projects.is_empty() {
                let message = format!(
                    "{name} has deployed projects: {}; take them out with wherry project undeploy",
                    projects.join(", ")
                );
                return Err(Refusal::conflict("resource.in_use", message));
            }
            turn.drop_trials(&who, &name);
            turn.audit(&who, "environment.delete", name.as_str(), "");
            turn.undefine("environment", name.as_str());
            turn.state.environments.remove(&name);
            turn.remove_secrets_of(environment.group, &name);
            turn.desire();
            turn.forget_seats(environment.id);
            turn.forget_mappings(environment.id);
            turn.forget_policies(&name);
            turn.forget_rollouts(&name);
            turn.forget_tokens(environment.id);
            turn.forget_deployments(environment.id)
        })
        .await
    }

    /// Every group with the names of its environments and the number of its agents.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn groups(&self) -> Result<Vec<(Group, Vec<Name>, usize)>, Refusal> {
        self.act(|turn| {
            let environments_of = |id: GroupId| {
                let all = turn.state.environments.values().filter(move |environment| environment.group == id);
                all.map(|environment| environment.name.clone()).collect()
            };
            let agents_of = |id: GroupId| turn.state.agents.values().filter(|state| state.agent.group == id).count();
            let groups = turn.state.groups.values();
            Ok(groups
                .map(|state| (state.group.clone(), environments_of(state.group.id), agents_of(state.group.id)))
                .collect())
        })
        .await
    }
}

impl Turn<'_> {
    pub(super) fn environment(&self, name: &Name) -> Result<&Environment, Refusal> {
        let missing = || {
            let message = format!("there is no environment {name}: see wherry environment list");
            Refusal::not_found("environment.not_found", message)
        };
        self.state.environments.get(name).ok_or_else(missing)
    }

    pub(super) fn group_or_new(&mut self, who: &str, name: Name) -> Group {
        if let Some(state) = self.state.group_named(&name) {
            return state.group.clone();
        }
        let group = Group { id: self.fresh(), name: name.clone(), created_ms: self.wall_ms };
        self.audit(who, "group.create", name.as_str(), "");
        self.define("group", &group.id.to_string(), &group);
        let state = GroupState { group: group.clone(), queue: Queue::new(), slots: Slots::new() };
        self.state.groups.insert(group.id, state);
        group
    }
}
