//! Runs from submission to outcome.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use wherry_tests::world::{
    Connection, Counts, Operation, Project, Run, World,
    desk::{copy, requests},
    wait,
};

#[tokio::test]
async fn every_record_is_copied_once_and_counted() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let run = world.run("copy-keyed").end().await?.succeeded()?;
    assert_eq!(run.counts, Counts { read: 25, written: 25, rejected: 0, batches: 3 });
    assert_eq!((run.attempt, run.agent.as_deref()), (1, Some("eu-1")));
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.replayed, ledger.duplicates.len()), (25, 0, 0));
    assert!(ledger.entries.iter().all(|entry| entry.idempotency_key.is_some()));
    world.close().await
}

#[tokio::test]
async fn without_a_target_records_are_counted_and_variables_change_what_is_read() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let all = world.run("read").end().await?.succeeded()?;
    assert_eq!(all.counts, Counts { read: 25, written: 0, rejected: 0, batches: 3 });
    let some = world.run("read").with(json!({ "size": 5, "pages": 2 })).end().await?.succeeded()?;
    assert_eq!(some.counts, Counts { read: 10, written: 0, rejected: 0, batches: 2 });
    assert_eq!(world.sandbox.ledger().await?.created, 0);
    world.close().await
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_run_and_another_body_is_refused() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let first = world.run("copy-keyed").under("order-1").end().await?.succeeded()?;
    let again = world.run("copy-keyed").under("order-1").end().await?;
    assert_eq!(again, first);
    assert_eq!(world.sandbox.ledger().await?.created, 25);
    let other = world.run("copy-keyed").under("order-1").with(json!({ "size": 5 })).answer().await?;
    other.refused(409, "request.idempotency_mismatch")?;
    let fresh = world.run("copy-keyed").under("order-2").end().await?.succeeded()?;
    assert_ne!(fresh.id, first.id);
    world.close().await
}

#[tokio::test]
async fn a_target_that_breaks_twice_is_tried_again_and_nothing_is_recorded_twice() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    // The second loss is the nasty one: the effect stands, the answer says otherwise.
    let before = json!({ "path": "/api/issues", "method": "POST", "fault": "error", "skip": 12, "times": 1 });
    let after =
        json!({ "path": "/api/issues", "method": "POST", "fault": "error", "when": "after", "skip": 15, "times": 1 });
    world.sandbox.misbehave(json!([before, after])).await?;
    let run = world.run("copy-keyed").end().await?.succeeded()?;
    assert_eq!((run.attempt, run.times("requeued")), (3, 2));
    // The first page arrived whole, so the later attempts begin behind it; the counts are those of all of them.
    assert_eq!((run.last_attempt.read, run.last_attempt.written), (15, 15), "{run:?}");
    assert_eq!(run.counts, Counts { read: 25, written: 25, rejected: 0, batches: 3 });
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (25, 0));
    assert!(ledger.replayed >= 1, "the retry did not use the same key");
    world.close().await
}

#[tokio::test]
async fn systems_that_take_fewer_requests_than_a_batch_has_records_get_each_record_once() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    // Neither a key nor another attempt helps this one.
    let issue = json!({ "title": "{{ record.summary }}", "external_id": "{{ run.id }}/{{ record.id }}" });
    let bare = Operation::from("desk", "query", requests()).to(
        "tracker",
        "send",
        json!({ "path": "/api/issues", "body": issue }),
    );
    world.deploy(&world.desk().operation("bare", bare)).await?;
    let _agent = world.agent("eu-1").await?;
    let quota = |path: &str, quota: u32| json!({ "path": path, "fault": "throttle", "quota": quota });
    world.sandbox.misbehave(json!([quota("/api/issues", 4), quota("/rest/requests", 1)])).await?;
    for (operation, created) in [("copy-keyed", 25), ("bare", 50)] {
        let run = world.run(operation).end().await?.succeeded()?;
        assert_eq!((run.attempt, run.counts.read, run.counts.written), (1, 25, 25), "{operation}: {run:?}");
        let ledger = world.sandbox.ledger().await?;
        assert_eq!((ledger.created, ledger.replayed, ledger.duplicates.len()), (created, 0, 0), "{operation}");
    }
    // 25 records in windows of four, one second each: six refusals and more, twice.
    world.sandbox.has_misbehaved(12).await?;
    // What takes longer than a connector waits is left to the next attempt, as ever.
    let long = json!([{ "path": "/api/issues", "fault": "throttle", "retry_after_s": 90 }]);
    world.sandbox.misbehave(long).await?;
    let run = world.run("copy-unsafe").end().await?.failed_with("http.throttled")?;
    assert!(run.attempt == 1 && run.failure.is_some_and(|failure| failure.effects_begun));
    world.close().await
}

