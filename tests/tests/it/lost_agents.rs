//! Agents that die, freeze, are copied or shut out in the middle of their work.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use wherry_tests::world::{Ledger, Run, World, fault_proxy::Direction, fault_proxy::FaultProxy, wait};

/// Exit code of an agent whose identity the controller refuses.
const REFUSED: i32 = 77;

#[tokio::test]
async fn what_a_killed_agent_ran_is_done_again_elsewhere_unless_that_could_do_it_twice() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let mut lost = world.agent("eu-1").await?;
    let runs = four_runs_in_the_middle(&world).await?;
    let mut other = world.enrolled("eu-2", 8).await?;
    lost.kill().await?;
    world.sandbox.behave().await?;
    other.start().await?;
    for run in runs.iter().filter(|run| run.operation != "copy-unsafe") {
        let over = world.end_of(&run.id).await?.succeeded()?;
        assert_eq!((over.attempt, over.agent.as_deref()), (2, Some("eu-2")), "{over:?}");
    }
    let held = world.once(&of(&runs, "copy-unsafe").id, "unknown").await?;
    assert_eq!((held.attempt, held.agent.as_deref(), held.times("held")), (1, Some("eu-1"), 1));
    one_key_each(&world.sandbox.ledger().await?);
    // It waits for that agent or for a person. The agent knows no more than that it died.
    lost.start().await?;
    assert_eq!(world.look_at(&held.id).await?.state, "unknown");
    world.api.post(&format!("/v1/runs/{}/cancel", held.id), &json!({})).await?.accepted()?;
    assert_eq!(world.look_at(&held.id).await?.state, "cancelled");
    let ledger = world.sandbox.ledger().await?;
    assert!(ledger.duplicates.is_empty(), "{:?}", ledger.duplicates);
    world.close().await
}

#[tokio::test]
async fn an_agent_that_is_back_before_its_leases_end_says_at_once_what_it_lost() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    let runs = four_runs_in_the_middle(&world).await?;
    agent.kill().await?;
    world.sandbox.behave().await?;
    // The leases last a minute, but nobody has to wait for them.
    agent.start().await?;
    for run in runs.iter().filter(|run| run.operation != "copy-unsafe") {
        let over = world.end_of(&run.id).await?.succeeded()?;
        assert_eq!(over.attempt, 2, "{over:?}");
        assert!(over.history.iter().any(|one| one.reason.as_deref() == Some("agent_restarted")), "{over:?}");
    }
    let held = world.once(&of(&runs, "copy-unsafe").id, "unknown").await?;
    // A person decides that it is to be done again, all of it.
    world.api.post(&format!("/v1/runs/{}/retry", held.id), &json!({})).await?.accepted()?;
    world.end_of(&held.id).await?.succeeded()?;
    let ledger = world.sandbox.ledger().await?;
    one_key_each(&ledger);
    assert!(ledger.duplicates.is_empty(), "{:?}", ledger.duplicates);
    world.close().await
}

#[tokio::test]
async fn an_agent_frozen_beyond_its_leases_does_and_records_nothing_when_it_thaws() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let frozen = world.agent("eu-1").await?;
    let runs = four_runs_in_the_middle(&world).await?;
    let _other = world.agent("eu-2").await?;
    frozen.freeze()?;
    world.sandbox.behave().await?;
    let mut over = Vec::new();
    for run in runs.iter().filter(|run| run.operation != "copy-unsafe") {
        over.push(world.end_of(&run.id).await?.succeeded()?);
    }
    let held = world.once(&of(&runs, "copy-unsafe").id, "unknown").await?;
    let effects = world.sandbox.ledger().await?.created;
    frozen.thaw()?;
    // It hears at once that nothing of this is its own any more.
    wait::until("the thawed agent is back", async || {
        let seen = world.agent_seen("eu-1").await?;
        Ok((seen["state"] == "live" && seen["running"] == 0).then_some(()))
    })
    .await?;
    world.sandbox.creates_nothing_for(Duration::from_secs(1)).await?;
    for run in &over {
        let now = world.look_at(&run.id).await?;
        assert_eq!((&now.state, now.attempt, &now.agent), (&run.state, run.attempt, &run.agent), "{now:?}");
    }
    assert!(matches!(world.look_at(&held.id).await?.state.as_str(), "unknown" | "failed"));
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (effects, 0));
    world.close().await
}

