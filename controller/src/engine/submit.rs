//! Submitting runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tokio::sync::oneshot;
use wherry_daemon::{ids, store::record};
use wherry_domain::{
    digest::Digest,
    effects::SideEffects,
    id::RunId,
    name::Name,
    project::{Operation, Snapshot, check::nearest},
    run::{Outcome, Run, Terms},
};

use super::{
    Ledger, Refusal, Turn, seats,
    state::{ActiveRun, Current},
};
use crate::model::{KEYS, RunRecord, RunSpec, SCHEMA};
use wherry_proto::frame::Counts;

/// How many runs may follow from one: on_success and on_failure cannot form a circle within a
/// deployment, but a new deployment may close one.
const MAX_DEPTH: u32 = 100;
/// Largest set of variable overrides, in bytes.
const MAX_VARIABLES: usize = 32 << 10;

/// A request to run an operation.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Where.
    pub environment: Name,
    /// Of which project, if the operation's name alone does not tell.
    pub project: Option<Name>,
    /// What.
    pub operation: Name,
    /// Variable overrides.
    pub variables: BTreeMap<Name, Value>,
    /// The same key and body give the same run.
    pub idempotency: Option<Idempotency>,
    /// Who asks.
    pub who: String,
    /// Whether the caller waits for the end.
    pub wait: bool,
}

/// An idempotency key with the digest of the body it came with.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// SHA-256 of caller and key.
    pub key: Digest,
    /// SHA-256 of the request.
    pub body: Digest,
}

/// The answer to a submission.
pub struct Submitted {
    /// The run.
    pub record: RunRecord,
    /// Resolves with the run once it is over, if the caller waits.
    pub over: Option<oneshot::Receiver<Arc<RunRecord>>>,
}

/// What an idempotency key stands for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredKey {
    run: RunId,
    body: Digest,
    /// Unix milliseconds.
    pub(super) at_ms: u64,
}

impl Ledger {
    /// Submits a run; it is durable when this answers.
    ///
    /// # Errors
    /// If the operation or a variable is not known, too many runs wait, or the idempotency key came
    /// with another body.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Refusal> {
        self.begin(move |turn| {
            if let Some(known) = turn.repeated_key(submission.idempotency.as_ref())? {
                return turn.submitted(known, submission.wait);
            }
            let run = turn.accept(&submission)?;
            if let Some(idempotency) = &submission.idempotency {
                turn.keep_key(idempotency, run);
            }
            turn.submitted(run, submission.wait)
        })
        .await
    }
}

