//! Offers: never more than an agent has room for, and what becomes of those that cannot reach it.

use std::collections::BTreeSet;

use wherry_domain::{
    failure::{Code, Failure},
    run::{Outcome, Reason},
};
use wherry_proto::frame::{Attempt, Decision, FromAgent, FromController, GoAwayReason, Heartbeat, InFlight, Stage};

use crate::support::{Agent, Bench, Disk, in_flight, on_each_store};

on_each_store!(
    a_session_that_does_not_keep_up_ends_like_a_lost_link_and_what_it_missed_goes_elsewhere,
    a_locked_agent_loses_its_runs_at_once_by_their_class,
    a_copied_identity_loses_its_runs_at_once,
    a_run_that_was_being_cancelled_ends_with_the_lock_of_its_agent,
    whatever_happens_an_agent_is_never_offered_more_than_it_announced,
);

async fn a_session_that_does_not_keep_up_ends_like_a_lost_link_and_what_it_missed_goes_elsewhere(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut slow = Agent::enrol(&bench, "pier-1", 4).await;
    slow.room = 2;
    slow.connect(&bench, &[]).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(bench.submit("post").await);
        bench.settle().await;
    }
    let presence = bench.ledger.agent("pier-1".to_owned()).await.unwrap();
    assert_eq!((presence.state, presence.running), ("suspect", 2));
    assert_eq!(bench.state(runs[2]).await, "queued");
    assert_eq!(bench.run(runs[2]).await.history[1].reason, Some(Reason::OfferLost));
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    assert_eq!(other.offer().await.attempt.run, runs[2]);
    let (first, second) = (slow.offer().await.attempt, slow.offer().await.attempt);
    assert_eq!([first.run, second.run], runs[..2]);
    slow.stream_breaks_without_a_word().await;
    // It comes back with what did reach it.
    let named = [first, second].map(|attempt| InFlight { attempt, stage: Stage::Started });
    let welcome = slow.connect(&bench, &named).await;
    assert_eq!(welcome.verdicts, [(first, Decision::Keep), (second, Decision::Keep)]);
    slow.succeed(&bench, first).await;
    slow.succeed(&bench, second).await;
}

async fn a_locked_agent_loses_its_runs_at_once_by_their_class(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut stolen = Agent::online(&bench, "pier-1", 3).await;
    let (keyed, unsafe_run) = (bench.submit("copy").await, bench.submit("post").await);
    let (first, second) = (stolen.offer().await.attempt, stolen.offer().await.attempt);
    let mut other = Agent::online(&bench, "pier-2", 3).await;
    let locked = bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("stolen".to_owned())).await.unwrap();
    assert_eq!((locked.state, locked.running), ("locked", 0));
    let again = other.offer().await.attempt;
    assert_eq!((again.run, again.fence.attempt()), (keyed, 2));
    assert_eq!(bench.run(keyed).await.history[1].reason, Some(Reason::AgentLocked));
    assert_eq!(bench.state(unsafe_run).await, "unknown");
    other.succeed(&bench, again).await;
    let away = stolen.last_frame().await;
    assert!(matches!(away, FromController::GoAway { reason: GoAwayReason::Locked, .. }), "{away:?}");
    assert_eq!(other.heard(&bench).await, [], "what may not be repeated was");
    // A locked agent that turns out to be honest still settles what nobody else may do.
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), None).await.unwrap();
    let named = [first, second].map(|attempt| InFlight { attempt, stage: Stage::Started });
    let welcome = stolen.connect(&bench, &named).await;
    assert_eq!(welcome.verdicts, [(first, Decision::Drop), (second, Decision::Keep)]);
    stolen.succeed(&bench, second).await;
    assert_eq!((bench.state(keyed).await, bench.state(unsafe_run).await), ("succeeded", "succeeded"));
}

async fn a_copied_identity_loses_its_runs_at_once(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    let attempt = one.offer().await.attempt;
    let mut two = one.copied();
    two.connect(&bench, &in_flight(attempt)).await;
    one.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(bench.state(run).await, "leased");
    let hello = two.hello(&in_flight(attempt));
    assert_eq!(two.greet(&bench, hello).await.unwrap_err().code.as_str(), "agent.locked");
    assert_eq!(bench.state(run).await, "queued");
}

async fn a_run_that_was_being_cancelled_ends_with_the_lock_of_its_agent(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    agent.offer().await;
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), Some("stolen".to_owned())).await.unwrap();
    assert_eq!(bench.state(run).await, "cancelled");
}

