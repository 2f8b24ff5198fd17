//! The controller: runs, presence and queue, over a disk that keeps what was decided.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::{
    epoch::Epoch,
    execution::{Ending, Stage, Verdict},
    id::{AgentId, RunId},
    lease::LeaseTerms,
    presence::{self, Presence},
    run::{Effect, Event, Outcome, Run, State, Stored, Terms},
    schedule::{Queue, Slots},
    time::Timestamp,
};

use super::{
    agent::Agent,
    world::{Arrival, Attempt, Clock, Moment, Stream, ToAgent, ToController, World},
};

const SLOTS: u32 = 2;
const GENERATION: u32 = 1;

pub(super) struct Controller {
    pub(super) runs: BTreeMap<RunId, Record>,
    epochs: BTreeMap<usize, Epoch>,
    life: Option<Life>,
}

/// What the controller's disk knows of a run, and what people did with it.
pub(super) struct Record {
    pub(super) terms: Terms,
    pub(super) stored: Stored,
    agent: Option<AgentId>,
    pub(super) retries: usize,
    pub(super) cancel_asked: bool,
}

/// One process of the controller.
struct Life {
    clock: Clock,
    machines: BTreeMap<RunId, Run>,
    presences: Vec<Presence>,
    streams: BTreeMap<Stream, Epoch>,
    queue: Queue<u8>,
}

impl Controller {
    pub(super) fn new(agents: usize, runs: BTreeMap<RunId, Terms>, world: &mut World) -> Self {
        let record = |(id, terms): (RunId, Terms)| {
            let stored = Run::submitted(terms, GENERATION, Timestamp::default()).stored();
            (id, Record { terms, stored, agent: None, retries: 0, cancel_asked: false })
        };
        let epochs = (0..agents).map(|agent| (agent, Epoch::unused(GENERATION))).collect();
        let mut controller = Self { runs: runs.into_iter().map(record).collect(), epochs, life: None };
        controller.start(world);
        controller
    }

    pub(super) fn start(&mut self, world: &mut World) {
        let clock = Clock::new(world);
        let now = clock.read(world.now);
        let restored = |(id, record): (&RunId, &Record)| (*id, Run::restored(record.terms, record.stored.clone(), now));
        let machines: BTreeMap<_, _> = self.runs.iter().map(restored).collect();
        let mut queue = Queue::new();
        for (id, machine) in &machines {
            if let State::Queued { .. } = machine.state() {
                queue.push((id.as_u128() % 2) as u8, *id, now, false);
            }
        }
        let lease = LeaseTerms::default();
        let presences = self.epochs.values().map(|epoch| Presence::restored(lease, Some(*epoch), now)).collect();
        self.life = Some(Life { clock, machines, presences, streams: BTreeMap::new(), queue });
    }

    pub(super) fn crash(&mut self, world: &mut World) {
        if self.life.take().is_some() {
            world.tell(|| "controller crashes".to_owned());
            world.cut_all(None);
            world.within(40_000, Arrival::ControllerStart);
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.life.is_some()
    }

    /// Whether every run is over or waits for a person.
    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.values().all(|run| matches!(run.stored.state, State::Finished { .. } | State::Unknown { .. }))
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let life = self.life.as_ref()?;
        let leased = life.machines.values().filter(|run| matches!(run.state(), State::Leased { .. }));
        let presences = life.presences.iter().map(Presence::deadline);
        let deadlines = leased.map(Run::deadline).chain(presences).chain([life.queue.next_due()]);
        deadlines.flatten().min().map(|at| life.clock.moment(at))
    }

