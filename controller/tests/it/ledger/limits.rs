//! Everything is bounded: slots, the queue, and what one agent can make the writer swallow.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinSet;
use wherry_controller::engine::{Kind, Settings};
use wherry_domain::{
    failure::{Code, Failure},
    run::Outcome,
};
use wherry_proto::{
    MAX_CURSOR, MAX_LOG_LINES, MAX_LOG_TEXT,
    frame::{Attempt, Ending, FromAgent, FromController, Heartbeat, Inventory, LogLine, OwnerPolicy},
};

use crate::support::{Agent, Bench, Disk, failed, in_flight, name, on_each_store, settings, soon, submission};

on_each_store!(
    no_agent_is_offered_more_than_its_slots_however_many_runs_wait,
    an_agent_that_says_it_has_no_free_slot_is_offered_nothing,
    what_an_owner_changes_of_the_slots_opens_and_closes_none_that_the_agent_did_not_offer,
    one_slot_of_four_is_kept_for_callers_who_wait,
    a_full_queue_is_an_answer_and_takes_runs_again_when_one_is_over,
    the_largest_things_an_agent_may_say_do_not_stop_the_writer,
    a_hello_with_thousands_of_names_does_not_stop_the_writer,
    more_changes_at_one_moment_than_one_commit_can_hold_take_several,
    the_log_of_a_run_ends_at_its_limit_and_every_line_of_it_can_be_read,
);

async fn no_agent_is_offered_more_than_its_slots_however_many_runs_wait(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agents = [Agent::online(&bench, "pier-1", 3).await, Agent::online(&bench, "pier-2", 1).await];
    let mut waiting: BTreeSet<_> = BTreeSet::new();
    for _ in 0..60 {
        waiting.insert(bench.submit("look").await);
    }
    let mut held: [Vec<Attempt>; 2] = [Vec::new(), Vec::new()];
    for round in 0_usize.. {
        for (agent, held) in agents.iter_mut().zip(&mut held) {
            for frame in agent.heard(&bench).await {
                if let FromController::Offer(offer) = frame {
                    assert!(waiting.remove(&offer.attempt.run), "offered twice");
                    held.push(offer.attempt);
                }
            }
            assert!(held.len() <= agent.slots as usize, "{} runs for {} slots", held.len(), agent.slots);
        }
        if waiting.is_empty() && held.iter().all(Vec::is_empty) {
            break;
        }
        let which = if held[round % 2].is_empty() { (round + 1) % 2 } else { round % 2 };
        let attempt = held[which].remove(0);
        // Heartbeats in between must not make room that is not there.
        let named: Vec<_> = held[which].iter().flat_map(|attempt| in_flight(*attempt)).collect();
        let (agent, free_slots) = (&mut agents[which], 0);
        agent.say(&bench, FromAgent::Heartbeat(Heartbeat { number: 1, in_flight: named, free_slots })).await;
        agent.report(&bench, attempt, Outcome::Succeeded).await;
    }
    assert_eq!(bench.ledger.totals().await.unwrap().1.len(), 0);
}

async fn an_agent_that_says_it_has_no_free_slot_is_offered_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 2).await;
    let mut hello = agent.hello(&[]);
    hello.free_slots = 0;
    agent.greet(&bench, hello).await.unwrap();
    agent.frame().await;
    for _ in 0..3 {
        bench.submit("look").await;
    }
    assert_eq!(agent.heard(&bench).await, [], "it is busy with what nobody here knows");
    let beat = |number, free_slots, in_flight| FromAgent::Heartbeat(Heartbeat { number, in_flight, free_slots });
    agent.say(&bench, beat(1, 1, Vec::new())).await;
    agent.frame().await;
    let first = agent.offer().await.attempt;
    assert_eq!(agent.heard(&bench).await, []);
    // Sent before the offer arrived: what is on its way takes the slot that it still counts as free.
    agent.say(&bench, beat(2, 1, Vec::new())).await;
    assert_eq!(agent.heard(&bench).await, [FromController::HeartbeatAck { number: 2 }]);
    agent.say(&bench, beat(3, 1, in_flight(first).to_vec())).await;
    agent.frame().await;
    agent.offer().await;
}

