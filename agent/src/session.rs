//! The agent's one conversation with the controller: drives [`wherry_domain::session`] over a stream.
//!
//! Heartbeats, work and results share the stream, so that a dead path cannot look alive. Nothing here waits for a
//! run; a controller that stops reading is left after a while instead.

mod dial;
mod greeting;
mod line;
mod live;
mod past;

use std::sync::Arc;

use tokio::sync::mpsc;
use wherry_daemon::{clock::Clock, exit::Exit, shutdown::Shutdown};
use wherry_domain::{
    failure::Code,
    id::InstanceId,
    retry::Jitter,
    session::{Effect, End, Event, FailureKind, Session as Machine, State},
};
use wherry_proto::frame::FromAgent;

use crate::{
    connectors::Chain, controller::Controller, executor::Executor, identity::Renewal, journal::Journal,
    keyring::Keyring, link::Address, oauth::link::Link, presence::Presence, runs::Runs, secrets::Secrets, slots::Slots,
};

/// Frames of runs that wait to be sent; beyond it progress is dropped.
const FROM_RUNS: usize = 256;

/// What a session works with.
pub struct Parts {
    /// The clock.
    pub clock: Clock,
    /// When to stop.
    pub shutdown: Shutdown,
    /// This start of the process.
    pub instance: InstanceId,
    /// The way to the controller.
    pub address: Arc<Address>,
    /// The identity, as it is renewed.
    pub renewal: Renewal,
    /// Results.
    pub journal: Arc<Journal>,
    /// Attempts in flight.
    pub runs: Runs,
    /// Room for more.
    pub slots: Slots,
    /// Takes offers.
    pub executor: Arc<Executor>,
    /// Names of secrets, for the hello.
    pub secrets: Arc<Secrets>,
    /// The group's keys.
    pub keyring: Keyring,
    /// Tokens of connections, as far as the controller has a part in them.
    pub oauth: Link,
    /// Told which connection is open.
    pub controller: Controller,
    /// Judges catalogues of connectors.
    pub chain: Chain,
    /// Told whether the agent is connected.
    pub presence: Presence,
    /// Frames of runs.
    pub from_runs: mpsc::Receiver<FromAgent>,
}

/// The session; see [`Session::run`].
pub struct Session {
    parts: Parts,
    machine: Machine,
    past: past::Past,
}

/// The queue through which runs speak.
pub fn queue() -> (mpsc::Sender<FromAgent>, mpsc::Receiver<FromAgent>) {
    mpsc::channel(FROM_RUNS)
}

/// Chance for a wait.
fn jitter() -> Jitter {
    Jitter(rand::random())
}

impl Session {
    /// A session that has not dialled yet.
    pub fn new(parts: Parts) -> Self {
        let machine = Machine::starting(parts.clock.now());
        Self { parts, machine, past: past::Past::default() }
    }

    /// Keeps the conversation going until the process stops and everything is said, or until the controller wants
    /// nothing more to do with this agent.
    pub async fn run(mut self) {
        loop {
            match self.machine.state().clone() {
                State::Down { .. } => self.wait().await,
                State::Connecting { .. } => {
                    if let Some(line) = self.dial().await {
                        self.greet(line).await;
                    }
                }
                State::Ended { end } => return self.over(&end),
                // These live inside `greet` and `live`, which leave only when the stream is gone.
                State::Greeting { .. } | State::Live { .. } | State::Draining { .. } => self.lost(),
            }
        }
    }

    /// Waits for the next attempt to dial, or for there being nothing left to dial for.
    async fn wait(&mut self) {
        let Some(due) = self.machine.deadline() else { return };
        let Parts { clock, shutdown, .. } = &self.parts;
        tokio::select! {
            () = shutdown.cancelled() => self.drained(),
            () = Self::nothing_left(&self.parts) => self.drained(),
            () = clock.sleep_until(due) => {
                // `Down` answers a due tick with `Dial`, which the loop does next.
                self.tell(Event::Tick { jitter: jitter() });
            }
        }
    }

    /// Resolves when the process stops and neither a run nor a result is left.
    async fn nothing_left(parts: &Parts) {
        parts.shutdown.stopping().await;
        parts.runs.idle().await;
        parts.journal.settled().await;
    }

    fn drained(&mut self) {
        self.tell(Event::Stop);
        self.tell(Event::Drained);
    }

    fn lost(&mut self) {
        self.tell(Event::Lost { jitter: jitter() });
    }

    fn failed(&mut self, kind: FailureKind) {
        self.tell(Event::Failed { kind, jitter: jitter() });
    }

    /// Tells the machine; gives whether the stream may go on.
    fn tell(&mut self, event: Event) -> bool {
        let effects = self.machine.on(event, self.parts.clock.now());
        !effects.iter().any(|effect| match effect {
            Effect::Close | Effect::GiveUp { .. } => true,
            Effect::Dial | Effect::SendHello => false,
        })
    }

    fn over(&self, end: &End) {
        match end {
            End::Stopped => tracing::info!("the conversation with the controller is over"),
            End::Final(code) => {
                let reason = format!("the controller refuses this agent ({code}), see the controller's agent list");
                tracing::error!(%code, "the controller refuses this agent");
                self.parts.shutdown.cancel(reason, exit_of(code));
            }
        }
    }
}

/// Every final refusal is one of identity.
fn exit_of(_: &Code) -> Exit {
    Exit::Permission
}
