//! Controllers that die under load, and controllers that come back from a copy.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use wherry_tests::world::{Agent, Run, Submission, World};

/// Callers that submit at the same time, and how often each does.
const CALLERS: usize = 6;
const EACH: usize = 10;

#[tokio::test]
async fn every_run_that_a_killed_controller_acknowledged_ends_exactly_once() -> Result<()> {
    let mut world = World::start().await?.with_desk().await?;
    let _agents = (world.agent("eu-1").await?, world.agent("eu-2").await?);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let five = world.run("copy-keyed").with(json!({ "size": 5, "pages": 1 }));
        callers.spawn(submit_all(five, caller));
    }
    for issues in [30, 90, 150] {
        world.sandbox.has_created(issues).await?;
        world.controller.kill().await?;
        world.controller.start().await?;
    }
    let mut acknowledged = BTreeSet::new();
    while let Some(heard) = callers.join_next().await {
        acknowledged.extend(heard??);
    }
    assert_eq!(acknowledged.len(), CALLERS * EACH, "two keys became one run");
    for run in &acknowledged {
        world.end_of(run).await?.succeeded()?;
    }
    let all: Vec<Run> = world.api.list("/v1/runs?limit=200").await?;
    assert_eq!(all.len(), CALLERS * EACH, "a key became two runs");
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (5 * CALLERS * EACH, 0));
    world.close().await
}

#[tokio::test]
async fn a_controller_from_a_copy_never_hands_out_an_old_fence_and_does_nothing_unsafe_twice() -> Result<()> {
    let mut world = World::plan().short_leases().start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    let before = world.run("read").end().await?.succeeded()?;
    world.sandbox.misbehave(json!([{ "path": "/api/", "fault": "slow", "delay_ms": 250 }])).await?;
    // In the copy this run is under way; by the time the copy is put back it is long over.
    let copied = world.run("copy-unsafe").begin().await?;
    world.sandbox.has_created(2).await?;
    let copy = back_up(&world).await?;
    world.sandbox.behave().await?;
    world.end_of(&copied.id).await?.succeeded()?;
    let forgotten = world.run("copy-keyed").end().await?.succeeded()?;
    put_back(&mut world, &copy).await?;
    agent.has_logged("connected to the controller", 2).await?;

    assert_eq!(world.look_at(&before.id).await?.state, "succeeded");
    world.api.get(&format!("/v1/runs/{}", forgotten.id)).await?.refused(404, "run.not_found")?;
    world.run("read").end().await?.succeeded()?;
    agent.has_logged("fence=1.1", 1).await?;
    // What it did since the copy was taken the agent can still say.
    let copied = world.end_of(&copied.id).await?.succeeded()?;
    assert_eq!((copied.times("dispatched"), copied.counts.written), (1, 25), "{copied:?}");
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (50, 0), "something was done twice");
    stops_with_nothing_to_say(&mut agent).await?;
    world.close().await
}

#[tokio::test]
async fn what_was_queued_in_the_copy_and_done_since_is_taken_from_the_agents_word_and_not_done_again() -> Result<()> {
    let mut world = World::plan().short_leases().start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    world.api.post("/v1/agents/eu-1/drain", &json!({})).await?.accepted()?;
    let queued = [world.run("copy-keyed").begin().await?, world.run("copy-unsafe").begin().await?];
    let copy = back_up(&world).await?;
    world.api.post("/v1/agents/eu-1/resume", &json!({})).await?.accepted()?;
    for run in &queued {
        world.end_of(&run.id).await?.succeeded()?;
    }
    put_back(&mut world, &copy).await?;
    agent.has_logged("connected to the controller", 2).await?;
    for run in &queued {
        let over = world.end_of(&run.id).await?.succeeded()?;
        assert_eq!((over.times("recalled"), over.times("dispatched"), over.counts.written), (1, 0, 25), "{over:?}");
    }
    world.api.post("/v1/agents/eu-1/resume", &json!({})).await?.accepted()?;
    world.run("read").end().await?.succeeded()?;
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (50, 0), "something was done twice");
    stops_with_nothing_to_say(&mut agent).await?;
    world.close().await
}

