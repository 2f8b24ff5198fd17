//! Controller and agents over a link that loses, repeats, reorders and delays, while processes of
//! both sides die and their clocks run apart: thousands of histories, each from one seed.
//!
//! `WHERRY_SEEDS=100000` plays more of them, `WHERRY_SEED=7 WHERRY_STORY=1` tells one.

use std::{collections::BTreeMap, time::Duration};

use wherry_domain::{
    effects::SideEffects,
    id::RunId,
    lease::LeaseTerms,
    retry::{Backoff, RetryRule},
    run::{Outcome, State, Terms},
};

use agent::Agent;
use controller::{Controller, Record};
use world::{Arrival, Io, Moment, World};

mod agent;
mod chance;
mod controller;
mod work;
mod world;

const AGENTS: usize = 2;
/// Far more than the longest backoff, lease, offline term and work together.
const PATIENCE: Moment = 1_800_000;

/// How often each thing came about, so that the histories cannot pass by being dull.
#[derive(Debug, Default)]
struct Tally {
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    unknown: usize,
    dispatched_again: usize,
    retried_by_a_person: usize,
}

#[test]
fn whatever_the_link_and_the_processes_do_nothing_is_recorded_or_done_twice_and_nothing_hangs() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("WHERRY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WHERRY_SEEDS").unwrap_or(2_000),
    };
    let few = seeds.end - seeds.start < 1_000;
    let mut tally = Tally::default();
    for seed in seeds {
        let history = std::panic::AssertUnwindSafe(|| play(seed));
        let runs = std::panic::catch_unwind(history).unwrap_or_else(|_| panic!("seed {seed} broke a rule"));
        runs.iter().for_each(|run| tally.add(run));
    }
    println!("{tally:?}");
    let Tally { succeeded, failed, cancelled, unknown, dispatched_again, retried_by_a_person } = tally;
    let rarest = [failed, cancelled, unknown, dispatched_again, retried_by_a_person].into_iter().min();
    assert!(few || (succeeded > 1_000 && rarest > Some(20)), "the histories are too dull to prove anything");
}

fn play(seed: u64) -> Vec<Record> {
    let mut world = World::new(seed);
    let runs = plan(&mut world);
    let mut controller = Controller::new(AGENTS, runs, &mut world);
    let mut agents: Vec<_> = (0..AGENTS).map(|index| Agent::new(index, &mut world)).collect();
    let mut turns = 0;
    while !is_over(&world, &controller, &agents) {
        assert!(world.now < world.faults_until + PATIENCE, "something hangs");
        let wakes = agents.iter().map(Agent::deadline).chain([controller.deadline(), world.next_arrival()]);
        let next = wakes.flatten().min().expect("somebody always waits for something");
        turns = if next > world.now { 0 } else { turns + 1 };
        assert!(turns < 10_000, "something is due for ever");
        world.now = world.now.max(next);
        while let Some(arrival) = world.take_arrival() {
            deliver(arrival, &mut controller, &mut agents, &mut world);
        }
        controller.wake(&mut world);
        agents.iter_mut().for_each(|agent| agent.wake(&mut world));
    }
    for (id, run) in &controller.runs {
        judge(*id, run, &world);
    }
    controller.runs.into_values().collect()
}

/// Draws the runs, and when people and accidents come.
fn plan(world: &mut World) -> BTreeMap<RunId, Terms> {
    let mut runs = BTreeMap::new();
    for id in 0..3 {
        let run = RunId::from_u128(id);
        runs.insert(run, terms(world));
        if world.chance.percent(15) {
            world.within(world.faults_until, Arrival::Cancel { run });
        }
        for _ in 0..2 {
            if world.chance.percent(30) {
                world.within(world.faults_until, Arrival::Retry { run });
            }
        }
    }
    for agent in 0..AGENTS {
        for _ in 0..world.chance.below(4) {
            world.within(world.faults_until, Arrival::Cut { agent });
        }
        for _ in 0..world.chance.below(3) {
            world.within(world.faults_until, Arrival::AgentCrash { agent });
        }
        if world.chance.percent(30) {
            world.within(world.faults_until, Arrival::Dark { agent });
        }
    }
    for _ in 0..world.chance.below(3) {
        world.within(world.faults_until, Arrival::ControllerCrash);
    }
    runs
}

