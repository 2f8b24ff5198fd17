//! Runs from their submission to their end, as people ask for it.

use std::time::Duration;

use serde_json::json;
use wherry_controller::engine::{Kind, Watch};
use wherry_domain::{
    failure::{Code, Failure},
    retry::Jitter,
    run::{Outcome, Reason, State},
};
use wherry_proto::frame::{Counts, FromAgent, FromController, LogLine};

use crate::support::{Agent, Bench, Disk, failed, in_flight, name, on_each_store, soon, submission};

on_each_store!(
    a_run_goes_from_its_submission_to_its_end,
    a_caller_who_waits_hears_of_the_end_and_a_follower_of_each_change,
    what_was_submitted_and_begun_outlives_the_process,
    a_waiting_run_is_cancelled_at_once_and_a_leased_one_by_its_agent,
    a_failed_attempt_is_repeated_after_its_wait_from_its_cursor,
    a_declined_run_waits_for_the_agents_next_heartbeat,
    a_finished_run_is_submitted_anew_and_an_active_one_is_not,
    an_operation_that_is_not_deployed_is_refused_with_the_nearest_name,
    callers_who_gave_up_waiting_do_not_disturb_those_who_did_not,
);

async fn a_run_goes_from_its_submission_to_its_end(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    let mut asked = submission("post");
    asked.variables.insert(name("table"), json!("Incidents"));
    let submitted = bench.try_submit(asked).await.unwrap().record;
    let run = submitted.spec.id;
    assert_eq!((submitted.stored.state, submitted.spec.number), (State::Queued { open: false }, 1));

    let offer = agent.offer().await;
    assert_eq!((offer.attempt.run, offer.attempt.fence.attempt()), (run, 1));
    assert_eq!((offer.operation, offer.deployment), (name("post"), submitted.spec.snapshot));
    assert_eq!((offer.variables, offer.cursor), (br#"{"table":"Incidents"}"#.to_vec(), None));
    let attempt = offer.attempt;
    let counts = Counts { read: 1, ..Counts::default() };
    agent.say(&bench, FromAgent::Progress { attempt, counts, earlier: Counts::default() }).await;
    agent.say(&bench, FromAgent::Log { attempt, lines: vec![line("begun"), line("half done")] }).await;
    bench.settle().await;
    let record = bench.run(run).await;
    assert_eq!((record.counts.read, record.agent, record.log_chunks), (1, Some(agent.id), 1));

    agent.succeed(&bench, attempt).await;
    let record = bench.run(run).await;
    assert_eq!(record.stored.state, State::Finished { outcome: Outcome::Succeeded });
    assert_eq!(record.counts.written, 3);
    assert!(record.finished_ms.is_some() && record.started_ms.is_some());
    assert_eq!(record.history.iter().map(|entry| entry.what.as_str()).collect::<Vec<_>>(), ["dispatched"]);
    let logs = bench.ledger.logs(run, 1, 10).await.unwrap();
    assert_eq!((logs.items[0].0, logs.items[0].1.text.as_str(), logs.next), (2, "half done", None));
}

async fn a_caller_who_waits_hears_of_the_end_and_a_follower_of_each_change(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut asked = submission("look");
    asked.wait = true;
    let submitted = bench.try_submit(asked).await.unwrap();
    let run = submitted.record.spec.id;
    let Watch::Live(mut changes) = bench.ledger.watch(run).await.unwrap() else { panic!("it is over") };
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    soon(changes.wait_for(|record| matches!(record.stored.state, State::Leased { .. }))).await.unwrap();
    agent.succeed(&bench, attempt).await;
    soon(changes.wait_for(|record| matches!(record.stored.state, State::Finished { .. }))).await.unwrap();
    let over = soon(submitted.over.unwrap()).await.unwrap();
    assert_eq!(over.stored.state, State::Finished { outcome: Outcome::Succeeded });
    assert!(matches!(bench.ledger.watch(run).await.unwrap(), Watch::Over(_)));
    let at_once = bench.ledger.finished(run).await.unwrap();
    assert_eq!(soon(at_once).await.unwrap().spec.id, run);
}

async fn what_was_submitted_and_begun_outlives_the_process(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let (leased, waiting) = (bench.submit("post").await, bench.submit("look").await);
    let attempt = agent.offer().await.attempt;
    assert_eq!(attempt.run, leased);
    agent.say(&bench, FromAgent::Checkpoint { attempt, cursor: "\"page 2\"".to_owned(), states: Vec::new() }).await;
    bench.settle().await;

    let bench = bench.restart().await;
    assert_eq!((bench.state(leased).await, bench.state(waiting).await), ("leased", "queued"));
    assert_eq!(bench.run(leased).await.cursor.as_deref(), Some("\"page 2\""));
    // The lease counts as granted now: not over after what was left of it.
    bench.pass(Duration::from_secs(74)).await;
    assert_eq!(bench.state(leased).await, "leased");
    agent.connect(&bench, &in_flight(attempt)).await;
    agent.report(&bench, attempt, Outcome::Succeeded).await;
    // Both in one commit: acknowledged, and the next run in the freed slot.
    let mut heard = vec![agent.frame().await, agent.frame().await];
    heard.sort_by_key(|frame| matches!(frame, FromController::Ack { .. }));
    assert!(matches!(&heard[0], FromController::Offer(offer) if offer.attempt.run == waiting), "{heard:?}");
}

async fn a_waiting_run_is_cancelled_at_once_and_a_leased_one_by_its_agent(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let (leased, waiting) = (bench.submit("post").await, bench.submit("post").await);
    let attempt = agent.offer().await.attempt;
    bench.ledger.cancel(waiting, "ada".to_owned()).await.unwrap();
    assert_eq!(bench.state(waiting).await, "cancelled");
    let asked = bench.ledger.cancel(leased, "ada".to_owned()).await.unwrap();
    assert!(matches!(asked.stored.state, State::Leased { cancelling: true, .. }));
    assert_eq!(agent.frame().await, FromController::Cancel(attempt));
    let report = agent.report(&bench, attempt, Outcome::Cancelled).await;
    agent.acknowledged(report.seq).await;
    assert_eq!(bench.state(leased).await, "cancelled");
    let over = bench.ledger.cancel(leased, "ada".to_owned()).await.unwrap();
    assert_eq!(over.stored, bench.run(leased).await.stored, "a finished run changed");
    assert_eq!(agent.heard(&bench).await, [], "a cancelled run was offered");
}

async fn a_failed_attempt_is_repeated_after_its_wait_from_its_cursor(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("persistent").await;
    let first = agent.offer().await.attempt;
    agent.say(&bench, FromAgent::Checkpoint { attempt: first, cursor: "7".to_owned(), states: Vec::new() }).await;
    let report = agent.ended(first, wherry_proto::frame::Ending::Ended(failed()));
    agent.say_by_chance(&bench, FromAgent::Result(report.clone()), Jitter(u16::MAX)).await;
    agent.acknowledged(report.seq).await;
    bench.pass(Duration::from_millis(7_999)).await;
    assert_eq!(agent.heard(&bench).await, [], "offered before its time");
    bench.pass(Duration::from_millis(1)).await;
    let second = agent.offer().await;
    assert_eq!((second.attempt.fence.attempt(), second.cursor.as_deref()), (2, Some("7")));
    assert!(second.attempt.fence > first.fence);
    agent.report(&bench, second.attempt, failed()).await;
    let third = agent.offer().await.attempt;
    agent.heard(&bench).await;
    let last = Failure::retry(Code::new("connection.refused"), "nobody listens there");
    let report = agent.report(&bench, third, Outcome::Failed(last.clone())).await;
    agent.acknowledged(report.seq).await;
    assert_eq!(bench.run(run).await.stored.state, State::Finished { outcome: Outcome::Failed(last) });
    assert_eq!(agent.heard(&bench).await, [], "a fourth attempt");
}

async fn a_declined_run_waits_for_the_agents_next_heartbeat(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    let failure = Failure::retry(Code::new("agent.busy"), "every slot is taken");
    agent.say(&bench, FromAgent::Declined { attempt, failure, side_effects: None }).await;
    assert_eq!(agent.heard(&bench).await, [], "offered again to an agent that is full");
    let record = bench.run(run).await;
    assert_eq!((state(&record.stored.state), record.history[1].reason), ("queued", Some(Reason::AgentDeclined)));
    agent.beat(&bench, &[]).await;
    assert_eq!(agent.offer().await.attempt.fence.attempt(), 2);
}

async fn a_finished_run_is_submitted_anew_and_an_active_one_is_not(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let run = bench.submit("look").await;
    let active = bench.ledger.retry(run, "ada".to_owned()).await.unwrap_err();
    assert_eq!((active.kind, active.code.as_str()), (Kind::Conflict, "run.still_active"));
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    let broken = Failure::permanent(Code::new("record.rejected"), "the target refused it");
    agent.report(&bench, attempt, Outcome::Failed(broken)).await;
    bench.settle().await;
    let again = bench.ledger.retry(run, "ada".to_owned()).await.unwrap();
    assert_eq!((again.spec.caused_by, again.spec.by.as_str(), again.spec.depth), (Some(run), "ada", 0));
    assert_ne!(again.spec.id, run);
    assert_eq!(bench.state(run).await, "failed");
    let missing = bench.ledger.retry(wherry_daemon::ids::new_id(), "ada".to_owned()).await.unwrap_err();
    assert_eq!(missing.code.as_str(), "run.not_found");
}

async fn an_operation_that_is_not_deployed_is_refused_with_the_nearest_name(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let refused = bench.try_submit(submission("lok")).await.err().unwrap();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::NotFound, "operation.not_found"));
    assert!(refused.message.contains("did you mean look?"), "{refused}");
    let mut asked = submission("look");
    asked.variables.insert(name("tabel"), json!("x"));
    let refused = bench.try_submit(asked).await.err().unwrap();
    assert_eq!(refused.code.as_str(), "run.variable_unknown");
    let mut asked = submission("look");
    asked.variables.insert(name("table"), json!("x".repeat(40_000)));
    assert_eq!(bench.try_submit(asked).await.err().unwrap().code.as_str(), "run.variables_too_large");
    let mut second = crate::support::desk();
    second.name = name("desk-2");
    bench.ledger.deploy("ada".to_owned(), name("prod"), second, false).await.unwrap();
    let unclear = bench.try_submit(submission("look")).await.err().unwrap();
    assert_eq!((unclear.kind, unclear.code.as_str()), (Kind::Conflict, "operation.ambiguous"));
    let mut named = submission("look");
    named.project = Some(name("desk-2"));
    assert_eq!(bench.try_submit(named).await.unwrap().record.spec.project, name("desk-2"));
}

async fn callers_who_gave_up_waiting_do_not_disturb_those_who_did_not(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let run = bench.submit("look").await;
    for _ in 0..100 {
        drop(bench.ledger.finished(run).await.unwrap());
    }
    let kept = bench.ledger.finished(run).await.unwrap();
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let attempt = agent.offer().await.attempt;
    agent.succeed(&bench, attempt).await;
    assert_eq!(soon(kept).await.unwrap().spec.id, run);
}

const fn state(state: &State) -> &'static str {
    wherry_controller::engine::state_word(state)
}

fn line(text: &str) -> LogLine {
    LogLine { at_ms: 1, level: "info".to_owned(), text: text.to_owned() }
}
