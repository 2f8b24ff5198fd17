//! Actions: one activity of a connection, called by an application that waits for the answer.
//!
//! ```text
//! call ─► known? allowed? input right? throttled? ─► a run, durable ─► queue, reserved slot ─► agent ─► result and answer ─► caller
//! ```
//!
//! A run like any other, with a fence and a side-effect class. What the caller hands over and what comes back live in
//! memory only, and go with the run.

mod input;
mod inputs;
mod passing;

pub(super) use inputs::Inputs;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::sync::oneshot;
use wherry_daemon::ids;
use wherry_domain::{
    effects::SideEffects,
    name::Name,
    project::check::{ActivityKind, nearest},
    retry::RetryRule,
    run::Terms,
    time::Timestamp,
};
use wherry_proto::frame;

use super::{Idempotency, Kind, Ledger, Refusal, Turn, seats, state::Current};
use crate::model::{Called, Connector, RunRecord, RunSpec};

/// What an application calls.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where.
    pub environment: Name,
    /// Of which project, if the name alone does not tell.
    pub project: Option<Name>,
    /// An alias, or a connection.
    pub name: Name,
    /// One of its activities.
    pub activity: String,
    /// The activity's parameters.
    pub with: Map<String, Value>,
    /// Records for a target.
    pub records: Vec<Value>,
    /// The same key and body give the same answer.
    pub idempotency: Option<Idempotency>,
    /// Who asks.
    pub who: String,
    /// Within this time the caller wants an answer; at most [`wherry_proto::MAX_ASK`].
    pub time: Duration,
}

/// A call that was accepted.
pub struct Calling {
    /// Its run.
    pub record: RunRecord,
    /// Resolves once the run is over, or nobody knows whether it is.
    pub over: oneshot::Receiver<Passed>,
    /// The same call came before.
    pub repeated: bool,
    /// Whether answers may leave as things are now; when the call came first, they may have.
    pub answers: bool,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Its run.
    pub record: Arc<RunRecord>,
    /// What the agent answered: a JSON document.
    pub answer: Option<Arc<Vec<u8>>>,
}

/// What a caller handed over; it is never stored.
#[derive(Clone, Debug)]
pub(super) struct Input {
    with: Vec<u8>,
    records: Vec<u8>,
    pub(super) until: Timestamp,
}

impl Ledger {
    /// Calls an activity. The run is durable when this answers, unless it only reads.
    ///
    /// # Errors
    /// If there is no such connection or activity, the input is not what the connector asks for, the connection is
    /// called too often, its answer may not leave and nothing else would come of it, or the idempotency key came with
    /// another body.
    pub async fn call(&self, call: Call) -> Result<Calling, Refusal> {
        let (call, input, class) = self.examined(call).await?;
        // Who comes with a key may ask for a run that has just ended.
        if class == SideEffects::Read && call.idempotency.is_none() {
            return self.begin_reading(move |turn| turn.call(&call, input)).await;
        }
        self.begin(move |turn| turn.call(&call, input)).await
    }
}