    pub(super) fn wake(&mut self, world: &mut World) {
        let Some(life) = &self.life else { return };
        let leased = life.machines.iter().filter(|(_, run)| matches!(run.state(), State::Leased { .. }));
        for run in leased.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.event(run, Event::Tick, world);
        }
        for agent in 0..self.epochs.len() {
            self.presence(agent, presence::Event::Tick, world);
        }
        self.place(world);
    }

    pub(super) fn cancel(&mut self, run: RunId, world: &mut World) {
        if self.is_up()
            && let Some(record) = self.runs.get_mut(&run)
        {
            record.cancel_asked = true;
            self.event(run, Event::CancelAsked, world);
        }
    }

    pub(super) fn retry(&mut self, run: RunId, world: &mut World) {
        if self.is_up()
            && let Some(record) = self.runs.get_mut(&run)
            && matches!(record.stored.state, State::Unknown { .. })
        {
            record.retries += 1;
            record.cancel_asked = false;
            self.event(run, Event::RetryAsked, world);
        }
    }

    pub(super) fn gone(&mut self, agent: usize, stream: Stream, world: &mut World) {
        let Some(epoch) = self.life.as_mut().and_then(|life| life.streams.remove(&stream)) else { return };
        self.presence(agent, presence::Event::Closed { epoch }, world);
    }

    pub(super) fn message(&mut self, agent: usize, stream: Stream, message: ToController, world: &mut World) {
        let Some(life) = &self.life else { return };
        if let ToController::Hello { instance, in_flight } = message {
            if !life.streams.contains_key(&stream) {
                self.hello(agent, stream, instance, &in_flight, world);
            }
            return;
        }
        let Some(epoch) = life.streams.get(&stream).copied() else { return };
        if life.presences[agent].state() == presence::State::Lost || life.presences[agent].newest() != Some(epoch) {
            return;
        }
        self.presence(agent, presence::Event::Beat { epoch }, world);
        match message {
            ToController::Hello { .. } => (),
            ToController::Heartbeat { number, in_flight } => {
                for (attempt, stage) in in_flight {
                    if self.holds(agent, attempt) {
                        self.event(attempt.run, Event::Renewed { fence: attempt.fence }, world);
                    } else if stage != Stage::Finished {
                        send(stream, world, &ToAgent::Cancel(attempt));
                    }
                }
                send(stream, world, &ToAgent::HeartbeatAck { number });
            }
            ToController::Result { attempt, ending } => {
                self.result(agent, attempt, ending, world);
                send(stream, world, &ToAgent::Ack(attempt));
            }
            ToController::Declined { attempt } if self.holds(agent, attempt) => {
                self.event(attempt.run, Event::Declined { fence: attempt.fence }, world);
            }
            ToController::Declined { .. } => (),
        }
    }

    fn hello(
        &mut self,
        agent: usize,
        stream: Stream,
        instance: wherry_domain::id::InstanceId,
        in_flight: &[(Attempt, Stage)],
        world: &mut World,
    ) {
        let epoch = self.epochs[&agent].next(GENERATION).unwrap();
        self.epochs.insert(agent, epoch);
        if let Some(life) = &mut self.life {
            life.streams.insert(stream, epoch);
        }
        self.presence(agent, presence::Event::Hello { epoch, instance }, world);
        let mut verdicts = Vec::new();
        for (attempt, stage) in in_flight {
            let holds = self.holds(agent, *attempt);
            if holds {
                self.event(attempt.run, Event::Renewed { fence: attempt.fence }, world);
            }
            verdicts.push((
                *attempt,
                match stage {
                    Stage::Finished => Verdict::Report,
                    Stage::Accepted | Stage::Started if holds => Verdict::Keep,
                    Stage::Accepted | Stage::Started => Verdict::Drop,
                },
            ));
        }
        let known: BTreeSet<_> = in_flight.iter().map(|(attempt, _)| *attempt).collect();
        for run in self.runs.keys().copied().collect::<Vec<_>>() {
            let attempt = Attempt { run, fence: self.runs[&run].stored.fence };
            if self.holds(agent, attempt) && !known.contains(&attempt) {
                self.event(run, Event::Absent { agent: Agent::id(agent) }, world);
            }
        }
        send(stream, world, &ToAgent::Welcome { verdicts });
    }

    /// Whether the attempt is the agent's now.
    fn holds(&self, index: usize, attempt: Attempt) -> bool {
        self.runs.get(&attempt.run).is_some_and(|record| match record.stored.state {
            State::Leased { agent, .. } | State::Unknown { agent } => {
                agent == Agent::id(index) && record.stored.fence == attempt.fence
            }
            State::Queued { .. } | State::Finished { .. } => false,
        })
    }

    fn result(&mut self, agent: usize, attempt: Attempt, ending: Ending, world: &mut World) {
        let Attempt { run, fence } = attempt;
        if self.runs[&run].agent != Some(Agent::id(agent)) {
            return;
        }
        let event = match ending {
            Ending::Interrupted => Event::Interrupted { fence },
            Ending::Ended(outcome) => Event::Reported { fence, outcome, jitter: world.chance.jitter() },
        };
        self.event(run, event, world);
    }

    fn event(&mut self, run: RunId, event: Event, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let now = life.clock.read(world.now);
        let Some(machine) = life.machines.get_mut(&run) else { return };
        let before = machine.stored();
        let effects = machine.on(event.clone(), now);
        let after = machine.stored();
        if before != after {
            world.tell(|| format!("controller: {run:?} {event:?} -> {:?} {effects:?}", after.state));
        }
        let Some(record) = self.runs.get_mut(&run) else { return };
        check(record, &before, &after, &event, &effects, world);
        record.stored = after;
        for effect in effects {
            match effect {
                Effect::Offer { agent, fence } => {
                    record.agent = Some(agent);
                    // Whoever asks for a retry accepts that the older attempt may go on.
                    if record.retries == 0 {
                        world.current.insert(run, fence);
                    } else {
                        world.current.remove(&run);
                    }
                    let terms = record.terms;
                    life.send(agent, &ToAgent::Offer { attempt: Attempt { run, fence }, terms }, world);
                }
                Effect::AskCancel { agent, fence } => {
                    life.send(agent, &ToAgent::Cancel(Attempt { run, fence }), world);
                }
                Effect::Requeue { due, .. } => life.queue.push((run.as_u128() % 2) as u8, run, due, false),
                Effect::Settle => {
                    life.queue.remove(run);
                }
                Effect::Hold { .. } | Effect::KeepLate { .. } => (),
            }
        }
    }

    fn presence(&mut self, agent: usize, event: presence::Event, world: &mut World) {
        let Some(life) = &mut self.life else { return };
        let now = life.clock.read(world.now);
        for effect in life.presences[agent].on(event, now) {
            match effect {
                presence::Effect::Supersede { epoch } | presence::Effect::Close { epoch } => {
                    let found =
                        life.streams.iter().find(|(stream, of)| **of == epoch && world.owner(**stream) == Some(agent));
                    if let Some(stream) = found.map(|(stream, _)| *stream) {
                        send(stream, world, &ToAgent::Superseded);
                        world.within(1_000, Arrival::Close { stream });
                    }
                }
                presence::Effect::LockDuplicate => panic!("an agent that crashes is not two agents"),
                presence::Effect::MarkLive | presence::Effect::MarkSuspect | presence::Effect::MarkLost => (),
            }
        }
    }

    pub(super) fn place(&mut self, world: &mut World) {
        while let Some((run, agent)) = self.choose(world) {
            self.event(run, Event::Placed { agent, generation: GENERATION }, world);
        }
    }

    fn choose(&mut self, world: &World) -> Option<(RunId, AgentId)> {
        let life = self.life.as_mut()?;
        let mut slots = Slots::new();
        for (index, _) in life.presences.iter().enumerate().filter(|(_, presence)| presence.may_take_work()) {
            let id = Agent::id(index);
            let leased = |run: &&Run| matches!(run.state(), State::Leased { agent, .. } if *agent == id);
            let taken = life.machines.values().filter(leased).count() as u32;
            slots.set(id, SLOTS.saturating_sub(taken), 0);
        }
        life.queue.pop(life.clock.read(world.now), &mut slots)
    }
}