#[tokio::test]
async fn an_unsafe_run_is_not_tried_again_once_its_effects_began() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let fault = json!([{ "path": "/api/issues", "method": "POST", "fault": "error", "skip": 3 }]);
    world.sandbox.misbehave(fault).await?;
    let run = world.run("copy-unsafe").end().await?.failed_with("http.server_error")?;
    assert!(run.attempt == 1 && run.failure.is_some_and(|failure| failure.effects_begun));
    world.sandbox.behave().await?;
    // Before anything begins there is nothing to do twice.
    let fault = json!([{ "path": "/rest/requests", "fault": "error", "times": 1 }]);
    world.sandbox.misbehave(fault).await?;
    let run = world.run("copy-unsafe").end().await?.succeeded()?;
    assert_eq!(run.attempt, 2);
    assert!(world.sandbox.ledger().await?.duplicates.is_empty());
    world.close().await
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_its_timeout() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let hasty = copy("send.keyed").class("keyed").set("timeout", "1s").set("retry", json!({ "attempts": 1 }));
    world.deploy(&world.desk().operation("hasty", hasty)).await?;
    let _agent = world.agent("eu-1").await?;
    world.run("copy-keyed").end().await?.succeeded()?;
    let slow = json!([{ "path": "/api/issues", "fault": "slow", "delay_ms": 20_000 }]);
    world.sandbox.misbehave(slow).await?;
    let run = world.run("hasty").end().await?.failed_with("run.timeout")?;
    assert!(run.failure.is_some_and(|failure| failure.effects_begun && failure.message.contains("1s")));
    world.close().await
}

#[tokio::test]
async fn a_run_can_be_cancelled_before_it_begins_and_in_the_middle() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let queued = world.run("copy-keyed").begin().await?;
    assert_eq!(queued.state, "queued");
    let cancelled = cancel(&world, &queued).await?;
    assert_eq!((cancelled.state.as_str(), cancelled.attempt), ("cancelled", 0));

    let _agent = world.agent("eu-1").await?;
    let slow = json!([{ "path": "/api/issues", "fault": "slow", "delay_ms": 60_000, "skip": 12 }]);
    world.sandbox.misbehave(slow).await?;
    let run = world.run("copy-keyed").begin().await?;
    world.sandbox.has_misbehaved(1).await?;
    cancel(&world, &run).await?;
    let over = world.end_of(&run.id).await?;
    assert_eq!((over.state.as_str(), over.attempt, over.times("cancel_asked")), ("cancelled", 1, 1));
    // The slot is free again, and what was done stays done.
    world.sandbox.behave().await?;
    world.run("read").end().await?.succeeded()?;
    assert!(world.sandbox.ledger().await?.created <= 13);
    // To cancel what is over changes nothing.
    assert_eq!(cancel(&world, &over).await?, over);
    world.close().await
}

