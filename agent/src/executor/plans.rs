//! From an offer to a plan; plans that hold for every run of an operation are made once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure, FailureClass},
    name::Name,
    project::{Snapshot, template::Scope},
};
use wherry_proto::frame::{Action, Desired, Offer, Ran};

use super::{
    access::{Access, Ground},
    kept::Kept,
    plan::{self, Called, Plan, Workshop},
};
use crate::{auth::token::Wanted, deployments::Deployments};

/// The deployment is for an environment that this agent's group does not serve.
const FOREIGN: Code = Code::new("deployment.foreign_environment");

/// Longest wait for a lock that an offer was made under: it was sent before the offer, and what it names may have to
/// be verified first.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The lock that the offer was made under is not here.
pub(super) const LOCK_BEHIND: Code = Code::new("connector.lock_behind");

/// A deployment's operation or connection, and the connectors of which the version on trial is wanted.
type Id = (Digest, Name, Vec<Name>);

/// Makes and keeps plans.
pub(super) struct Plans {
    agent: Name,
    deployments: Deployments,
    workshop: Workshop,
    environments: ArcSwap<Vec<Name>>,
    /// For the next run of the same operation.
    kept: Kept<Id, Plan>,
    /// For the next action of the same connection.
    connections: Kept<Id, Access>,
}

impl Plans {
    pub(super) fn new(agent: Name, deployments: Deployments, workshop: Workshop) -> Self {
        let environments = ArcSwap::from_pointee(Vec::new());
        Self { agent, deployments, workshop, environments, kept: Kept::new(), connections: Kept::new() }
    }

    /// Takes over publishers and environments. A plan made under others may not be used again.
    pub(super) fn desired(&self, desired: &Desired) {
        self.workshop.connectors.trust(&desired.publishers);
        self.environments.store(Arc::new(desired.environments.clone()));
        self.workshop.policies.store(Arc::new(desired.policies.clone()));
        self.kept.clear();
        self.connections.clear();
    }

    /// A session began or ended.
    pub(super) fn connected(&self, live: bool) {
        self.workshop.connectors.connected(live);
    }

    pub(super) fn connectors(&self) -> Vec<Digest> {
        self.workshop.connectors.on_disk()
    }

    /// The plan for an offer, with the credentials as they are now.
    pub(super) async fn for_offer(&self, offer: &Offer) -> Result<Arc<Plan>, Failure> {
        let snapshot = self.deployments.get(offer.deployment).await?;
        self.catch_up(offer, &snapshot).await?;
        let plan = match self.recall(offer) {
            Some(plan) => plan,
            None => self.make(offer, &snapshot).await?,
        };
        for step in plan.steps() {
            step.access.refresh(&self.workshop)?;
        }
        Ok(plan)
    }

    /// What an attempt was to run on that could not be made ready, for good, and of which connectors that was the version
    /// on trial. Whatever may pass by itself says nothing of a version.
    pub(super) async fn tried(
        &self,
        offer: &Offer,
        action: Option<&Action>,
        failure: &Failure,
    ) -> (Vec<Name>, Vec<Ran>) {
        let (mut trial, mut ran) = (Vec::new(), Vec::new());
        if failure.class == FailureClass::Retry {
            return (trial, ran);
        }
        let Ok(snapshot) = self.deployments.get(offer.deployment).await else { return (trial, ran) };
        let operation = snapshot.project.operations.get(&offer.operation).filter(|_| action.is_none());
        let steps = operation.into_iter().flat_map(|operation| operation.steps().map(|step| &step.connection));
        let used = steps.chain(action.map(|action| &action.connection));
        let used: BTreeSet<&Name> = used.filter_map(|name| snapshot.project.connector_of(name)).collect();
        for name in used {
            let wanted = offer.trial.contains(name);
            let Some((version, on_trial)) = self.workshop.connectors.would_run(&snapshot.environment, name, wanted)
            else {
                continue;
            };
            ran.push(Ran { connector: name.clone(), version });
            trial.extend(on_trial.then(|| name.clone()));
        }
        (trial, ran)
    }

    /// What an action calls, with its credential as it is now.
    pub(super) async fn for_action(&self, offer: &Offer, action: &Action) -> Result<Called, Failure> {
        let snapshot = self.deployments.get(offer.deployment).await?;
        self.check_environment(&snapshot)?;
        self.catch_up(offer, &snapshot).await?;
        let access = self.for_calls(offer, &snapshot, &action.connection).await?;
        access.refresh(&self.workshop)?;
        Called::make(access, action, self.workshop.policies(&snapshot.environment).max_run_time)
    }

