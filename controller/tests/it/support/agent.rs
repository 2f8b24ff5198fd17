//! An agent without a network: it says and hears frames.

use std::{collections::VecDeque, time::Duration};

use tokio::sync::mpsc;
use wherry_controller::engine::{Admission, EnrolRequest, Opened, Refusal};
use wherry_daemon::ids;
use wherry_domain::{
    epoch::Epoch,
    failure::{Code, Failure},
    id::{AgentId, InstanceId},
    retry::Jitter,
    run::Outcome,
};
use wherry_proto::frame::{
    Attempt, Counts, Ending, FromAgent, FromController, Heartbeat, Hello, InFlight, Offer, Report, Stage, Welcome,
};
use wherry_trust::{
    keys::sha256,
    names::AgentIdentity,
    token::{AuthPart, EnrolmentToken, SpkiPin},
};

use super::{Bench, name, soon};

/// Frames that wait for an agent, as on the wire.
const OUTBOUND: usize = 512;

pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) identity: AgentIdentity,
    pub(crate) instance: InstanceId,
    pub(crate) slots: u32,
    /// Frames that may wait for it.
    pub(crate) room: usize,
    pub(crate) epoch: Epoch,
    next_seq: u64,
    /// Heard while waiting for something else.
    aside: VecDeque<FromController>,
    frames: mpsc::Receiver<FromController>,
}

impl Agent {
    /// Enrols an agent in group `berlin`.
    pub(crate) async fn enrol(bench: &Bench, called: &str, slots: u32) -> Self {
        let token = EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap();
        invite(bench, &token, 600).await;
        Self::enrol_with(bench, called, slots, &token).await
    }

    /// Enrols an agent with a token that was made before.
    pub(crate) async fn enrol_with(bench: &Bench, called: &str, slots: u32, token: &EnrolmentToken) -> Self {
        let admission = soon(bench.ledger.admit(request(token, called, called.as_bytes()))).await.unwrap();
        let Admission { organisation, group, agent, .. } = admission;
        let identity = AgentIdentity::new("wherry.local", organisation, group, agent).unwrap();
        let (_, frames) = mpsc::channel(1);
        Self {
            id: agent,
            identity,
            instance: ids::new_id(),
            slots,
            room: OUTBOUND,
            epoch: Epoch::unused(0),
            next_seq: 1,
            aside: VecDeque::new(),
            frames,
        }
    }

    /// An agent with a session.
    pub(crate) async fn online(bench: &Bench, called: &str, slots: u32) -> Self {
        let mut agent = Self::enrol(bench, called, slots).await;
        agent.connect(bench, &[]).await;
        agent
    }

