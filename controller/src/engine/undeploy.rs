//! Taking a project out of an environment.
//!
//! Its deployments stay on record, so that a run of the past can still be understood, and the next deployment counts
//! on from them.

use std::sync::Arc;

use wherry_domain::{
    id::{EnvironmentId, RunId},
    name::Name,
};

use super::{Ledger, Refusal, Turn};
use crate::model::Deployment;

/// Runs named in a refusal.
const NAMED: usize = 3;

impl Ledger {
    /// Takes a project out of an environment: its operations cannot be run there any more.
    ///
    /// # Errors
    /// If it is not deployed there, or runs of it are not over.
    pub async fn undeploy(&self, who: String, environment: Name, project: Name) -> Result<(), Refusal> {
        self.act(move |turn| turn.undeploy(&who, &environment, project)).await
    }
}

impl Turn<'_> {
    fn undeploy(&mut self, who: &str, environment: &Name, project: Name) -> Result<(), Refusal> {
        let id = self.environment(environment)?.id;
        let key = (id, project);
        let Some(current) = self.state.current.get(&key) else {
            let message = format!("project {} is not deployed in {environment}: see wherry project list", key.1);
            return Err(Refusal::not_found("project.not_deployed", message));
        };
        let (mut last, snapshot) = (current.deployment.clone(), Arc::clone(&current.snapshot));
        self.nothing_runs(environment, id, &key.1)?;
        last.withdrawn_ms = Some(self.wall_ms);
        self.audit(who, "project.undeploy", &format!("{environment} {}", key.1), &format!("number {}", last.number));
        self.define("deployment", &last.id.to_string(), &last);
        self.forget_memories(id, &snapshot, None);
        self.forget_owners(id, &snapshot, None);
        self.state.current.remove(&key);
        self.state.withdrawn.insert(key, last.number);
        Ok(())
    }

    fn nothing_runs(&self, environment: &Name, id: EnvironmentId, project: &Name) -> Result<(), Refusal> {
        let specs = self.state.runs.values().map(|run| &run.record.spec);
        let active: Vec<RunId> =
            specs.filter(|spec| spec.environment == id && spec.project == *project).map(|spec| spec.id).collect();
        if active.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = active.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if active.len() > NAMED { " and others" } else { "" };
        let message = format!(
            "{} runs of {project} in {environment} are not over ({}{more}): cancel them or wait",
            active.len(),
            named.join(", ")
        );
        Err(Refusal::conflict("resource.in_use", message))
    }

    /// What the next deployment of the project is called.
    pub(super) fn next_number(&self, environment: EnvironmentId, project: &Name) -> u64 {
        let key = (environment, project.clone());
        let current = self.state.current.get(&key).map(|current| current.deployment.number);
        let last = current.or_else(|| self.state.withdrawn.get(&key).copied());
        last.map_or(1, |number| number.saturating_add(1))
    }

    /// Forgets what was deployed in an environment that is gone.
    pub(super) fn forget_deployments(&mut self, environment: EnvironmentId) -> Result<(), Refusal> {
        let all: Vec<Deployment> = self.stored_deployments()?;
        self.state.withdrawn.retain(|(id, _), _| *id != environment);
        for deployment in all.iter().filter(|deployment| deployment.environment == environment) {
            self.undefine("deployment", &deployment.id.to_string());
            self.seam();
        }
        Ok(())
    }
}
