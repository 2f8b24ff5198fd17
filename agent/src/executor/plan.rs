//! An operation made ready to run: variables filled in, connectors loaded, ways out opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use wherry_daemon::{clock::Clock, tasks::Tasks};
use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure},
    name::Name,
    policy::Policies,
    project::{Operation, Snapshot, Step as ProjectStep, template::Scope},
};
use wherry_proto::frame::{Action, Ran};
use wherry_trust::release::ActivityKind;

use super::{
    access::{Access, Ground, fill},
    programs::Programs,
};
use crate::{
    auth::Tokens, connectors::Connectors, egress::Endpoints, policy::Policy, secrets::Secrets, transforms::Transforms,
};

/// The deployment does not hold together.
const INVALID: Code = Code::new("deployment.invalid");
/// Names that differ for every run; whoever uses them is planned anew each time.
const PER_RUN: &str = "run.id";

/// What a plan is made with.
pub(super) struct Workshop {
    pub(super) connectors: Connectors,
    pub(super) endpoints: Endpoints,
    pub(super) secrets: Arc<Secrets>,
    pub(super) tokens: Arc<dyn Tokens>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) transforms: Transforms,
    /// The organisation's rules, by environment.
    pub(super) policies: ArcSwap<BTreeMap<Name, Policies>>,
    /// The owner's own.
    pub(super) policy: Policy,
}

impl Workshop {
    /// The organisation's rules in an environment.
    pub(super) fn policies(&self, environment: &Name) -> Policies {
        self.policies.load().get(environment).cloned().unwrap_or_default()
    }
}

/// An operation, ready to run as often as its deployment lasts.
pub(super) struct Plan {
    pub(super) class: SideEffects,
    pub(super) timeout: Duration,
    pub(super) offline_term: Duration,
    pub(super) source: Step,
    pub(super) programs: Option<Programs>,
    pub(super) target: Option<Step>,
    /// Whether it holds for other runs too.
    pub(super) reusable: bool,
}

/// One activity, ready to be invoked.
pub(super) struct Step {
    /// For logs and failures: `query of helix`.
    pub(super) label: String,
    pub(super) connection: Name,
    pub(super) access: Arc<Access>,
    pub(super) activity: String,
    pub(super) class: SideEffects,
    pub(super) params: String,
}

impl Plan {
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.source).chain(&self.target)
    }

    /// Connectors of which it really uses the version on trial.
    pub(super) fn trial(&self) -> Vec<Name> {
        let trial: BTreeSet<&Name> = self.steps().filter_map(|step| step.access.on_trial.as_ref()).collect();
        trial.into_iter().cloned().collect()
    }

    /// The versions of connectors that it uses, once each.
    pub(super) fn ran(&self) -> Vec<Ran> {
        let ran: BTreeSet<&Ran> = self.steps().map(|step| &step.access.ran).collect();
        ran.into_iter().cloned().collect()
    }

    /// What the log of every run has to say of its connections, once each.
    pub(super) fn warnings(&self) -> BTreeSet<&str> {
        self.steps().flat_map(|step| &step.access.warnings).map(String::as_str).collect()
    }

    /// Makes the operation ready. `vars` are the deployment's variables with those of the run over them.
    pub(super) async fn make(
        workshop: &Workshop,
        ground: Ground<'_>,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Result<Self, Failure> {
        let snapshot = ground.snapshot;
        let operation = snapshot.project.operations.get(name);
        let operation = operation.ok_or_else(|| invalid(format!("the deployment has no operation {name}")))?;
        let source = step(workshop, ground, &operation.source, ActivityKind::Source, scope).await?;
        let target = match &operation.target {
            None => None,
            Some(target) => Some(step(workshop, ground, target, ActivityKind::Target, scope).await?),
        };
        let declared = std::iter::once(&source).chain(&target).map(|step| step.class).max();
        Ok(Self {
            // The deployment may be stricter than the releases, and never milder: that would be the controller's word.
            class: snapshot.side_effects.get(name).copied().max(declared).unwrap_or(SideEffects::Unsafe),
            timeout: operation.timeout.min(workshop.policies(&snapshot.environment).max_run_time),
            offline_term: operation.offline_term,
            source,
            programs: Programs::make(&workshop.transforms, operation, scope).await?,
            target,
            reusable: !depends_on_run(snapshot, operation),
        })
    }
}

/// Whether anything that the operation uses differs from run to run.
fn depends_on_run(snapshot: &Snapshot, operation: &Operation) -> bool {
    operation.steps().any(|step| mentions_run_in(&step.with) || differs_by_run(snapshot, &step.connection))
}

/// Whether a connection differs from run to run.
pub(super) fn differs_by_run(snapshot: &Snapshot, connection: &Name) -> bool {
    let connection = snapshot.project.connections.get(connection);
    connection.is_some_and(|connection| {
        let auth = serde_json::to_value(&connection.auth).unwrap_or_default();
        mentions_run(&auth) || connection.url.contains(PER_RUN) || mentions_run_in(&connection.options)
    })
}

fn mentions_run_in(fields: &Map<String, Value>) -> bool {
    fields.values().any(mentions_run)
}

fn mentions_run(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(PER_RUN),
        Value::Array(items) => items.iter().any(mentions_run),
        Value::Object(fields) => mentions_run_in(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The run's own variables over the deployment's.
pub(super) fn variables(snapshot: &Snapshot, overrides: &[u8]) -> Result<BTreeMap<Name, Value>, Failure> {
    let mut variables = snapshot.project.variables.clone();
    if !overrides.is_empty() {
        let overrides: BTreeMap<Name, Value> = serde_json::from_slice(overrides)
            .map_err(|_| invalid("the run's variables are not a JSON object with proper names".to_owned()))?;
        variables.extend(overrides);
    }
    Ok(variables)
}

async fn step(
    workshop: &Workshop,
    ground: Ground<'_>,
    step: &ProjectStep,
    kind: ActivityKind,
    scope: &Scope<'_>,
) -> Result<Step, Failure> {
    let access = Arc::new(Access::make(workshop, ground, &step.connection, scope).await?);
    let class = access.activity(&step.activity, |activity| activity.kind == kind)?.side_effects;
    Ok(Step {
        label: format!("{} of {}", step.activity, step.connection),
        connection: step.connection.clone(),
        access,
        activity: step.activity.clone(),
        class,
        params: fill(scope, &Value::Object(step.with.clone()))?.to_string(),
    })
}

/// What an action calls.
pub(super) struct Called {
    pub(super) step: Step,
    pub(super) records: Records,
    /// The class of the attempt.
    pub(super) class: SideEffects,
    /// How long it may take, from its offer to its end.
    pub(super) time: Duration,
}

/// Where the records of an activity go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Records {
    /// It is a source.
    Yields,
    /// It is a target.
    Takes,
}

impl Called {
    /// Makes one activity ready. What the caller handed over is taken as it is: a variable's value is not his to read.
    pub(super) fn make(access: Arc<Access>, action: &Action, most: Duration) -> Result<Self, Failure> {
        let activity = access.activity(&action.activity, |_| true)?;
        let (class, records) = match activity.kind {
            ActivityKind::Source => (activity.side_effects, Records::Yields),
            ActivityKind::Target => (activity.side_effects, Records::Takes),
        };
        let step = Step {
            label: format!("{} of {}", action.activity, action.connection),
            connection: action.connection.clone(),
            access,
            activity: action.activity.clone(),
            class,
            params: String::from_utf8_lossy(&action.with).into_owned(),
        };
        Ok(Self { step, records, class, time: action.time.min(most) })
    }
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::permanent(INVALID, message)
}
