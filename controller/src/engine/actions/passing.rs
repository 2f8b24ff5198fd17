//! From the end of an action's run to those who wait for it; and the books of throttled connections.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;
use wherry_domain::{
    id::RunId,
    name::Name,
    run::{Event, State as RunState},
};

use super::Passed;
use crate::{
    engine::{Kind, Refusal, Turn, state::Current},
    model::RunRecord,
};

impl Turn<'_> {
    /// Resolves once the run is over, or nobody knows whether it is: at once, if that is so now.
    pub(super) fn passage(&mut self, record: &RunRecord) -> oneshot::Receiver<Passed> {
        let (sender, receiver) = oneshot::channel();
        match self.state.runs.get_mut(&record.spec.id) {
            Some(active) if !matches!(active.machine.state(), RunState::Unknown { .. }) => {
                active.callers.retain(|caller| !caller.is_closed());
                active.callers.push(sender);
            }
            Some(_) | None => {
                // The receiver is in our hands, so this cannot fail.
                drop(sender.send(Passed { record: Arc::new(record.clone()), answer: None }));
            }
        }
        receiver
    }

    /// Nobody knows whether the action was done: those who wait are told so.
    pub(in crate::engine) fn action_held(&mut self, run: RunId) {
        self.throttle_ended(run);
        let Ok(record) = self.run(run) else { return };
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        let record = Arc::new(record);
        let callers =
            active.callers.drain(..).map(|caller| (caller, Passed { record: Arc::clone(&record), answer: None }));
        self.out.passed.extend(callers);
    }

    /// Ends an action that waits in vain: nobody waits for it any more, or what it was to do is not known any more.
    /// It is cancelled only if no agent can have begun it. Whether it ended.
    pub(in crate::engine) fn give_up_action(&mut self, run: RunId) -> bool {
        let Some(active) = self.state.runs.get(&run) else { return false };
        let waits = matches!(active.machine.state(), RunState::Queued { .. });
        let in_vain = active.input.as_ref().is_none_or(|input| input.until <= self.now);
        let ends = active.record.spec.action.is_some() && waits && in_vain;
        if ends {
            self.event(run, Event::GivenUp);
        }
        ends
    }

    /// Whether the connection may be called once more now.
    pub(super) fn throttle(&mut self, current: &Current, connection: &Name, caller: &str) -> Result<(), Refusal> {
        let limits = current.snapshot.project.connections.get(connection).and_then(|found| found.throttle);
        let Some(limits) = limits else { return Ok(()) };
        let key = (current.deployment.environment, current.deployment.project.clone(), connection.clone());
        let now = self.now;
        let admitted = self.state.throttles.entry(key).or_default().admit(&limits, caller, now);
        admitted.map_err(|wait| {
            let seconds = wait.max(Duration::from_millis(1)).as_secs_f64();
            let message = format!("connection {connection} is called too often: try again in {seconds:.1} s");
            Refusal { retry_after: Some(wait), ..Refusal::new(Kind::Throttled, "action.throttled", message) }
        })
    }

    /// An action has ended, or nobody waits for its end.
    pub(in crate::engine) fn throttle_ended(&mut self, run: RunId) {
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        let spec = &active.record.spec;
        let Some((called, input)) = spec.action.as_ref().zip(active.input.take()) else { return };
        self.state.inputs.release(spec.group, &input);
        let key = (spec.environment, spec.project.clone(), called.connection.clone());
        if let Some(throttle) = self.state.throttles.get_mut(&key) {
            throttle.ended();
        }
    }

    /// Forgets connections that nobody has called for a while.
    pub(in crate::engine) fn sweep_throttles(&mut self) {
        let now = self.now;
        let current = &self.state.current;
        self.state.throttles.retain(|(environment, project, connection), throttle| {
            let deployed = current.get(&(*environment, project.clone()));
            let limits = deployed.and_then(|one| one.snapshot.project.connections.get(connection)?.throttle);
            limits.is_some_and(|limits| {
                throttle.forget(&limits, now);
                !throttle.is_idle()
            })
        });
    }
}
