//! Agents that fall silent: what is repeated, what waits for a person, and when.

use std::time::Duration;

use wherry_domain::run::{Outcome, Reason, State};
use wherry_proto::frame::{Decision, FromController};

use crate::support::{Agent, Bench, Disk, in_flight, on_each_store};

/// Term and grace of the ordinary lease.
const LOST: Duration = Duration::from_secs(75);

on_each_store!(
    a_run_that_may_be_repeated_goes_to_another_agent_when_its_lease_is_over,
    a_result_that_was_only_late_makes_the_next_attempt_needless,
    a_run_that_may_not_be_repeated_becomes_unknown_and_its_agent_can_still_settle_it,
    an_unknown_run_is_run_again_only_when_a_person_asks,
    the_silence_of_an_agent_that_lost_its_journal_proves_nothing_also_later,
    a_heartbeat_keeps_the_runs_it_names_and_stops_those_that_went_elsewhere,
    an_offline_term_makes_the_controller_wait_longer,
    after_a_restart_every_lease_counts_as_granted_then,
    a_run_that_takes_every_agent_down_with_it_stops,
    a_cancelled_run_whose_agent_is_lost_is_not_repeated,
);

async fn a_run_that_may_be_repeated_goes_to_another_agent_when_its_lease_is_over(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut silent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    let first = silent.offer().await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    bench.pass(LOST - Duration::from_millis(1)).await;
    assert_eq!(other.heard(&bench).await, [], "given away before the lease was over");
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(other.heard(&bench).await.len(), 1, "it was silent as well, and sent away");
    other.connect(&bench, &[]).await;
    let second = other.offer().await;
    assert_eq!((second.attempt.run, second.attempt.fence.attempt()), (run, 2));
    assert_eq!(second.key, first.key, "a keyed operation is told apart by its key");
    let record = bench.run(run).await;
    assert_eq!((record.agent, record.history[1].reason), (Some(other.id), Some(Reason::LeaseExpired)));
    // The first agent returns with what it did: kept, acknowledged, without effect.
    silent.connect(&bench, &in_flight(first.attempt)).await;
    silent.succeed(&bench, first.attempt).await;
    let record = bench.run(run).await;
    assert_eq!((record.stored.state, record.late_results), (State::Leased { agent: other.id, cancelling: false }, 1));
}

async fn a_result_that_was_only_late_makes_the_next_attempt_needless(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    let attempt = agent.offer().await.attempt;
    bench.ledger.close_session(agent.id, agent.epoch).await;
    bench.pass(LOST).await;
    assert_eq!(bench.state(run).await, "queued");
    agent.slots = 0;
    let welcome = agent.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(welcome.verdicts, [(attempt, Decision::Drop)]);
    agent.succeed(&bench, attempt).await;
    assert_eq!(bench.state(run).await, "succeeded");
    agent.slots = 1;
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, [], "done twice");
}

async fn a_run_that_may_not_be_repeated_becomes_unknown_and_its_agent_can_still_settle_it(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    other.slots = 0;
    other.connect(&bench, &[]).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    bench.ledger.close_session(agent.id, agent.epoch).await;
    other.slots = 1;
    other.connect(&bench, &[]).await;
    bench.pass(LOST).await;
    assert_eq!(bench.state(run).await, "unknown");
    other.connect(&bench, &[]).await;
    assert_eq!(other.heard(&bench).await, [], "it may have been done already");
    let bench = bench.restart().await;
    assert_eq!(bench.state(run).await, "unknown");
    let welcome = agent.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(welcome.verdicts, [(attempt, Decision::Keep)]);
    agent.succeed(&bench, attempt).await;
    assert_eq!(bench.state(run).await, "succeeded");
}

async fn the_silence_of_an_agent_that_lost_its_journal_proves_nothing_also_later(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    let (unknown, leased) = (bench.submit("post").await, bench.submit("post").await);
    let first = agent.offer().await.attempt;
    assert_eq!(first.run, unknown);
    agent.offer().await;
    bench.ledger.close_session(agent.id, agent.epoch).await;
    bench.pass(LOST).await;
    bench.ledger.retry(leased, "ada".to_owned()).await.unwrap();
    agent.connect(&bench, &in_flight(first)).await;
    assert_eq!(agent.offer().await.attempt.run, leased);
    assert_eq!((bench.state(unknown).await, bench.state(leased).await), ("unknown", "leased"));
    let hello = wherry_proto::frame::Hello { journal_lost: true, ..agent.hello(&[]) };
    agent.greet(&bench, hello).await.unwrap();
    agent.frame().await;
    assert_eq!(agent.heard(&bench).await, [], "it may have been done already");
    let bench = bench.restart().await;
    // From now on the journal knows what it does not know.
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, [], "done twice");
    assert_eq!((bench.state(unknown).await, bench.state(leased).await), ("unknown", "unknown"));
}