async fn what_an_owner_changes_of_the_slots_opens_and_closes_none_that_the_agent_did_not_offer(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 3).await;
    let beat = |free_slots| FromAgent::Heartbeat(Heartbeat { number: 1, in_flight: Vec::new(), free_slots });
    let inventory = |slots| {
        let policy = Some(OwnerPolicy { loaded_ms: 1, fault: None, slots });
        FromAgent::Inventory(Inventory { policy, ..Inventory::default() })
    };
    let offers = async |agent: &mut Agent| {
        agent.heard(&bench).await.iter().filter(|frame| matches!(frame, FromController::Offer(_))).count()
    };
    // One slot from now on; the beat comes first.
    agent.say(&bench, beat(1)).await;
    agent.say(&bench, inventory(1)).await;
    bench.submit("look").await;
    assert_eq!(offers(&mut agent).await, 1, "the one is there at once");

    bench.ledger.close_session(agent.id, agent.epoch).await;
    let mut agent = Agent::online(&bench, "pier-2", 1).await;
    // Outside of its hours it offers none, however many there are.
    agent.say(&bench, beat(0)).await;
    agent.say(&bench, inventory(3)).await;
    bench.submit("look").await;
    assert_eq!(offers(&mut agent).await, 0);
    agent.say(&bench, beat(3)).await;
    assert_eq!(offers(&mut agent).await, 1);

    bench.ledger.close_session(agent.id, agent.epoch).await;
    let mut agent = Agent::online(&bench, "pier-3", 1).await;
    agent.say(&bench, beat(2)).await;
    agent.say(&bench, inventory(2)).await;
    bench.submit("look").await;
    bench.submit("look").await;
    assert_eq!(offers(&mut agent).await, 2, "both, and not after another beat");
}

async fn one_slot_of_four_is_kept_for_callers_who_wait(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 4).await;
    for _ in 0..5 {
        bench.submit("look").await;
    }
    assert_eq!(agent.offers(&bench).await.len(), 3);
    let mut waiting = submission("look");
    waiting.wait = true;
    let run = bench.try_submit(waiting).await.unwrap().record.spec.id;
    assert_eq!(agent.offer().await.attempt.run, run);
}

async fn a_full_queue_is_an_answer_and_takes_runs_again_when_one_is_over(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { max_active: 3, ..settings() }).await;
    let first = bench.submit("look").await;
    bench.submit("look").await;
    bench.submit("look").await;
    let refused = bench.try_submit(submission("look")).await.err().unwrap();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Busy, "controller.busy"));
    assert_eq!(bench.ledger.totals().await.unwrap().1["queued"], 3);
    bench.ledger.cancel(first, "ada".to_owned()).await.unwrap();
    bench.submit("look").await;
}

async fn the_largest_things_an_agent_may_say_do_not_stop_the_writer(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let mut asked = submission("persistent");
    asked.variables.insert(name("table"), json!("\"".repeat(16_000)));
    let run = bench.try_submit(asked).await.unwrap().record.spec.id;
    let first = agent.offer().await.attempt;
    for filling in ["x", "\"", "\u{1}", "ä"] {
        let log = log(filling);
        agent.say(&bench, FromAgent::Log { attempt: first, lines: log.clone() }).await;
        let cursor = filling.repeat(MAX_CURSOR / filling.len());
        agent.say(&bench, FromAgent::Checkpoint { attempt: first, cursor, states: Vec::new() }).await;
        // Late, and for a run that nobody knows: both with as much log as a frame can carry.
        for attempt in [
            Attempt { fence: wherry_domain::fence::Fence::from_bits(0), ..first },
            Attempt { run: wherry_daemon::ids::new_id(), ..first },
        ] {
            let mut late = agent.ended(attempt, Ending::Ended(failure(filling)));
            late.log = log.clone();
            agent.say(&bench, FromAgent::Result(late.clone())).await;
            agent.acknowledged(late.seq).await;
        }
    }
    let mut last = agent.ended(first, Ending::Ended(failed()));
    last.log = log("\"");
    agent.say(&bench, FromAgent::Result(last)).await;
    for _ in 0..2 {
        let attempt = agent.offer().await.attempt;
        agent.report(&bench, attempt, failure("\u{1}")).await;
    }
    bench.settle().await;
    assert_eq!(bench.state(run).await, "failed");
}

