//! Results: acknowledged when they are durable, recorded once, and never under an old fence.

use wherry_domain::{
    fence::Fence,
    run::{Outcome, Reason, State},
};
use wherry_proto::frame::{Attempt, Ending, FromAgent, FromController};

use crate::support::{Agent, Bench, Disk, failed, in_flight, on_each_store, soon, submission};

on_each_store!(
    a_repeated_result_is_acknowledged_and_changes_nothing,
    a_result_under_an_older_fence_is_kept_once_and_changes_nothing,
    a_result_that_contradicts_a_finished_run_is_kept_and_changes_nothing,
    a_result_for_a_run_of_another_agent_or_of_nobody_changes_nothing,
    a_run_that_never_reached_the_agents_journal_goes_back_to_the_queue,
    an_interrupted_run_that_may_not_be_repeated_waits_for_a_person,
);

#[tokio::test]
async fn a_result_is_acknowledged_only_when_it_is_durable() {
    let bench = Bench::ready(Disk::memory()).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    bench.memory().hold();
    let report = agent.report(&bench, attempt, Outcome::Succeeded).await;
    bench.held().await;
    assert!(agent.hears_nothing(), "acknowledged before it was durable");
    bench.memory().release();
    agent.acknowledged(report.seq).await;
    assert_eq!(bench.state(run).await, "succeeded");
}

#[tokio::test]
async fn a_result_that_a_power_cut_took_was_not_acknowledged_and_comes_again() {
    let bench = Bench::ready(Disk::memory()).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    bench.memory().hold();
    let report = agent.report(&bench, attempt, Outcome::Succeeded).await;
    bench.held().await;
    bench.memory().crash();
    agent.stream_breaks_without_a_word().await;
    let bench = bench.restart().await;
    assert_eq!(bench.state(run).await, "leased");
    agent.connect(&bench, &in_flight(attempt)).await;
    agent.say(&bench, FromAgent::Result(report.clone())).await;
    agent.acknowledged(report.seq).await;
    assert_eq!(bench.state(run).await, "succeeded");
}

#[tokio::test]
async fn a_submission_that_a_power_cut_took_was_not_confirmed() {
    let bench = Bench::ready(Disk::memory()).await;
    bench.memory().hold();
    let ledger = bench.ledger.clone();
    let mut asked = Box::pin(async move { ledger.submit(submission("post")).await });
    tokio::select! {
        _ = &mut asked => panic!("confirmed before it was durable"),
        () = bench.held() => (),
    }
    bench.memory().crash();
    assert_eq!(soon(asked).await.err().unwrap().code.as_str(), "controller.stopping");
    let bench = bench.restart().await;
    assert_eq!(bench.ledger.totals().await.unwrap().1.values().sum::<usize>(), 0);
}

async fn a_repeated_result_is_acknowledged_and_changes_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("chained").await;
    let attempt = agent.offer().await.attempt;
    let report = agent.report(&bench, attempt, Outcome::Succeeded).await;
    let first = agent.heard(&bench).await;
    assert!(first.contains(&FromController::Ack { up_to: report.seq }), "{first:?}");
    let before = bench.run(run).await;
    for _ in 0..2 {
        agent.say(&bench, FromAgent::Result(report.clone())).await;
        agent.acknowledged(report.seq).await;
    }
    assert_eq!(bench.run(run).await.stored, before.stored);
    let bench = bench.restart().await;
    agent.connect(&bench, &[]).await;
    agent.say(&bench, FromAgent::Result(report.clone())).await;
    let heard = agent.heard(&bench).await;
    assert!(heard.contains(&FromController::Ack { up_to: report.seq }), "{heard:?}");
    let after = bench.run(run).await;
    assert_eq!((after.stored, after.late_results), (before.stored, 0));
    let all = bench.ledger.runs(Default::default(), None, 50).await.unwrap().items;
    assert_eq!(all.len(), 2, "the operation that follows was started more than once");
}

async fn a_result_under_an_older_fence_is_kept_once_and_changes_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("persistent").await;
    let first = agent.offer().await.attempt;
    let report = agent.report(&bench, first, failed()).await;
    agent.acknowledged(report.seq).await;
    let second = agent.offer().await.attempt;
    let before = bench.run(run).await.stored;
    let stale = agent.ended(first, Ending::Ended(Outcome::Succeeded));
    for _ in 0..2 {
        agent.say(&bench, FromAgent::Result(stale.clone())).await;
        agent.acknowledged(stale.seq).await;
    }
    let after = bench.run(run).await;
    assert_eq!((after.stored, after.late_results), (before, 1));
    agent.succeed(&bench, second).await;
    assert_eq!(bench.state(run).await, "succeeded");
}

async fn a_result_that_contradicts_a_finished_run_is_kept_and_changes_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    bench.pass(std::time::Duration::from_secs(76)).await;
    assert_eq!(bench.state(run).await, "unknown");
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    agent.connect(&bench, &in_flight(attempt)).await;
    let report = agent.report(&bench, attempt, Outcome::Succeeded).await;
    agent.acknowledged(report.seq).await;
    agent.say(&bench, FromAgent::Result(report.clone())).await;
    agent.acknowledged(report.seq).await;
    let record = bench.run(run).await;
    assert_eq!(record.stored.state, State::Finished { outcome: Outcome::Cancelled });
    assert_eq!(record.late_results, 1, "what the agent did was thrown away");
}

async fn a_result_for_a_run_of_another_agent_or_of_nobody_changes_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    let mut stranger = Agent::online(&bench, "pier-2", 1).await;
    let before = bench.run(run).await;
    let ahead = Attempt { fence: Fence::from_bits(attempt.fence.bits() + 1), ..attempt };
    let nobodys = Attempt { run: wherry_daemon::ids::new_id(), ..attempt };
    for attempt in [attempt, ahead, nobodys] {
        stranger.succeed(&bench, attempt).await;
        stranger.say(&bench, FromAgent::Checkpoint { attempt, cursor: "0".to_owned(), states: Vec::new() }).await;
        stranger.say(&bench, FromAgent::Log { attempt, lines: Vec::new() }).await;
    }
    let report = agent.report(&bench, ahead, Outcome::Succeeded).await;
    agent.acknowledged(report.seq).await;
    bench.settle().await;
    let after = bench.run(run).await;
    assert_eq!((after.stored, after.cursor, after.log_chunks), (before.stored, None, 0));
    agent.succeed(&bench, attempt).await;
}

async fn a_run_that_never_reached_the_agents_journal_goes_back_to_the_queue(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let lost = agent.offer().await.attempt;
    let bench = bench.restart().await;
    agent.connect(&bench, &[]).await;
    let again = agent.offer().await.attempt;
    assert_eq!((again.run, again.fence.attempt()), (run, 2));
    assert!(again.fence > lost.fence);
    assert_eq!(bench.run(run).await.history[1].reason, Some(Reason::OfferLost));
}

async fn an_interrupted_run_that_may_not_be_repeated_waits_for_a_person(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    let died = agent.ended(attempt, Ending::Interrupted);
    agent.say(&bench, FromAgent::Result(died.clone())).await;
    agent.acknowledged(died.seq).await;
    assert_eq!(bench.state(run).await, "unknown");
    // The agent forgets what was acknowledged: its silence proves nothing.
    let bench = bench.restart().await;
    agent.connect(&bench, &[]).await;
    assert_eq!(agent.heard(&bench).await, []);
    assert_eq!(bench.state(run).await, "unknown");
    bench.ledger.retry(run, "ada".to_owned()).await.unwrap();
    assert_eq!(agent.offer().await.attempt.fence.attempt(), 2);
}