impl Life {
    fn send(&self, agent: AgentId, message: &ToAgent, world: &mut World) {
        let index = (agent.as_u128() - 1) as usize;
        let presence::State::Live { epoch } = self.presences[index].state() else { return };
        let stream = self.streams.iter().find(|(stream, of)| **of == epoch && world.owner(**stream) == Some(index));
        if let Some((stream, _)) = stream {
            send(*stream, world, message);
        }
    }
}

fn send(stream: Stream, world: &mut World, message: &ToAgent) {
    world.tell(|| format!("controller says on {stream} {message:?}"));
    world.send(stream, message.keeps_order(), |agent, stream| Arrival::ToAgent {
        agent,
        stream,
        message: message.clone(),
    });
}

/// What must hold at each step of a run.
fn check(record: &Record, before: &Stored, after: &Stored, event: &Event, effects: &[Effect], world: &World) {
    if matches!(before.state, State::Finished { .. }) {
        assert_eq!(before, after, "a finished run changed at {event:?}");
    }
    let offered = effects.iter().any(|effect| matches!(effect, Effect::Offer { .. }));
    assert!(!(offered && record.cancel_asked), "a run was offered after a person cancelled it");
    let State::Finished { outcome } = &after.state else { return };
    if before == after {
        return;
    }
    if *outcome == Outcome::Cancelled {
        assert!(record.cancel_asked, "nobody cancelled the run: {event:?}");
    }
    if let Event::Reported { fence, outcome: reported, .. } = event {
        assert_eq!((*fence, reported), (before.fence, outcome), "a result of another attempt was recorded");
    }
    if *outcome == Outcome::Succeeded {
        let done = world.truth.iter().any(|(attempt, truth)| attempt.fence == after.fence && truth == outcome);
        assert!(done, "a success was recorded that did not happen");
    }
}