async fn a_hello_with_thousands_of_names_does_not_stop_the_writer(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 1).await;
    let mut hello = agent.hello(&[]);
    hello.secret_names = (0..5_000).map(|n| format!("{n}{}", "\"".repeat(100))).collect();
    hello.connectors = (0..5_000_u32).map(|n| wherry_trust::keys::sha256(&n.to_be_bytes())).collect();
    agent.greet(&bench, hello).await.unwrap();
    agent.frame().await;
    let mut hello = agent.hello(&[]);
    hello.secret_names = vec!["helix-password".to_owned()];
    agent.greet(&bench, hello).await.unwrap();
    let seen = bench.ledger.agent("pier-1".to_owned()).await.unwrap().agent;
    assert_eq!(seen.secret_names, ["helix-password"]);
}

async fn more_changes_at_one_moment_than_one_commit_can_hold_take_several(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { max_active: 10_000, ..settings() }).await;
    let mut tries = JoinSet::new();
    let many = 300;
    for _ in 0..many {
        let ledger = bench.ledger.clone();
        let mut asked = submission("copy");
        asked.variables.insert(name("table"), json!("x".repeat(30_000)));
        tries.spawn(async move { ledger.submit(asked).await.map(drop) });
    }
    while let Some(tried) = soon(tries.join_next()).await {
        tried.unwrap().unwrap();
    }
    let mut agents = [Agent::online(&bench, "pier-1", 256).await, Agent::online(&bench, "pier-2", 256).await];
    let mut offered = 0;
    for agent in &mut agents {
        offered += agent.offers(&bench).await.len();
        bench.ledger.close_session(agent.id, agent.epoch).await;
    }
    assert_eq!(offered, many);
    bench.pass(std::time::Duration::from_secs(75)).await;
    soon(async {
        while bench.ledger.totals().await.unwrap().1.get("queued") != Some(&many) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn the_log_of_a_run_ends_at_its_limit_and_every_line_of_it_can_be_read(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    let line = |n: usize| LogLine { at_ms: 1, level: "info".to_owned(), text: n.to_string() };
    for part in 0..60 {
        let lines = (0..MAX_LOG_LINES).map(|n| line(part * MAX_LOG_LINES + n + 1)).collect();
        agent.say(&bench, FromAgent::Log { attempt, lines }).await;
    }
    agent.succeed(&bench, attempt).await;
    let (mut after, mut read) = (0, 0);
    loop {
        let page = bench.ledger.logs(run, after, 800).await.unwrap();
        for (n, entry) in page.items {
            read += 1;
            assert_eq!((n, entry.text), (read, read.to_string()));
        }
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert!((10_000..=30_000).contains(&read), "{read}");
    assert!(bench.run(run).await.log_chunks <= 1_000);
}

fn log(filling: &str) -> Vec<LogLine> {
    let text = filling.repeat(MAX_LOG_TEXT / filling.len());
    vec![LogLine { at_ms: u64::MAX, level: "error".to_owned(), text }; MAX_LOG_LINES]
}

fn failure(filling: &str) -> Outcome {
    Outcome::Failed(Failure::retry(Code::new("connection.refused"), filling.repeat(4_000)))
}