#[tokio::test]
async fn success_and_failure_each_start_the_operation_meant_for_them_once() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let nowhere = Operation::from("desk", "query", json!({ "path": "/rest/nothing" }));
    let chain = world
        .desk()
        .operation("first", Operation::from("desk", "query", requests()).set("on_success", "second"))
        .operation("second", nowhere.set("on_success", "read").set("on_failure", "third"))
        .operation("third", copy("send.keyed").class("keyed"));
    world.deploy(&chain).await?;
    let _agent = world.agent("eu-1").await?;
    let first = world.run("first").end().await?.succeeded()?;
    let second = follower(&world, &first).await?.failed_with("http.not_found")?;
    let third = follower(&world, &second).await?.succeeded()?;
    assert_eq!((second.operation.as_str(), third.operation.as_str()), ("second", "third"));
    let runs: Vec<Run> = world.api.list("/v1/runs?limit=50").await?;
    assert_eq!(runs.len(), 3, "{runs:?}");
    world.close().await
}

#[tokio::test]
async fn a_failed_run_can_be_run_again_as_a_new_one_in_the_newest_deployment() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let wrong = Operation::from("desk", "query", json!({ "path": "/rest/nothing" }));
    world.deploy(&world.desk().operation("fetch", wrong)).await?;
    let _agent = world.agent("eu-1").await?;
    let failed = world.run("fetch").end().await?.failed_with("http.not_found")?;
    world.deploy(&world.desk().operation("fetch", Operation::from("desk", "query", requests()))).await?;
    let retry = world.api.post(&format!("/v1/runs/{}/retry", failed.id), &json!({})).await?;
    let anew = Run::read(retry.accepted()?)?;
    assert_eq!(anew.caused_by.as_ref(), Some(&failed.id));
    let anew = world.end_of(&anew.id).await?.succeeded()?;
    assert_eq!(anew.counts.read, 25);
    assert_eq!(world.look_at(&failed.id).await?, failed);
    world.close().await
}

#[tokio::test]
async fn slots_bound_what_an_agent_runs_and_the_rest_waits() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.enrolled("eu-1", 2).await?;
    agent.start().await?;
    let slow = json!([{ "path": "/rest/requests", "fault": "slow", "delay_ms": 500 }]);
    world.sandbox.misbehave(slow).await?;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(world.run("read").with(json!({ "size": 100 })).begin().await?);
    }
    wait::until("two runs are leased", async || {
        let leased: Vec<Run> = world.api.list("/v1/runs?state=leased").await?;
        assert!(leased.len() <= 2, "{leased:?}");
        Ok((leased.len() == 2).then_some(()))
    })
    .await?;
    for run in runs {
        world.end_of(&run.id).await?.succeeded()?;
    }
    world.close().await
}

#[tokio::test]
async fn projects_do_not_see_each_other_and_an_ambiguous_operation_must_be_told_apart() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let url = format!("{}/json/1k", world.sandbox.url);
    let other = Project::named("other")
        .connection("plain", Connection::to(&url))
        .operation("read", Operation::from("plain", "query", json!({})));
    world.deploy(&other).await?;
    let _agent = world.agent("eu-1").await?;
    world.run("read").answer().await?.refused(409, "operation.ambiguous")?;
    let path = "/v1/environments/prod/operations/read/runs?project=other&wait_ms=30000";
    let run = Run::read(world.api.post(path, &json!({})).await?.accepted()?)?.succeeded()?;
    assert_eq!(run.counts.read, 1);
    world.close().await
}

async fn cancel(world: &World, run: &Run) -> Result<Run> {
    Run::read(world.api.post(&format!("/v1/runs/{}/cancel", run.id), &json!({})).await?.accepted()?)
}

/// The one run that the end of `run` caused, once it is over.
async fn follower(world: &World, run: &Run) -> Result<Run> {
    wait::within(Duration::from_secs(10), "another run follows", async || {
        let all: Vec<Run> = world.api.list("/v1/runs?limit=50").await?;
        Ok(all.into_iter().find(|one| one.caused_by.as_ref() == Some(&run.id) && one.is_over()))
    })
    .await
}