impl Turn<'_> {
    fn submitted(&mut self, run: RunId, wait: bool) -> Result<Submitted, Refusal> {
        let record = self.run(run)?;
        let over = wait.then(|| self.end_of(&record));
        Ok(Submitted { record, over })
    }

    /// Remembers which run a key stands for.
    pub(super) fn keep_key(&mut self, idempotency: &Idempotency, run: RunId) {
        let stored = StoredKey { run, body: idempotency.body, at_ms: self.wall_ms };
        self.put(KEYS, *idempotency.key.as_bytes(), &stored);
        self.keys.insert(idempotency.key, stored);
    }

    /// The run that the key stands for.
    pub(super) fn repeated_key(&self, idempotency: Option<&Idempotency>) -> Result<Option<RunId>, Refusal> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let Some(known) = self.known_key(&idempotency.key)? else { return Ok(None) };
        if known.body != idempotency.body {
            let message = "this idempotency key came with another request before: use a new key";
            return Err(Refusal::conflict("request.idempotency_mismatch", message));
        }
        Ok(Some(known.run))
    }

    fn known_key(&self, key: &Digest) -> Result<Option<StoredKey>, Refusal> {
        if let Some(of_this_turn) = self.keys.get(key) {
            return Ok(Some(of_this_turn.clone()));
        }
        let stored = self.store.get(KEYS, key.as_bytes()).map_err(|error| Refusal::read(&error))?;
        stored.map(|bytes| record::decode(SCHEMA, &bytes)).transpose().map_err(|error| Refusal::read(&error))
    }

    /// Whether another run may be asked for. What follows from a run takes that run's place and is
    /// never refused.
    pub(super) fn has_place(&self) -> Result<(), Refusal> {
        let most = self.state.settings.max_active;
        if self.state.runs.len() < most {
            return Ok(());
        }
        Err(Refusal { message: format!("{most} runs wait or run already: try again later"), ..Refusal::busy() })
    }

    fn accept(&mut self, submission: &Submission) -> Result<RunId, Refusal> {
        self.has_place()?;
        let current =
            self.find_operation(&submission.environment, submission.project.as_ref(), &submission.operation)?;
        let variables = overrides(&current, &submission.variables)?;
        let spec = self.spec(&current, &submission.operation, variables, submission.who.clone())?;
        Ok(self.enqueue(RunSpec { synchronous: submission.wait, ..spec }))
    }

    /// Submits a finished run anew, in the newest deployment.
    pub(super) fn again(&mut self, record: RunRecord, who: String) -> Result<RunId, Refusal> {
        self.has_place()?;
        repeatable(&record.spec)?;
        let RunSpec { environment, project, operation, variables, id, .. } = record.spec;
        let name = self.state.environment(environment).map(|found| found.name.clone());
        let name = name.ok_or_else(|| Refusal::not_found("environment.not_found", "the run's environment is gone"))?;
        let current = self.find_operation(&name, Some(&project), &operation)?;
        let spec = self.spec(&current, &operation, variables, who)?;
        Ok(self.enqueue(RunSpec { caused_by: Some(id), ..spec }))
    }

    /// Starts `on_success` or `on_failure` of a run that is over.
    pub(super) fn follow_up(&mut self, run: RunId, outcome: &Outcome) {
        let Some(active) = self.state.runs.get(&run) else { return };
        let done = active.record.spec.clone();
        if done.action.is_some() {
            return;
        }
        let Some(current) = self.state.current.get(&(done.environment, done.project.clone())).cloned() else { return };
        let Some(operation) = current.snapshot.project.operations.get(&done.operation) else { return };
        let next = match outcome {
            Outcome::Succeeded => operation.on_success.clone(),
            Outcome::Failed(_) => operation.on_failure.clone(),
            Outcome::Cancelled => None,
        };
        let Some(next) = next.filter(|_| done.depth < MAX_DEPTH) else { return };
        let by = format!("operation {}", done.operation);
        let spec = self.spec(&current, &next, done.variables, by);
        match spec {
            Ok(spec) => drop(self.enqueue(RunSpec { caused_by: Some(run), depth: done.depth + 1, ..spec })),
            Err(refusal) => {
                tracing::error!(%run, operation = %next, %refusal, "could not start the following operation");
            }
        }
    }

    fn spec(
        &self,
        current: &Current,
        operation: &Name,
        variables: Option<Box<RawValue>>,
        by: String,
    ) -> Result<RunSpec, Refusal> {
        let Current { deployment, snapshot } = current;
        let found = snapshot.project.operations.get(operation).ok_or_else(|| unknown_operation(operation, None))?;
        let environment = self.state.environment(deployment.environment);
        let group = environment.map(|environment| environment.group);
        let group = group.ok_or_else(|| Refusal::not_found("environment.not_found", "the environment is gone"))?;
        let activities = activities(snapshot, found);
        let calls = activities.iter().map(|(connector, activity)| (connector, activity.as_str()));
        let locked = self.class_under(&snapshot.environment, calls, &[]);
        let deployed = snapshot.side_effects.get(operation).copied().unwrap_or(SideEffects::Unsafe);
        let side_effects = locked.map_or(deployed, |locked| locked.max(deployed));
        Ok(RunSpec {
            id: ids::new_id(),
            environment: deployment.environment,
            group,
            project: deployment.project.clone(),
            operation: operation.clone(),
            deployment: deployment.id,
            number: deployment.number,
            snapshot: deployment.digest,
            variables,
            terms: self.terms(found, side_effects),
            submitted_ms: self.wall_ms,
            by,
            caused_by: None,
            depth: 0,
            synchronous: false,
            connections: connections(snapshot, found),
            activities,
            tied: seats::tied(&snapshot.project, found),
            secrets: seats::secrets(&snapshot.project, found.steps().map(|step| &step.connection)),
            action: None,
        })
    }

    const fn terms(&self, operation: &Operation, side_effects: SideEffects) -> Terms {
        let lease = self.state.settings.lease;
        Terms { side_effects, retry: operation.retry, offline_term: operation.offline_term, lease }
    }

    pub(super) fn enqueue(&mut self, spec: RunSpec) -> RunId {
        let run = spec.id;
        let machine = Run::submitted(spec.terms, self.state.generation, self.now);
        let lane = seats::lane(&spec, self.state);
        if let Some(group) = self.state.groups.get_mut(&spec.group) {
            group.queue.push(lane, run, self.now, spec.synchronous);
        }
        self.state.touched.insert(spec.group);
        let record = RunRecord {
            stored: machine.stored(),
            spec,
            agent: None,
            counts: Counts::default(),
            earlier: Counts::default(),
            cursor: None,
            started_ms: None,
            finished_ms: None,
            log_chunks: 0,
            log_lines: 0,
            late_results: 0,
            history: Vec::new(),
        };
        self.state.runs.insert(run, ActiveRun::new(machine, record));
        self.changed(run);
        run
    }

    fn find_operation(&self, environment: &Name, project: Option<&Name>, operation: &Name) -> Result<Current, Refusal> {
        let environment = self.environment(environment)?;
        let here = self.state.current.range((environment.id, Name::lowest())..);
        let here = here.take_while(|((id, _), _)| *id == environment.id).map(|(_, current)| current);
        let wanted: Vec<&Current> =
            here.filter(|current| project.is_none_or(|name| *name == current.deployment.project)).collect();
        let mut having = wanted.iter().filter(|current| current.snapshot.project.operations.contains_key(operation));
        match (having.next(), having.next()) {
            (Some(one), None) => Ok((*one).clone()),
            (Some(one), Some(other)) => Err(Refusal::conflict(
                "operation.ambiguous",
                format!(
                    "projects {} and {} both have an operation {operation}: name the project",
                    one.deployment.project, other.deployment.project
                ),
            )),
            (None, _) => {
                let known = wanted.iter().flat_map(|current| current.snapshot.project.operations.keys());
                Err(unknown_operation(operation, nearest(operation.as_str(), known.map(Name::as_str))))
            }
        }
    }
}

