//! Runs: takes offers, holds a slot for each, and carries them out on a runtime of their own. Questions about
//! connections are answered beside them.

mod access;
mod allowed;
mod asks;
mod attempt;
mod counters;
mod cover;
mod cursor;
mod deployed;
mod errand;
mod flow;
mod gate;
mod kept;
mod log;
mod memory;
mod plan;
mod plans;
mod programs;
mod scene;
mod side;
mod stage;
mod tally;
mod target;
mod team;
mod voice;
mod words;

use std::{convert::Infallible, sync::Arc};

use tokio::{runtime::Handle, sync::mpsc};
use wherry_daemon::{
    clock::Clock,
    shutdown::Shutdown,
    tasks::{OnStop, Tasks},
};
use wherry_domain::{
    connection::ConnectionPath,
    digest::Digest,
    failure::{Code, Failure},
    lease::LeaseTerms,
    name::Name,
    time::Timestamp,
};
use wherry_proto::frame::{Attempt, Desired, FromAgent, Offer};

use self::{
    allowed::Allowed, asks::Asks, attempt::Attempting, cover::Cover, plan::Workshop, plans::Plans, voice::Voice,
};
use crate::{
    actions::Answers as KeptAnswers, auth::Tokens, config::Answers, connectors::Connectors, deployments::Deployments,
    egress::Endpoints, journal::Journal, keyring::Left, policy::Policy, runs::Runs, secrets::Secrets, slots::Slots,
    transforms::Transforms,
};

/// The agent stops.
const DRAINING: Code = Code::new("agent.draining");
/// More offers than slots.
const NO_SLOT: Code = Code::new("agent.no_slot");
/// Another attempt of the same run is still here.
const RUN_HELD: Code = Code::new("agent.run_held");
/// The disk reserve is breached.
const NO_ROOM: Code = Code::new("store.full");
/// Too many results wait for the controller.
const OUTBOX_FULL: Code = Code::new("agent.outbox_full");

/// What an executor works with.
pub struct Parts {
    /// What this agent calls itself.
    pub name: Name,
    /// The clock.
    pub clock: Clock,
    /// Where logins run.
    pub tasks: Tasks,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Where runs run, apart from everything else.
    pub runtime: Handle,
    /// Results.
    pub journal: Arc<Journal>,
    /// Attempts in flight.
    pub runs: Runs,
    /// Room for them.
    pub slots: Slots,
    /// Deployments.
    pub deployments: Deployments,
    /// Connectors.
    pub connectors: Connectors,
    /// The box for transformations.
    pub transforms: Transforms,
    /// Ways out.
    pub endpoints: Endpoints,
    /// Secrets.
    pub secrets: Arc<Secrets>,
    /// Tokens of OAuth 2.0.
    pub tokens: Arc<dyn Tokens>,
    /// Seals what runs leave with the controller for other agents of the group.
    pub left: Left,
    /// What connectors write that may leave the agent.
    pub answers: Answers,
    /// What the owner allows at all.
    pub policy: Policy,
    /// The way to the session.
    pub to_session: mpsc::Sender<FromAgent>,
}

/// Carries out runs.
pub struct Executor {
    shared: Arc<Shared>,
    runtime: Handle,
    slots: Slots,
    asks: Asks,
}

/// What every attempt needs.
struct Shared {
    clock: Clock,
    shutdown: Shutdown,
    journal: Arc<Journal>,
    runs: Runs,
    plans: Plans,
    left: Left,
    voice: Voice,
    /// What the owner lets out.
    allowed: Allowed,
    kept_answers: KeptAnswers,
}

impl Shared {
    /// Over what an attempt leaves for the next one.
    fn cover(&self, offer: &Offer, path: &ConnectionPath) -> Cover {
        Cover::new(Some(self.left.clone()), offer.attempt.run.to_string(), path)
    }
}

impl Executor {
    /// An executor without runs.
    pub fn new(parts: Parts) -> Self {
        let Parts { name, clock, shutdown, runtime, journal, runs, slots, left, answers, policy, .. } = parts;
        let (farewell, stopping, at_work) = (parts.endpoints.farewell(), shutdown.clone(), runs.clone());
        parts.tasks.work("sessions at systems", OnStop::Finish, async move {
            stopping.stopping().await;
            at_work.idle().await;
            farewell.say();
            Ok::<(), Infallible>(())
        });
        let workshop = Workshop {
            connectors: parts.connectors,
            endpoints: parts.endpoints,
            secrets: parts.secrets,
            tokens: parts.tokens,
            clock: clock.clone(),
            tasks: parts.tasks,
            transforms: parts.transforms,
            policies: arc_swap::ArcSwap::default(),
            policy: policy.clone(),
        };
        let plans = Plans::new(name, parts.deployments, workshop);
        let voice = Voice::new(parts.to_session);
        let kept_answers = KeptAnswers::new(clock.clone());
        let allowed = Allowed { own: answers, policy };
        let asks = Asks::new(allowed.clone());
        let shared = Arc::new(Shared { clock, shutdown, journal, runs, plans, left, voice, allowed, kept_answers });
        Self { shared, runtime, slots, asks }
    }

    /// Takes an offer. `since` is when the stream that carried it was last known to be alive.
    ///
    /// # Errors
    /// With the reason to give it back; nothing was begun or written then.
    pub fn accept(&self, offer: Offer, terms: LeaseTerms, since: Timestamp) -> Result<(), Failure> {
        let Shared { shutdown, journal, runs, .. } = &*self.shared;
        let attempt = offer.attempt;
        if runs.holds(attempt) || journal.holds(attempt) {
            // Said twice.
            return Ok(());
        }
        if shutdown.is_stopping() {
            return Err(Failure::retry(DRAINING, "the agent is stopping"));
        }
        if journal.is_full() {
            return Err(Failure::retry(OUTBOX_FULL, "too many results of this agent wait to be acknowledged"));
        }
        if !journal.has_room() {
            return Err(Failure::retry(NO_ROOM, "the agent's disk is nearly full"));
        }
        self.slots.open().map_err(|refusal| refusal.failure())?;
        let permit = self.slots.take().ok_or_else(|| Failure::retry(NO_SLOT, "every slot of the agent is taken"))?;
        let running = runs.begin(attempt, terms, since).ok_or_else(|| {
            Failure::retry(RUN_HELD, "an earlier attempt of the run is still being stopped on this agent")
        })?;
        let attempting = Attempting::new(Arc::clone(&self.shared), permit, running);
        self.runtime.spawn(attempting.run(offer));
        Ok(())
    }

    /// What the organisation wants of the agent's group now.
    pub fn desired(&self, desired: &Desired) {
        self.shared.plans.desired(desired);
    }

    /// A session began or ended.
    pub fn connected(&self, live: bool) {
        self.shared.plans.connected(live);
    }

    /// The answer of an action, for its result; an empty one if the owner lets none out.
    pub fn answer(&self, attempt: Attempt) -> Option<Vec<u8>> {
        match self.shared.allowed.actions() {
            Ok(()) => self.shared.kept_answers.of(attempt),
            // Not even what was made while he let them out.
            Err(_) => Some(Vec::new()),
        }
    }

    /// The connectors that are ready, for a hello.
    pub fn connectors(&self) -> Vec<Digest> {
        self.shared.plans.connectors()
    }
}