async fn an_unknown_run_is_run_again_only_when_a_person_asks(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let (asked, given_up) = (bench.submit("post").await, bench.submit("post").await);
    let first = agent.offer().await.attempt;
    bench.pass(LOST).await;
    assert_eq!(bench.state(asked).await, "unknown");
    agent.slots = 2;
    agent.connect(&bench, &in_flight(first)).await;
    let second = agent.offer().await.attempt;
    assert_eq!(second.run, given_up);
    bench.pass(LOST).await;
    bench.ledger.cancel(given_up, "ada".to_owned()).await.unwrap();
    agent.connect(&bench, &in_flight(first)).await;
    assert_eq!(agent.heard(&bench).await, [], "run again although nobody asked");
    bench.ledger.retry(asked, "ada".to_owned()).await.unwrap();
    let again = agent.offer().await.attempt;
    assert_eq!((again.run, again.fence > first.fence), (asked, true));
    assert_eq!(bench.run(asked).await.spec.caused_by, None, "the same run, not a new one");
    agent.succeed(&bench, again).await;
    assert_eq!((bench.state(asked).await, bench.state(given_up).await), ("succeeded", "cancelled"));
}

async fn a_heartbeat_keeps_the_runs_it_names_and_stops_those_that_went_elsewhere(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    let (kept, left) = (bench.submit("copy").await, bench.submit("copy").await);
    let (named, silent) = (agent.offer().await.attempt, agent.offer().await.attempt);
    assert_eq!((named.run, silent.run), (kept, left));
    for _ in 0..7 {
        bench.pass(Duration::from_secs(10)).await;
        agent.beat(&bench, &in_flight(named)).await;
    }
    // The agent takes its own lost run again; whoever still works on the old attempt has to stop.
    bench.pass(Duration::from_secs(5)).await;
    assert_eq!(bench.state(kept).await, "leased");
    let again = agent.offer().await.attempt;
    assert_eq!((again.run, again.fence.attempt()), (left, 2));
    let beat = wherry_proto::frame::Heartbeat { number: 9, in_flight: in_flight(silent).to_vec(), free_slots: 0 };
    agent.say(&bench, wherry_proto::frame::FromAgent::Heartbeat(beat)).await;
    let expected = [FromController::Cancel(silent), FromController::HeartbeatAck { number: 9 }];
    assert_eq!(agent.heard(&bench).await, expected);
}

async fn an_offline_term_makes_the_controller_wait_longer(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("patient").await;
    agent.offer().await;
    bench.pass(Duration::from_secs(600 + 14)).await;
    assert_eq!(bench.state(run).await, "leased");
    bench.ledger.close_session(agent.id, agent.epoch).await;
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(bench.state(run).await, "queued");
}

async fn after_a_restart_every_lease_counts_as_granted_then(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    agent.offer().await;
    bench.pass(LOST - Duration::from_secs(1)).await;
    let bench = bench.restart().await;
    bench.pass(LOST - Duration::from_secs(1)).await;
    assert_eq!(bench.state(run).await, "leased");
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(bench.state(run).await, "unknown");
}

async fn a_run_that_takes_every_agent_down_with_it_stops(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    for attempt in 1..=4 {
        assert_eq!(agent.offer().await.attempt.fence.attempt(), attempt);
        bench.pass(LOST).await;
        agent.connect(&bench, &[]).await;
    }
    let State::Finished { outcome: Outcome::Failed(failure) } = bench.run(run).await.stored.state else {
        panic!("it is {}", bench.state(run).await)
    };
    assert_eq!((failure.code.as_str(), failure.effects_begun), ("run.agent_lost", true));
    assert_eq!(agent.heard(&bench).await, []);
}

async fn a_cancelled_run_whose_agent_is_lost_is_not_repeated(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("copy").await;
    let attempt = agent.offer().await.attempt;
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    assert_eq!(agent.frame().await, FromController::Cancel(attempt));
    bench.pass(LOST).await;
    assert_eq!(bench.state(run).await, "cancelled");
    agent.connect(&bench, &in_flight(attempt)).await;
    assert_eq!(agent.heard(&bench).await, []);
}