    /// The connection of an action, without a look at its credential.
    async fn for_calls(&self, offer: &Offer, snapshot: &Snapshot, name: &Name) -> Result<Arc<Access>, Failure> {
        let id = (offer.deployment, name.clone(), offer.trial.clone());
        let stand = self.workshop.connectors.stand();
        if let Some(access) = self.connections.recall(&id, stand) {
            return Ok(access);
        }
        let under = self.connections.under(stand);
        let run = offer.attempt.run.to_string();
        let scope = Scope { vars: &snapshot.project.variables, run: &run, agent: self.agent.as_str() };
        let ground = Ground { snapshot, trial: &offer.trial, at_once: true };
        let access = Arc::new(Access::make(&self.workshop, ground, name, &scope).await?);
        if !plan::differs_by_run(snapshot, name) {
            self.connections.keep(id, under, self.workshop.connectors.stand(), &access);
        }
        Ok(access)
    }

    /// A connection of a deployment, with its credential as it is now. `run` stands in texts that name the run.
    pub(super) async fn connection(&self, digest: Digest, name: &Name, run: &str) -> Result<Access, Failure> {
        let snapshot = self.deployments.get(digest).await?;
        self.check_environment(&snapshot)?;
        let scope = Scope { vars: &snapshot.project.variables, run, agent: self.agent.as_str() };
        let access = Access::make(&self.workshop, untried(&snapshot), name, &scope).await?;
        access.refresh(&self.workshop)?;
        Ok(access)
    }

    /// What a connection of a deployment needs to have tokens; nothing if it needs none.
    pub(super) async fn wanted(&self, digest: Digest, name: &Name, run: &str) -> Result<Option<Wanted>, Failure> {
        let snapshot = self.deployments.get(digest).await?;
        self.check_environment(&snapshot)?;
        let scope = Scope { vars: &snapshot.project.variables, run, agent: self.agent.as_str() };
        let access = Access::at(&self.workshop, (untried(&snapshot), name), &scope, None).await?;
        Ok(access.wanted(&self.workshop))
    }

    fn recall(&self, offer: &Offer) -> Option<Arc<Plan>> {
        if !offer.variables.is_empty() {
            return None;
        }
        self.kept.recall(&id(offer), self.workshop.connectors.stand())
    }

    /// Waits for the lock that the offer was made under.
    async fn catch_up(&self, offer: &Offer, snapshot: &Snapshot) -> Result<(), Failure> {
        let (environment, version) = (&snapshot.environment, offer.lock_version);
        if self.workshop.connectors.reaches(environment, version, LOCK_WAIT).await {
            return Ok(());
        }
        let message = format!(
            "this agent does not have version {version} of the lock of environment {environment} yet, `wherry agent show` says why"
        );
        Err(Failure::retry(LOCK_BEHIND, message))
    }

    async fn make(&self, offer: &Offer, snapshot: &Snapshot) -> Result<Arc<Plan>, Failure> {
        let under = self.kept.under(self.workshop.connectors.stand());
        self.check_environment(snapshot)?;
        let variables = plan::variables(snapshot, &offer.variables)?;
        let run = offer.attempt.run.to_string();
        let scope = Scope { vars: &variables, run: &run, agent: self.agent.as_str() };
        let ground = Ground { snapshot, trial: &offer.trial, at_once: true };
        let plan = Arc::new(Plan::make(&self.workshop, ground, &offer.operation, &scope).await?);
        if plan.reusable && offer.variables.is_empty() {
            self.kept.keep(id(offer), under, self.workshop.connectors.stand(), &plan);
        }
        Ok(plan)
    }

    fn check_environment(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        if self.environments.load().contains(&snapshot.environment) {
            return Ok(());
        }
        let message = format!("the group of this agent does not serve environment {}", snapshot.environment);
        Err(Failure::permanent(FOREIGN, message))
    }
}

fn id(offer: &Offer) -> Id {
    (offer.deployment, offer.operation.clone(), offer.trial.clone())
}

/// Questions are about what everybody runs on, and who asks them waits for it.
const fn untried(snapshot: &Snapshot) -> Ground<'_> {
    Ground { snapshot, trial: &[], at_once: false }
}