/// Random histories of one agent that counts for itself: an offer takes a slot, an end gives it back, and some slots
/// it keeps to itself.
async fn whatever_happens_an_agent_is_never_offered_more_than_it_announced(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let agent = Agent::online(&bench, "pier-1", 4).await;
    let mut sim = Simulated { agent, kept_back: 0, working: BTreeSet::new(), chance: 7 };
    for step in 0..400 {
        if step % 3 == 0 {
            bench.submit("copy").await;
        }
        sim.step(&bench).await;
        sim.take_offers(&bench).await;
        let announced = (sim.agent.slots - sim.kept_back) as usize;
        assert!(sim.working.len() <= announced, "step {step}: {} runs in {announced} slots", sim.working.len());
    }
}

struct Simulated {
    agent: Agent,
    kept_back: u32,
    working: BTreeSet<Attempt>,
    chance: u64,
}

impl Simulated {
    fn chance(&mut self, of: u64) -> u64 {
        // Numerical Recipes' generator: good enough to mix steps, and the same in every run.
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.chance >> 16) % of
    }

    async fn step(&mut self, bench: &Bench) {
        match self.chance(10) {
            0..=3 => self.end_one(bench).await,
            4 | 5 => self.beat(bench).await,
            6 => {
                let draining = self.chance(2) == 0;
                bench.ledger.drain("ada".to_owned(), "pier-1".to_owned(), draining).await.unwrap();
            }
            7 => self.lock_and_return(bench).await,
            8 => {
                bench.ledger.close_session(self.agent.id, self.agent.epoch).await;
                self.connect(bench).await;
            }
            _ => self.give_one_back(bench).await,
        }
    }

    async fn end_one(&mut self, bench: &Bench) {
        if let Some(attempt) = self.working.pop_first() {
            self.agent.report(bench, attempt, Outcome::Succeeded).await;
        }
    }

    async fn give_one_back(&mut self, bench: &Bench) {
        if let Some(attempt) = self.working.pop_last() {
            let failure = Failure::retry(Code::new("agent.no_slot"), "every slot is taken");
            self.agent.say(bench, FromAgent::Declined { attempt, failure, side_effects: None }).await;
        }
    }

    async fn beat(&mut self, bench: &Bench) {
        self.take_offers(bench).await;
        self.keep_some_back();
        let beat = Heartbeat { number: 1, in_flight: self.in_flight(), free_slots: self.free() };
        self.agent.say(bench, FromAgent::Heartbeat(beat)).await;
    }

    async fn lock_and_return(&mut self, bench: &Bench) {
        let lock = async |reason: Option<String>| {
            bench.ledger.lock("ada".to_owned(), "pier-1".to_owned(), reason).await.unwrap();
        };
        lock(Some("audit".to_owned())).await;
        self.take_offers(bench).await;
        lock(None).await;
        self.connect(bench).await;
    }

    async fn connect(&mut self, bench: &Bench) {
        self.keep_some_back();
        let in_flight = self.in_flight();
        let hello = wherry_proto::frame::Hello { free_slots: self.free(), ..self.agent.hello(&in_flight) };
        self.agent.greet(bench, hello).await.unwrap();
        let FromController::Welcome(welcome) = self.agent.frame().await else { panic!("no welcome") };
        for (attempt, decision) in welcome.verdicts {
            // What is dropped needs a while to stop, and its slot with it.
            if decision == Decision::Drop && self.chance(2) == 0 {
                self.working.remove(&attempt);
            }
        }
    }

    async fn take_offers(&mut self, bench: &Bench) {
        for frame in self.agent.heard(bench).await {
            match frame {
                FromController::Offer(offer) => assert!(self.working.insert(offer.attempt)),
                FromController::Cancel(attempt) => drop(self.working.remove(&attempt)),
                FromController::Welcome(_)
                | FromController::HeartbeatAck { .. }
                | FromController::Ack { .. }
                | FromController::Desired(_)
                | FromController::Ask(_)
                | FromController::Keyring(_)
                | FromController::OAuth(_)
                | FromController::Catalogue(_)
                | FromController::GoAway { .. } => (),
            }
        }
    }

    fn keep_some_back(&mut self) {
        let room = self.agent.slots - u32::try_from(self.working.len()).unwrap();
        self.kept_back = u32::try_from(self.chance(u64::from(room) + 1)).unwrap();
    }

    fn free(&self) -> u32 {
        self.agent.slots - self.kept_back - u32::try_from(self.working.len()).unwrap()
    }

    fn in_flight(&self) -> Vec<InFlight> {
        self.working.iter().map(|attempt| InFlight { attempt: *attempt, stage: Stage::Started }).collect()
    }
}