#[tokio::test]
async fn two_processes_with_one_identity_are_both_shut_out() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let mut original = world.enrolled("eu-1", 8).await?;
    let mut copy = original.clone_disk()?;
    original.start().await?;
    copy.launch()?;
    let codes = (original.ended().await?.code(), copy.ended().await?.code());
    assert_eq!(codes, (Some(REFUSED), Some(REFUSED)));
    let seen = world.agent_seen("eu-1").await?;
    assert_eq!(seen["state"], "locked");
    assert!(seen["locked"].as_str().is_some_and(|why| why.contains("copied")), "{seen}");
    let audit: Vec<Value> = world.api.list("/v1/audit").await?;
    assert!(audit.iter().any(|entry| entry["what"] == "agent.lock" && entry["who"] == "controller"));
    world.close().await
}

#[tokio::test]
async fn a_locked_agent_is_cut_off_within_seconds_and_gets_no_work_until_it_is_unlocked() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    world.run("read").end().await?.succeeded()?;
    slow_down(&world).await?;
    let run = world.run("copy-keyed").begin().await?;
    world.sandbox.has_created(3).await?;
    let held = world.run("copy-unsafe").begin().await?;
    world.once(&held.id, "leased").await?;
    world.api.post("/v1/agents/eu-1/lock", &json!({ "reason": "lost laptop" })).await?.accepted()?;
    // Its leases end with it; nobody waits for their terms.
    assert_eq!(world.look_at(&run.id).await?.state, "queued");
    let revoked = world.look_at(&held.id).await?;
    assert_eq!(revoked.state, "unknown");
    assert!(revoked.history.iter().any(|one| one.reason.as_deref() == Some("agent_locked")), "{revoked:?}");
    let cut_off = tokio::time::timeout(Duration::from_secs(5), agent.ended()).await;
    assert_eq!(cut_off??.code(), Some(REFUSED));
    world.sandbox.behave().await?;
    let waiting = world.run("read").begin().await?;
    agent.launch()?;
    assert_eq!(agent.ended().await?.code(), Some(REFUSED));
    assert_eq!(world.look_at(&waiting.id).await?.attempt, 0);
    world.api.post("/v1/agents/eu-1/unlock", &json!({})).await?.accepted()?;
    agent.start().await?;
    world.end_of(&waiting.id).await?.succeeded()?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert!(over.attempt > 1);
    one_key_each(&world.sandbox.ledger().await?);
    world.close().await
}

#[tokio::test]
async fn a_removed_agent_is_forgotten_and_its_certificate_worth_nothing() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    world.run("read").end().await?.succeeded()?;
    world.api.delete("/v1/agents/eu-1").await?.accepted()?;
    assert_eq!(agent.ended().await?.code(), Some(REFUSED));
    agent.launch()?;
    assert_eq!(agent.ended().await?.code(), Some(REFUSED));
    world.api.get("/v1/agents/eu-1").await?.refused(404, "agent.not_found")?;
    world.close().await
}

#[tokio::test]
async fn a_result_that_was_not_sent_is_sent_by_the_next_process() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let proxy = FaultProxy::before(world.controller.agents_at()).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.reach_controller_at(proxy.address())?;
    agent.start().await?;
    world.run("read").end().await?.succeeded()?;
    slow_down(&world).await?;
    let run = world.run("copy-unsafe").begin().await?;
    world.sandbox.has_created(3).await?;
    proxy.hold_only(Direction::Requests);
    world.sandbox.behave().await?;
    agent.has_logged("run succeeded", 2).await?;
    agent.kill().await?;
    assert_eq!(world.look_at(&run.id).await?.state, "leased");
    proxy.cut();
    proxy.heal();
    agent.start().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.written, over.late_results), (1, 25, 0));
    assert_eq!(world.sandbox.ledger().await?.created, 25);
    world.close().await
}