#[tokio::test]
async fn a_result_of_a_run_that_the_copy_does_not_know_is_taken_and_kept() -> Result<()> {
    let mut world = World::start().await?.with_desk().await?;
    let mut agent = world.agent("eu-1").await?;
    world.run("read").end().await?.succeeded()?;
    let copy = back_up(&world).await?;
    world.sandbox.misbehave(json!([{ "path": "/api/", "fault": "slow", "delay_ms": 250 }])).await?;
    let lost = world.run("copy-unsafe").begin().await?;
    world.sandbox.has_created(2).await?;
    world.controller.kill().await?;
    world.sandbox.behave().await?;
    agent.has_logged("run succeeded", 2).await?;
    put_back(&mut world, &copy).await?;
    // The agent lets go only of what was acknowledged.
    agent.has_logged("connected to the controller", 2).await?;
    world.api.get(&format!("/v1/runs/{}", lost.id)).await?.refused(404, "run.not_found")?;
    world.run("read").end().await?.succeeded()?;
    stops_with_nothing_to_say(&mut agent).await?;
    assert_eq!(world.sandbox.ledger().await?.created, 25);
    world.close().await
}

#[tokio::test]
async fn a_copy_that_was_cut_short_or_meant_for_a_folder_in_use_is_refused() -> Result<()> {
    let mut world = World::start().await?.with_desk().await?;
    let copy = back_up(&world).await?;
    world.controller.kill().await?;
    let in_use = world.controller.restore(&copy).await.unwrap_err().to_string();
    assert!(in_use.contains("backup.unusable") && in_use.contains("not empty"), "{in_use}");
    world.controller.start().await?;
    let whole = fs::read(&copy)?;
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        let short = world.folder().join(format!("short-{length}"));
        fs::write(&short, &whole[..length])?;
        let elsewhere = world.controller.in_folder(world.folder().join(format!("from-{length}")));
        let refused = elsewhere.restore(&short).await.unwrap_err().to_string();
        assert!(refused.contains("backup.unusable"), "{length} bytes: {refused}");
    }
    world.close().await
}

/// Submits under keys of its own, each until the controller has acknowledged it; gives the runs.
async fn submit_all(submission: Submission, caller: usize) -> Result<Vec<String>> {
    let mut heard = Vec::new();
    for order in 0..EACH {
        heard.push(submission.clone().under(format!("caller-{caller}-{order}")).until_heard().await?.id);
    }
    Ok(heard)
}

/// A copy of everything the controller remembers, in a file.
async fn back_up(world: &World) -> Result<PathBuf> {
    let bytes = world.api.download(Method::POST, "/v1/backup").await?;
    let path = world.folder().join("backup");
    fs::write(&path, bytes)?;
    Ok(path)
}

/// Kills the controller and lets another one take its place, from the copy and the authority's keys.
async fn put_back(world: &mut World, copy: &Path) -> Result<()> {
    world.controller.kill().await?;
    let old = world.controller.data().to_owned();
    world.controller.move_to(world.folder().join("restored"));
    world.controller.restore(copy).await?;
    for kept in ["ca", "admin-token"] {
        fs::rename(old.join(kept), world.controller.data().join(kept)).with_context(|| kept.to_owned())?;
    }
    world.controller.start().await
}

/// An agent that stops waits for the acknowledgement of everything it has to report.
async fn stops_with_nothing_to_say(agent: &mut Agent) -> Result<()> {
    agent.ask_to_stop()?;
    let ended = tokio::time::timeout(Duration::from_secs(10), agent.ended()).await;
    assert_eq!(ended??.code(), Some(0));
    Ok(())
}