    pub(crate) fn hello(&self, in_flight: &[InFlight]) -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            version: "0.1.0".to_owned(),
            instance: self.instance,
            in_flight: in_flight.to_vec(),
            next_seq: self.next_seq,
            slots: self.slots,
            free_slots: self.slots.saturating_sub(u32::try_from(in_flight.len()).unwrap()),
            secret_names: Vec::new(),
            journal_lost: false,
            asks: true,
            oauth: true,
            connectors: Vec::new(),
            catalogue: false,
        }
    }

    /// Opens a session, naming what it has in its journal.
    pub(crate) async fn connect(&mut self, bench: &Bench, in_flight: &[InFlight]) -> Welcome {
        let hello = self.hello(in_flight);
        self.greet(bench, hello).await.unwrap();
        let first = self.frame().await;
        let FromController::Welcome(welcome) = first else { panic!("{first:?} came before the welcome") };
        welcome
    }

    /// Says hello; the stream of the session before is left where it is.
    pub(crate) async fn greet(&mut self, bench: &Bench, hello: Hello) -> Result<(), Refusal> {
        let (sender, frames) = mpsc::channel(self.room);
        let Opened { epoch } = soon(bench.ledger.open_session(self.identity.clone(), hello, sender)).await?;
        self.epoch = epoch;
        self.frames = frames;
        self.aside.clear();
        Ok(())
    }

    /// The same identity in another process, as when a data folder was copied.
    pub(crate) fn copied(&self) -> Self {
        let (_, frames) = mpsc::channel(1);
        let (aside, identity) = (VecDeque::new(), self.identity.clone());
        Self { instance: ids::new_id(), identity, aside, frames, ..*self }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> FromController {
        match self.aside.pop_front() {
            Some(frame) => frame,
            None => soon(self.frames.recv()).await.expect("the stream ended"),
        }
    }

    /// The next frame that is looked for; those that came before it are heard later.
    pub(crate) async fn find<T>(&mut self, wanted: impl Fn(&FromController) -> Option<T>) -> T {
        let mut before = VecDeque::new();
        loop {
            let frame = self.frame().await;
            if let Some(found) = wanted(&frame) {
                before.append(&mut self.aside);
                self.aside = before;
                return found;
            }
            before.push_back(frame);
        }
    }

    /// The last frame of a stream that ends.
    pub(crate) async fn last_frame(&mut self) -> FromController {
        let last = self.frame().await;
        assert_eq!(soon(self.frames.recv()).await, None, "the stream goes on after {last:?}");
        last
    }

    /// Whether nothing was sent, as far as can be seen without asking the writer.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.aside.is_empty() && self.frames.is_empty() && !self.frames.is_closed()
    }

    /// The controller is gone, and said nothing before.
    pub(crate) async fn stream_breaks_without_a_word(&mut self) {
        assert_eq!(soon(self.frames.recv()).await, None);
    }

    /// The next offer.
    pub(crate) async fn offer(&mut self) -> Offer {
        let offer =
            |frame: &FromController| if let FromController::Offer(offer) = frame { Some(offer.clone()) } else { None };
        self.find(offer).await
    }

    /// Every offer so far; nothing else was sent.
    pub(crate) async fn offers(&mut self, bench: &Bench) -> Vec<Offer> {
        let heard = self.heard(bench).await.into_iter();
        heard
            .map(|frame| {
                let FromController::Offer(offer) = frame else { panic!("{frame:?} came among offers") };
                offer
            })
            .collect()
    }

    /// Everything that was sent so far.
    pub(crate) async fn heard(&mut self, bench: &Bench) -> Vec<FromController> {
        bench.settle().await;
        let heard = self.aside.drain(..).chain(std::iter::from_fn(|| self.frames.try_recv().ok()));
        heard.collect()
    }

    pub(crate) async fn say(&self, bench: &Bench, frame: FromAgent) {
        self.say_by_chance(bench, frame, Jitter(0)).await;
    }

    pub(crate) async fn say_by_chance(&self, bench: &Bench, frame: FromAgent, jitter: Jitter) {
        soon(bench.ledger.frame(self.id, self.epoch, frame, jitter)).await.unwrap();
    }

    /// Reports how an attempt ended; what was sent.
    pub(crate) async fn report(&mut self, bench: &Bench, attempt: Attempt, outcome: Outcome) -> Report {
        let report = self.ended(attempt, Ending::Ended(outcome));
        self.say(bench, FromAgent::Result(report.clone())).await;
        report
    }

    /// A report that was not sent yet.
    pub(crate) fn ended(&mut self, attempt: Attempt, ending: Ending) -> Report {
        let seq = self.next_seq;
        self.next_seq += 1;
        let counts = Counts { read: 3, written: 3, rejected: 0, batches: 1 };
        Report {
            seq,
            attempt,
            ending,
            counts,
            duration: Duration::from_secs(1),
            log: Vec::new(),
            earlier: Counts::default(),
            states: Vec::new(),
            trial: Vec::new(),
            answer: None,
            ran: None,
        }
    }

    /// Reports success and hears that it is durable.
    pub(crate) async fn succeed(&mut self, bench: &Bench, attempt: Attempt) {
        let report = self.report(bench, attempt, Outcome::Succeeded).await;
        self.acknowledged(report.seq).await;
    }

    pub(crate) async fn acknowledged(&mut self, seq: u64) {
        let acknowledged =
            |frame: &FromController| if let FromController::Ack { up_to } = frame { Some(*up_to) } else { None };
        assert_eq!(self.find(acknowledged).await, seq);
    }

    /// A heartbeat that names these runs, answered.
    pub(crate) async fn beat(&mut self, bench: &Bench, in_flight: &[InFlight]) {
        let taken = u32::try_from(in_flight.len()).unwrap();
        let beat = Heartbeat { number: 7, in_flight: in_flight.to_vec(), free_slots: self.slots.saturating_sub(taken) };
        self.say(bench, FromAgent::Heartbeat(beat)).await;
        assert_eq!(self.frame().await, FromController::HeartbeatAck { number: 7 });
    }
}

/// Registers a token for group `berlin`.
pub(crate) async fn invite(bench: &Bench, token: &EnrolmentToken, life_s: u64) {
    // The group exists as soon as an environment names it.
    drop(bench.ledger.create_environment("test".to_owned(), name("dev"), name("berlin")).await);
    let id = token.id().as_str().to_owned();
    let made =
        bench.ledger.create_enrolment_token("test".to_owned(), name("berlin"), id, token.auth_hash(), life_s, None);
    soon(made).await.unwrap();
}

/// What an agent with this certificate key shows.
pub(crate) fn request(token: &EnrolmentToken, called: &str, key: &[u8]) -> EnrolRequest {
    EnrolRequest {
        token_id: token.id().as_str().to_owned(),
        auth_part: AuthPart::from_slice(token.auth_part().as_bytes()).unwrap(),
        key: sha256(key),
        identity_key: [7; 32],
        name: name(called),
        version: "0.1.0".to_owned(),
    }
}

/// An attempt that is under way.
pub(crate) fn in_flight(attempt: Attempt) -> [InFlight; 1] {
    [InFlight { attempt, stage: Stage::Started }]
}

/// A failure that another attempt may cure, with nothing changed outside.
pub(crate) fn failed() -> Outcome {
    Outcome::Failed(Failure::retry(Code::new("connection.refused"), "nobody listens there"))
}
