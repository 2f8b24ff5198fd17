//! From an offer to a plan; plans that hold for every run of an operation are made once.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use arc_swap::ArcSwap;
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    name::Name,
    project::{Snapshot, template::Scope},
};
use wherry_proto::frame::{Desired, Offer};

use super::{
    access::Access,
    plan::{self, Plan, Workshop},
};
use crate::{auth::token::Wanted, deployments::Deployments, recent::Recent};

/// Plans kept for the next run of their operation.
const KEPT: usize = 128;
/// The deployment is for an environment that this agent's group does not serve.
const FOREIGN: Code = Code::new("deployment.foreign_environment");

/// Makes and keeps plans.
pub(super) struct Plans {
    agent: Name,
    deployments: Deployments,
    workshop: Workshop,
    environments: ArcSwap<Vec<Name>>,
    /// Counts what the organisation wanted so far.
    wishes: AtomicU64,
    kept: Mutex<Recent<(Digest, Name), Arc<Plan>>>,
}

impl Plans {
    pub(super) fn new(agent: Name, deployments: Deployments, workshop: Workshop) -> Self {
        let environments = ArcSwap::from_pointee(Vec::new());
        Self {
            agent,
            deployments,
            workshop,
            environments,
            wishes: AtomicU64::new(0),
            kept: Mutex::new(Recent::new(KEPT)),
        }
    }

    /// Takes over publishers and environments. A plan made under others may not be used again.
    pub(super) fn desired(&self, desired: &Desired) {
        self.workshop.connectors.trust(&desired.publishers);
        self.environments.store(Arc::new(desired.environments.clone()));
        self.wishes.fetch_add(1, SeqCst);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn connectors(&self) -> Vec<Digest> {
        self.workshop.connectors.on_disk()
    }

    /// The plan for an offer, with the credentials as they are now.
    pub(super) async fn for_offer(&self, offer: &Offer) -> Result<Arc<Plan>, Failure> {
        let plan = match self.recall(offer) {
            Some(plan) => plan,
            None => self.make(offer).await?,
        };
        for step in plan.steps() {
            step.access.refresh(&self.workshop)?;
        }
        Ok(plan)
    }

    /// A connection of a deployment, with its credential as it is now. `run` stands in texts that name the run.
    pub(super) async fn connection(&self, digest: Digest, name: &Name, run: &str) -> Result<Access, Failure> {
        let snapshot = self.deployments.get(digest).await?;
        self.check_environment(&snapshot)?;
        let scope = Scope { vars: &snapshot.project.variables, run, agent: self.agent.as_str() };
        let access = Access::make(&self.workshop, &snapshot, name, &scope).await?;
        access.refresh(&self.workshop)?;
        Ok(access)
    }

    /// What a connection of a deployment needs to have tokens; nothing if it needs none.
    pub(super) async fn wanted(&self, digest: Digest, name: &Name, run: &str) -> Result<Option<Wanted>, Failure> {
        let snapshot = self.deployments.get(digest).await?;
        self.check_environment(&snapshot)?;
        let scope = Scope { vars: &snapshot.project.variables, run, agent: self.agent.as_str() };
        let access = Access::make(&self.workshop, &snapshot, name, &scope).await?;
        Ok(access.wanted(&self.workshop))
    }

    fn recall(&self, offer: &Offer) -> Option<Arc<Plan>> {
        if !offer.variables.is_empty() {
            return None;
        }
        let id = (offer.deployment, offer.operation.clone());
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&id)
    }

    async fn make(&self, offer: &Offer) -> Result<Arc<Plan>, Failure> {
        let wishes = self.wishes.load(SeqCst);
        let snapshot = self.deployments.get(offer.deployment).await?;
        self.check_environment(&snapshot)?;
        let variables = plan::variables(&snapshot, &offer.variables)?;
        let run = offer.attempt.run.to_string();
        let scope = Scope { vars: &variables, run: &run, agent: self.agent.as_str() };
        let plan = Arc::new(Plan::make(&self.workshop, &snapshot, &offer.operation, &scope).await?);
        if plan.reusable && offer.variables.is_empty() {
            let id = (offer.deployment, offer.operation.clone());
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            // Not what was made under wishes that were replaced meanwhile.
            if self.wishes.load(SeqCst) == wishes {
                kept.insert(id, Arc::clone(&plan));
            }
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