/// Refuses to repeat an action.
pub(super) fn repeatable(spec: &RunSpec) -> Result<(), Refusal> {
    if spec.action.is_none() {
        return Ok(());
    }
    let message = format!("{} was an action, and what it was called with is not kept: call it again", spec.id);
    Err(Refusal::conflict("action.not_repeatable", message))
}

/// What the operation works with, each connection once.
fn connections(snapshot: &Snapshot, operation: &Operation) -> Vec<(Name, Name)> {
    let used: BTreeSet<&Name> = operation.steps().map(|step| &step.connection).collect();
    let found = used.into_iter().filter_map(|name| Some((name, snapshot.project.connections.get(name)?)));
    found.map(|(name, connection)| (name.clone(), connection.connector.clone())).collect()
}

/// What the operation calls.
fn activities(snapshot: &Snapshot, operation: &Operation) -> Vec<(Name, String)> {
    let connector = |connection| Some(snapshot.project.connections.get(connection)?.connector.clone());
    let calls = operation.steps().filter_map(|step| Some((connector(&step.connection)?, step.activity.clone())));
    calls.collect()
}

fn unknown_operation(name: &Name, near: Option<String>) -> Refusal {
    let hint = near.map_or_else(|| "see wherry operation list".to_owned(), |near| format!("did you mean {near}?"));
    Refusal::not_found("operation.not_found", format!("no deployed operation is called {name}: {hint}"))
}

fn overrides(current: &Current, variables: &BTreeMap<Name, Value>) -> Result<Option<Box<RawValue>>, Refusal> {
    if variables.is_empty() {
        return Ok(None);
    }
    let declared = &current.snapshot.project.variables;
    if let Some(unknown) = variables.keys().find(|name| !declared.contains_key(*name)) {
        let hint = nearest(unknown.as_str(), declared.keys().map(Name::as_str));
        let hint = hint.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        let message = format!("project {} declares no variable {unknown}{hint}", current.deployment.project);
        return Err(Refusal::invalid("run.variable_unknown", message));
    }
    let raw = serde_json::value::to_raw_value(variables);
    let raw = raw.map_err(|error| Refusal::invalid("request.invalid", error.to_string()))?;
    if raw.get().len() > MAX_VARIABLES {
        return Err(Refusal::invalid(
            "run.variables_too_large",
            format!("variables have at most {MAX_VARIABLES} bytes"),
        ));
    }
    Ok(Some(raw))
}
