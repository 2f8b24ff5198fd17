//! An attempt that is one action: an activity of a connection with what a caller handed over, and the answer that the
//! caller waits for.

mod document;
mod driver;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::timeout;
use wherry_domain::{
    effects::SideEffects,
    execution::{Ending, Event, Execution, Stage, Stored},
    failure::{Code, Failure},
    run::Outcome,
};
use wherry_proto::frame::{self, Action, Offer};

use self::driver::{Driven, Driver};
use super::{Attempting, DEFECT, Remains};
use crate::executor::{
    errand::Errand,
    flow::Over,
    log::RunLog,
    plan::{Called, Records},
    plans::LOCK_BEHIND,
};

/// What connectors read stays on the agent.
const NOT_ALLOWED: Code = Code::new("action.answers_not_allowed");
/// The connector is not at hand yet.
const NOT_READY: Code = Code::new("connector.not_ready");

impl Attempting {
    /// Carries an action out; everything about records of attempts holds as for an operation.
    pub(super) async fn act(mut self, offer: Offer, action: Action) {
        let shared = Arc::clone(&self.shared);
        // The time is the caller's: what preparing takes of it, the work does not have.
        let left = self.began.plus(action.time).since(shared.clock.now());
        let prepared = tokio::select! {
            biased;
            cause = self.running.stopped() => return self.stopped_early(cause).await,
            prepared = timeout(left, shared.plans.for_action(&offer, &action)) => prepared,
        };
        let late = || Failure::retry(NOT_READY, "the connector was not ready in time: it is still being prepared");
        let prepared = prepared.unwrap_or_else(|_| Err(late()));
        let lets_out = shared.allowed.actions();
        let answers = action.answer && lets_out.is_ok();
        let ready = prepared.and_then(|called| {
            let called = admitted(called, answers, lets_out)?;
            let cover = shared.cover(&offer, called.step.access.path());
            Ok((called, Errand::new(&offer, cover)?))
        });
        let (called, errand) = match ready {
            Ok(ready) => ready,
            Err(failure) if failure.code == LOCK_BEHIND => return self.decline(failure).await,
            Err(failure) => {
                (self.trial, self.ran) = shared.plans.tried(&offer, Some(&action), &failure).await;
                return self.failed_early(failure).await;
            }
        };
        self.trial = called.step.access.on_trial.iter().cloned().collect();
        self.ran = vec![called.step.access.ran.clone()];
        // Which version was on trial is told even if this process dies.
        self.reading = called.class == SideEffects::Read && self.trial.is_empty();
        if let Some((attempting, machine)) = self.started(called.class, Duration::ZERO).await {
            attempting.drive((called, errand), action, answers, machine).await;
        }
    }

    async fn drive(self, (called, errand): (Called, Errand), action: Action, answers: bool, mut machine: Execution) {
        let shared = Arc::clone(&self.shared);
        let deadline = self.began.plus(called.time);
        let text = shared.allowed.connector_text();
        let mut driver =
            Driver::new(&shared.clock, &self.running, (&called, &errand), (&action, deadline), (answers, text));
        let over = AssertUnwindSafe(driver.run(&mut machine)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(run = %errand.run, "an action panicked");
            let failure = Failure::permanent(DEFECT, "the agent has a defect, see its log");
            Over::Ended(Outcome::Failed(failure.after_effects(true)))
        });
        let Driven { counts, effects_begun, document, states } = driver.driven();
        let event = match over {
            Over::Abandoned => return,
            Over::Killed => Event::Killed { effects_begun },
            Over::Ended(outcome) => Event::Exited { outcome },
        };
        let effects = machine.on(event, shared.clock.now());
        let Some(Stored::Finished(ending)) = machine.stored(Stage::Finished) else {
            return self.pruned(&effects);
        };
        let mut log = RunLog::new(shared.clock.clone());
        log.info(format!("{}: {} records, {} refused", called.step.label, counts.read, counts.rejected));
        let ending = match ending {
            Ending::Ended(outcome) => frame::Ending::Ended(outcome),
            Ending::Interrupted => frame::Ending::Interrupted,
        };
        if let frame::Ending::Ended(Outcome::Failed(failure)) = &ending {
            log.error(failure.to_string());
        }
        if let Some(document) = document {
            // Before the result is there to be sent.
            shared.kept_answers.keep(self.running.attempt(), document);
        }
        let earlier = frame::Counts::default();
        self.finish(Remains { ending, counts, earlier, log: log.take(), cursor: None, states }).await;
    }
}

/// What only reads is worth nothing to a caller who may not see what was read.
fn admitted(called: Called, answers: bool, lets_out: Result<(), Failure>) -> Result<Called, Failure> {
    if answers || called.records == Records::Takes || called.step.class != SideEffects::Read {
        return Ok(called);
    }
    lets_out?;
    let message = "what connectors read stays on this agent: the organisation's policy allow_answers is off";
    Err(Failure::permanent(NOT_ALLOWED, message))
}