fn terms(world: &mut World) -> Terms {
    let classes = [SideEffects::Read, SideEffects::Idempotent, SideEffects::Keyed];
    let side_effects =
        if world.chance.percent(50) { SideEffects::Unsafe } else { classes[world.chance.below(3) as usize] };
    let second = Duration::from_secs(1);
    let attempts = 1 + world.chance.below(3) as u32;
    Terms {
        side_effects,
        retry: RetryRule { attempts, backoff: Backoff::Exponential, base: second, cap: second * 30 },
        offline_term: if world.chance.percent(20) { second * 120 } else { Duration::ZERO },
        lease: LeaseTerms::default(),
    }
}

fn is_over(world: &World, controller: &Controller, agents: &[Agent]) -> bool {
    world.now >= world.faults_until && controller.is_at_rest() && agents.iter().all(Agent::is_at_rest)
}

fn deliver(arrival: Arrival, controller: &mut Controller, agents: &mut [Agent], world: &mut World) {
    match arrival {
        Arrival::ToController { agent, stream, message } => {
            if world.owner(stream).is_some() {
                controller.message(agent, stream, message, world);
            }
        }
        Arrival::StreamGone { agent, stream } => controller.gone(agent, stream, world),
        Arrival::Io { agent, life, io } => {
            let io = if matches!(io, Io::Dialled) && !controller.is_up() { Io::DialFailed } else { io };
            agents[agent].io(life, io, world);
        }
        Arrival::ToAgent { agent, stream, message } => {
            if world.owner(stream).is_some() {
                agents[agent].heard(stream, message, world);
            }
        }
        Arrival::StreamLost { agent, stream } => agents[agent].lost(stream, world),
        Arrival::AgentCrash { agent } => agents[agent].crash(world),
        Arrival::AgentStart { agent } => agents[agent].start(world),
        Arrival::ControllerCrash => controller.crash(world),
        Arrival::ControllerStart => controller.start(world),
        Arrival::Close { stream } => world.cut(stream),
        Arrival::Cut { agent } => world.cut_all(Some(agent)),
        Arrival::Dark { agent } => world.darken(agent),
        Arrival::Cancel { run } => controller.cancel(run, world),
        Arrival::Retry { run } => controller.retry(run, world),
    }
}

/// What must hold at the end of a history.
fn judge(id: RunId, run: &Record, world: &World) {
    let effects: Vec<_> = world.effects.iter().filter(|attempt| attempt.run == id).collect();
    if run.terms.side_effects == SideEffects::Unsafe {
        assert!(effects.len() <= 1 + run.retries, "an unsafe run was done twice, and nobody asked for it");
    }
    if run.stored.state == (State::Finished { outcome: Outcome::Succeeded }) {
        assert!(effects.iter().any(|attempt| attempt.fence == run.stored.fence), "a success without its effect");
    }
}

impl Tally {
    fn add(&mut self, run: &Record) {
        match &run.stored.state {
            State::Finished { outcome: Outcome::Succeeded } => self.succeeded += 1,
            State::Finished { outcome: Outcome::Failed(_) } => self.failed += 1,
            State::Finished { outcome: Outcome::Cancelled } => self.cancelled += 1,
            State::Unknown { .. } => self.unknown += 1,
            State::Queued { .. } | State::Leased { .. } => panic!("{:?} is not over", run.stored),
        }
        self.dispatched_again += usize::from(run.stored.fence.attempt() > 1);
        self.retried_by_a_person += usize::from(run.retries > 0);
    }
}