impl Turn<'_> {
    fn call(&mut self, call: &Call, input: (Vec<u8>, Vec<u8>)) -> Result<Calling, Refusal> {
        let answers = self.policies(&call.environment).allow_answers;
        if let Some(known) = self.repeated_key(call.idempotency.as_ref())? {
            let record = self.run(known)?;
            let over = self.passage(&record);
            return Ok(Calling { record, over, repeated: true, answers });
        }
        self.has_place()?;
        let (current, connection) = self.find_called(&call.environment, call.project.as_ref(), &call.name)?;
        let called = self.called(call, &current, connection)?;
        let group = self.environment(&call.environment)?.group;
        let (with, records) = input;
        self.state.inputs.has_room(group, with.len().saturating_add(records.len()))?;
        self.throttle(&current, &called.connection, &call.who)?;
        let spec = self.action_spec(call, &current, called)?;
        let run = self.enqueue(spec);
        let until = self.now.plus(call.time);
        if let Some(active) = self.state.runs.get_mut(&run) {
            let input = Input { with, records, until };
            self.state.inputs.hold(group, &input);
            active.input = Some(input);
        }
        self.state.timers.insert((until, run));
        if let Some(idempotency) = &call.idempotency {
            self.keep_key(idempotency, run);
        }
        let record = self.run(run)?;
        let over = self.passage(&record);
        Ok(Calling { record, over, repeated: false, answers })
    }

    /// What is called, and whether its answer may leave.
    fn called(&self, call: &Call, current: &Current, connection: Name) -> Result<Called, Refusal> {
        let connector = self.connector_of(current, &call.environment, &connection)?;
        let (kind, class) = activity(connector, &call.activity)?;
        let answer = self.policies(&call.environment).allow_answers;
        if !answer && kind == ActivityKind::Source && class == SideEffects::Read {
            let message = "answers may not leave the network of this environment's agents, and this activity only reads: an administrator allows them with wherry policy set allow_answers true";
            return Err(Refusal::new(Kind::Forbidden, "action.answers_not_allowed", message));
        }
        Ok(Called { name: call.name.clone(), connection, activity: call.activity.clone(), class, answer })
    }

    /// The version of a connection's connector that runs there.
    pub(super) fn connector_of(
        &self,
        current: &Current,
        environment: &Name,
        connection: &Name,
    ) -> Result<&Connector, Refusal> {
        let connector = current.snapshot.project.connections.get(connection).map(|found| &found.connector);
        let missing = || Refusal::not_found("connector.not_found", format!("the connector of {connection} is gone"));
        connector.and_then(|name| self.chosen(environment, name)).ok_or_else(missing)
    }

    fn action_spec(&self, call: &Call, current: &Current, called: Called) -> Result<RunSpec, Refusal> {
        let Current { deployment, snapshot } = current;
        let environment = self.environment(&call.environment)?;
        let connector = self.connector_of(current, &call.environment, &called.connection)?.name.clone();
        let terms = Terms {
            side_effects: called.class,
            // The caller decides whether to try again.
            retry: RetryRule { attempts: 1, ..RetryRule::default() },
            offline_term: Duration::ZERO,
            lease: self.state.settings.lease,
        };
        Ok(RunSpec {
            id: ids::new_id(),
            environment: deployment.environment,
            group: environment.group,
            project: deployment.project.clone(),
            operation: call.name.clone(),
            deployment: deployment.id,
            number: deployment.number,
            snapshot: deployment.digest,
            variables: None,
            terms,
            submitted_ms: self.wall_ms,
            by: call.who.clone(),
            caused_by: None,
            depth: 0,
            synchronous: true,
            tied: seats::tied_to(&snapshot.project, &called.connection),
            secrets: seats::secrets(&snapshot.project, [&called.connection]),
            connections: vec![(called.connection.clone(), connector)],
            activities: Vec::new(),
            action: Some(called),
        })
    }
}

/// Whether an activity yields or takes records, and its class.
fn activity(connector: &Connector, name: &str) -> Result<(ActivityKind, SideEffects), Refusal> {
    let found = connector.activities.iter().find(|activity| activity.name == name);
    let unknown = || {
        let known: Vec<&str> = connector.activities.iter().map(|activity| activity.name.as_str()).collect();
        let near = nearest(name, known.iter().copied());
        let hint = near.map_or_else(|| format!("it has {}", known.join(", ")), |near| format!("did you mean {near}?"));
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let message = format!("connector {} has no activity {shown}: {hint}", connector.name);
        Refusal::not_found("action.activity_unknown", message)
    };
    found.map(|activity| (activity.kind, activity.side_effects)).ok_or_else(unknown)
}

impl Input {
    /// What the agent is told, at `now`.
    pub(super) fn action(&self, called: &Called, now: Timestamp) -> frame::Action {
        frame::Action {
            connection: called.connection.clone(),
            activity: called.activity.clone(),
            with: self.with.clone(),
            records: self.records.clone(),
            time: self.until.since(now),
            answer: called.answer,
        }
    }
}
