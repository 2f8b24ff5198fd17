//! An agent: session, executions, leases, and a journal that a crash cuts off where it is.

use std::collections::{BTreeMap, VecDeque};

use wherry_domain::{
    effects::SideEffects,
    execution::{self, Effect, Execution, Stage, State, Stored, Verdict},
    id::{AgentId, InstanceId},
    run::{Outcome, Terms},
    session::{self, FailureKind, Session},
    time::Timestamp,
};

use super::{
    work::{Work, failed},
    world::{Arrival, Attempt, Clock, Io, Moment, Stream, ToAgent, ToController, World},
};

const HEARTBEAT: u64 = 10_000;

pub(super) struct Agent {
    index: usize,
    disk: BTreeMap<Attempt, (Terms, Stored)>,
    lives: u64,
    life: Option<Life>,
}

/// One process of the agent.
struct Life {
    number: u64,
    clock: Clock,
    session: Session,
    stream: Option<Stream>,
    hello_sent: Timestamp,
    confirmed: Timestamp,
    next_beat: Timestamp,
    beats: BTreeMap<u64, (Timestamp, Vec<Attempt>)>,
    works: BTreeMap<Attempt, Work>,
    writes: VecDeque<(Attempt, Option<(Terms, Stored)>)>,
}

impl Agent {
    pub(super) fn new(index: usize, world: &mut World) -> Self {
        let mut agent = Self { index, disk: BTreeMap::new(), lives: 0, life: None };
        agent.start(world);
        agent
    }

    pub(super) fn id(index: usize) -> AgentId {
        AgentId::from_u128(index as u128 + 1)
    }

    pub(super) fn start(&mut self, world: &mut World) {
        self.lives += 1;
        let clock = Clock::new(world);
        let now = clock.read(world.now);
        let mut life = Life {
            number: self.lives,
            clock,
            session: Session::starting(now),
            stream: None,
            hello_sent: now,
            confirmed: now,
            next_beat: now,
            beats: BTreeMap::new(),
            works: BTreeMap::new(),
            writes: VecDeque::new(),
        };
        for (attempt, (terms, stored)) in &self.disk {
            let execution = Execution::restored(attempt.fence, terms.side_effects, stored.clone());
            life.works.insert(*attempt, Work::new(execution, *terms, now));
        }
        self.life = Some(life);
        for attempt in self.attempts() {
            self.execution(attempt, execution::Event::Restarted, world);
        }
    }

    /// The process dies; of the writes under way, the first few got through.
    pub(super) fn crash(&mut self, world: &mut World) {
        let Some(mut life) = self.life.take() else { return };
        while world.chance.percent(50)
            && let Some((attempt, stored)) = life.writes.pop_front()
        {
            self.write(attempt, stored);
        }
        world.tell(|| format!("agent {} crashes with {:?} on disk", self.index, self.disk));
        world.cut_all(Some(self.index));
        world.within(40_000, Arrival::AgentStart { agent: self.index });
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let life = self.life.as_ref()?;
        let works = life.works.values().flat_map(|work| [work.execution.deadline(), work.lease_end()]);
        let beat = life.session.is_open().then_some(life.next_beat);
        works.chain([life.session.deadline(), beat]).flatten().min().map(|at| life.clock.moment(at))
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.life.as_ref().is_some_and(|life| {
            life.session.is_open() && life.works.values().all(|work| work.execution.stage().is_none())
        })
    }

    pub(super) fn wake(&mut self, world: &mut World) {
        let Some(life) = &self.life else { return };
        let now = life.clock.read(world.now);
        if life.session.deadline().is_some_and(|at| at <= now) {
            let jitter = world.chance.jitter();
            self.session(session::Event::Tick { jitter }, world);
        }
        self.beat(world);
        for attempt in self.attempts() {
            self.execution(attempt, execution::Event::Tick, world);
            let Some(work) = self.work(attempt) else { continue };
            if work.lease_end().is_some_and(|at| at <= now) {
                work.lease_over = true;
                self.execution(attempt, execution::Event::EffectsEnd, world);
            }
        }
    }

    pub(super) fn heard(&mut self, stream: Stream, message: ToAgent, world: &mut World) {
        if self.life.as_ref().is_some_and(|life| life.stream == Some(stream)) {
            self.message(message, world);
        }
    }

    pub(super) fn lost(&mut self, stream: Stream, world: &mut World) {
        if self.life.as_ref().is_some_and(|life| life.stream == Some(stream)) {
            let jitter = world.chance.jitter();
            self.session(session::Event::Lost { jitter }, world);
        }
    }

    pub(super) fn io(&mut self, life: u64, io: Io, world: &mut World) {
        if self.life.as_ref().is_none_or(|now| now.number != life) {
            return;
        }
        match io {
            Io::Dialled => self.session(session::Event::Dialled, world),
            Io::DialFailed => {
                let jitter = world.chance.jitter();
                self.session(session::Event::Failed { kind: FailureKind::Transient, jitter }, world);
            }
            Io::Journalled => self.journalled(world),
            Io::Ready(attempt) => self.ready(attempt, world),
            Io::Effect(attempt) => self.effect(attempt, world),
            Io::Exit(attempt, outcome) => self.exit(attempt, outcome, world),
            Io::Killed(attempt) => self.killed(attempt, world),
        }
    }