#[tokio::test]
async fn a_stopping_agent_finishes_what_it_runs_and_takes_nothing_new() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    slow_down(&world).await?;
    let run = world.run("copy-unsafe").begin().await?;
    world.sandbox.has_created(3).await?;
    agent.ask_to_stop()?;
    let later = world.run("read").begin().await?;
    assert_eq!(agent.ended().await?.code(), Some(0));
    let over = world.look_at(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.written), (1, 25));
    assert_eq!(world.look_at(&later.id).await?.state, "queued");
    agent.start().await?;
    world.end_of(&later.id).await?.succeeded()?;
    world.close().await
}

#[tokio::test]
async fn a_drained_agent_gets_nothing_new_until_it_is_resumed() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _drained = world.agent("eu-1").await?;
    world.run("read").end().await?.succeeded()?;
    slow_down(&world).await?;
    let before = world.run("copy-keyed").begin().await?;
    world.sandbox.has_created(1).await?;
    world.api.post("/v1/agents/eu-1/drain", &json!({})).await?.accepted()?;
    world.sandbox.behave().await?;
    let later = world.run("read").begin().await?;
    assert_eq!(world.end_of(&before.id).await?.succeeded()?.attempt, 1);
    assert_eq!(world.look_at(&later.id).await?.state, "queued");
    world.api.post("/v1/agents/eu-1/resume", &json!({})).await?.accepted()?;
    assert_eq!(world.end_of(&later.id).await?.succeeded()?.agent.as_deref(), Some("eu-1"));
    world.close().await
}

/// A run of each side-effect class on the only agent, each with some of its effects done and some not.
pub(crate) async fn four_runs_in_the_middle(world: &World) -> Result<Vec<Run>> {
    world.run("read").end().await?.succeeded()?;
    slow_down(world).await?;
    let mut runs = Vec::new();
    for operation in ["copy-keyed", "copy-unsafe"] {
        runs.push(world.run(operation).begin().await?);
    }
    for operation in ["read", "read-idempotent"] {
        runs.push(world.run(operation).with(json!({ "size": 1 })).begin().await?);
    }
    wait::until("every run has done something", async || {
        let ledger = world.sandbox.ledger().await?;
        let begun =
            |run: &Run| ledger.entries.iter().filter(|entry| belongs(entry.external_id.as_ref(), run)).count() > 1;
        Ok((runs.iter().filter(|run| begun(run)).count() == 2).then_some(()))
    })
    .await?;
    Ok(runs)
}

/// Every answer takes long enough for something to happen in the middle.
async fn slow_down(world: &World) -> Result<()> {
    world.sandbox.misbehave(json!([{ "path": "/", "fault": "slow", "delay_ms": 250 }])).await
}

fn belongs(external_id: Option<&String>, run: &Run) -> bool {
    external_id.is_some_and(|id| id.starts_with(&run.id))
}

pub(crate) fn of<'a>(runs: &'a [Run], operation: &str) -> &'a Run {
    runs.iter().find(|run| run.operation == operation).unwrap()
}

/// Every record was sent with one key, however often it was sent.
pub(crate) fn one_key_each(ledger: &Ledger) {
    let mut keys = std::collections::BTreeMap::new();
    for entry in &ledger.entries {
        let first = keys.entry(entry.external_id.clone()).or_insert_with(|| entry.idempotency_key.clone());
        assert_eq!(*first, entry.idempotency_key, "{:?} was sent with two keys", entry.external_id);
    }
}