    /// Something will happen to this process.
    fn later(&self, millis: u64, io: Io, world: &mut World) {
        world.within(millis, Arrival::Io { agent: self.index, life: self.lives, io });
    }

    fn message(&mut self, message: ToAgent, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        match message {
            ToAgent::Welcome { verdicts } => {
                if !matches!(life.session.state(), session::State::Greeting { .. }) {
                    return;
                }
                life.confirmed = life.hello_sent;
                life.next_beat = life.clock.read(world.now);
                self.session(session::Event::Welcomed, world);
                for (attempt, verdict) in verdicts {
                    self.verdict(attempt, verdict, world);
                }
            }
            ToAgent::Superseded => {
                let jitter = world.chance.jitter();
                self.session(session::Event::Superseded { jitter }, world);
            }
            _ if !life.session.is_open() => (),
            ToAgent::Offer { attempt, terms } => self.offer(attempt, terms, world),
            ToAgent::Cancel(attempt) => self.execution(attempt, execution::Event::CancelAsked, world),
            ToAgent::Ack(attempt) => self.execution(attempt, execution::Event::Acked, world),
            ToAgent::HeartbeatAck { number } => {
                let Some((sent, named)) = life.beats.remove(&number) else { return };
                life.confirmed = life.confirmed.max(sent);
                for attempt in named {
                    if let Some(work) = life.works.get_mut(&attempt) {
                        work.lease.renewed(sent);
                    }
                }
            }
        }
    }

    fn offer(&mut self, attempt: Attempt, terms: Terms, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let confirmed = life.confirmed;
        life.works
            .entry(attempt)
            .or_insert_with(|| Work::new(Execution::new(attempt.fence, terms.side_effects), terms, confirmed));
        self.execution(attempt, execution::Event::Offered, world);
        self.prepare(attempt, world);
    }

    /// Fetches what the attempt needs.
    fn prepare(&self, attempt: Attempt, world: &mut World) {
        let millis = if world.chance.percent(10) { 90_000 } else { 2_000 };
        self.later(millis, Io::Ready(attempt), world);
    }

    fn verdict(&mut self, attempt: Attempt, verdict: Verdict, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let confirmed = life.confirmed;
        let Some(work) = life.works.get_mut(&attempt) else { return };
        let asking = *work.execution.state() == State::Asking;
        if verdict == Verdict::Keep {
            work.lease.renewed(confirmed);
        }
        self.execution(attempt, execution::Event::Verdict(verdict), world);
        if asking {
            self.prepare(attempt, world);
        }
    }

    fn ready(&mut self, attempt: Attempt, world: &mut World) {
        let Some(now) = self.now(world) else { return };
        if self.work(attempt).is_some_and(|work| work.lease.may_begin_effect(now)) {
            self.execution(attempt, execution::Event::Begin, world);
        }
    }

    fn begin_work(&mut self, attempt: Attempt, world: &mut World) {
        let agent = self.index;
        if let Some(work) = self.work(attempt) {
            work.running = true;
        }
        world.tell(|| format!("agent {agent} starts {attempt:?}"));
        assert!(world.started.insert(attempt), "{attempt:?} was started twice");
        let millis = if world.chance.percent(20) { 100_000 } else { 10_000 };
        if world.chance.percent(15) {
            let outcome = failed(world, false);
            self.later(millis, Io::Exit(attempt, outcome), world);
        } else {
            self.later(millis, Io::Effect(attempt), world);
        }
    }

    fn effect(&mut self, attempt: Attempt, world: &mut World) {
        let agent = self.index;
        let Some(now) = self.now(world) else { return };
        let Some(work) = self.work(attempt).filter(|work| work.running && work.may_begin_effect(now)) else { return };
        work.effects_begun = true;
        let reads = work.terms.side_effects == SideEffects::Read;
        world.tell(|| format!("agent {agent} has an effect of {attempt:?}"));
        let current = world.current.get(&attempt.run).copied();
        let replaced = current.is_some_and(|current| current != attempt.fence);
        assert!(reads || !replaced, "effects of {attempt:?} went on after it was replaced");
        world.effects.insert(attempt);
        if world.chance.percent(50) {
            return self.later(15_000, Io::Effect(attempt), world);
        }
        let outcome = if world.chance.percent(15) { failed(world, true) } else { Outcome::Succeeded };
        self.later(10_000, Io::Exit(attempt, outcome), world);
    }

    fn exit(&mut self, attempt: Attempt, outcome: Outcome, world: &mut World) {
        let Some(work) = self.work(attempt).filter(|work| work.running) else { return };
        work.running = false;
        world.truth.insert(attempt, outcome.clone());
        self.execution(attempt, execution::Event::Exited { outcome }, world);
    }

    fn killed(&mut self, attempt: Attempt, world: &mut World) {
        let Some(work) = self.work(attempt).filter(|work| work.running) else { return };
        work.running = false;
        let effects_begun = work.effects_begun;
        self.execution(attempt, execution::Event::Killed { effects_begun }, world);
    }

    fn journalled(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let Some((attempt, stored)) = life.writes.pop_front() else { return };
        let stage = match &stored {
            Some((_, Stored::Accepted)) => Some(Stage::Accepted),
            Some((_, Stored::Started)) => Some(Stage::Started),
            Some((_, Stored::Finished(_))) => Some(Stage::Finished),
            None => None,
        };
        self.write(attempt, stored);
        if let Some(stage) = stage {
            self.execution(attempt, execution::Event::Journalled(stage), world);
        }
    }

    fn write(&mut self, attempt: Attempt, stored: Option<(Terms, Stored)>) {
        match stored {
            Some(stored) => self.disk.insert(attempt, stored),
            None => self.disk.remove(&attempt),
        };
    }

    fn journal(&mut self, attempt: Attempt, stored: Option<(Terms, Stored)>, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        life.writes.push_back((attempt, stored));
        self.later(200, Io::Journalled, world);
    }

    fn execution(&mut self, attempt: Attempt, event: execution::Event, world: &mut World) {
        let Some(now) = self.now(world) else { return };
        let Some(work) = self.work(attempt) else { return };
        let terms = work.terms;
        for effect in work.execution.on(event, now) {
            match effect {
                Effect::Journal(stage) => {
                    let stored = self.work(attempt).and_then(|work| work.execution.stored(stage));
                    self.journal(attempt, stored.map(|stored| (terms, stored)), world);
                }
                Effect::Prune => self.journal(attempt, None, world),
                Effect::Start => self.begin_work(attempt, world),
                Effect::Kill { .. } => self.later(2_000, Io::Killed(attempt), world),
                Effect::Report { ending } => self.send(world, &ToController::Result { attempt, ending }),
                Effect::Decline => self.send(world, &ToController::Declined { attempt }),
            }
        }
    }

    fn session(&mut self, event: session::Event, world: &mut World) {
        let Some(now) = self.now(world) else { return };
        let Some(life) = &mut self.life else { return };
        for effect in life.session.on(event, now) {
            match effect {
                session::Effect::Dial if world.fault(20) => self.later(40_000, Io::DialFailed, world),
                session::Effect::Dial => self.later(1_000, Io::Dialled, world),
                session::Effect::SendHello => self.hello(world),
                session::Effect::Close => self.close(world),
                session::Effect::GiveUp { code } => panic!("the agent gave up: {code}"),
            }
        }
    }

    fn hello(&mut self, world: &mut World) {
        let in_flight = self.in_flight();
        let Some(life) = &mut self.life else { return };
        // Streams remember which offers they carried; a new one cannot repeat those of an old one.
        life.works.retain(|_, work| work.execution.stage().is_some() || work.running);
        life.beats.clear();
        life.hello_sent = life.clock.read(world.now);
        life.stream = Some(world.open(self.index));
        let instance = InstanceId::from_u128((self.index as u128) << 64 | u128::from(life.number));
        self.send(world, &ToController::Hello { instance, in_flight });
    }

    fn close(&mut self, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        if let Some(stream) = life.stream.take() {
            world.cut(stream);
        }
    }

    fn beat(&mut self, world: &mut World) {
        let in_flight = self.in_flight();
        let Some(life) = &mut self.life else { return };
        let now = life.clock.read(world.now);
        if !life.session.is_open() || now < life.next_beat {
            return;
        }
        life.next_beat = Timestamp::from_millis(now.as_millis() + HEARTBEAT);
        let number = now.as_millis();
        life.beats.insert(number, (now, in_flight.iter().map(|(attempt, _)| *attempt).collect()));
        self.send(world, &ToController::Heartbeat { number, in_flight });
    }

    fn send(&self, world: &mut World, message: &ToController) {
        let Some(life) = &self.life else { return };
        let Some(stream) = life.stream else { return };
        if life.session.is_open() || matches!(message, ToController::Hello { .. }) {
            world.tell(|| format!("agent {} says {message:?}", self.index));
            world.send(stream, false, |agent, stream| Arrival::ToController {
                agent,
                stream,
                message: message.clone(),
            });
        }
    }

    fn in_flight(&self) -> Vec<(Attempt, Stage)> {
        let works = self.life.iter().flat_map(|life| &life.works);
        works.filter_map(|(attempt, work)| work.execution.stage().map(|stage| (*attempt, stage))).collect()
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.life.iter().flat_map(|life| life.works.keys().copied()).collect()
    }

    fn work(&mut self, attempt: Attempt) -> Option<&mut Work> {
        self.life.as_mut()?.works.get_mut(&attempt)
    }

    fn now(&self, world: &World) -> Option<Timestamp> {
        self.life.as_ref().map(|life| life.clock.read(world.now))
    }
}
