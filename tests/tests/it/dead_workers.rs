//! Worker processes of connectors that die in the middle of their work, and agents on which a connector is quarantined.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wherry_domain::effects::SideEffects;
use wherry_tests::world::{Agent, Connection, Operation, Package, Project, World, wait};
use wherry_trust::release::{Activity, ActivityKind};

use super::lost_agents::{four_runs_in_the_middle, of, one_key_each};

/// Of a connection's connector.
const UPGRADE: &str = "/v1/environments/prod/connectors/http/move";

/// The worker processes of an agent, by what the system says of its processes.
fn workers(agent: &Agent) -> Result<Vec<i32>> {
    let agent = agent.pid().context("the agent runs")?;
    let processes = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_worker = |process: &i32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let command = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        status.contains(&format!("PPid:\t{agent}\n")) && command.starts_with("wherry-agent\0worker")
    };
    Ok(processes.filter(is_worker).collect())
}

#[tokio::test]
async fn what_a_killed_worker_ran_is_done_again_unless_that_could_do_it_twice() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let agent = world.agent("eu-1").await?;
    let runs = four_runs_in_the_middle(&world).await?;
    let before = workers(&agent)?;
    assert!(before.len() >= 2, "one for each connection: {before:?}");
    for worker in &before {
        kill_process(Pid::from_raw(*worker).context("a process")?, Signal::KILL)?;
    }
    world.sandbox.behave().await?;
    for run in runs.iter().filter(|run| run.operation != "copy-unsafe") {
        let over = world.end_of(&run.id).await?.succeeded()?;
        ensure!(over.attempt == 2, "it was not repeated once: {over:?}");
        ensure!(over.history.iter().any(|one| one.reason.as_deref() == Some("attempt_failed")), "{over:?}");
        says(&world, &run.id).await?;
    }
    // Nobody does that again but a person, who has to look what was done.
    let held = world.once(&of(&runs, "copy-unsafe").id, "unknown").await?;
    assert_eq!(held.attempt, 1);
    ensure!(held.history.iter().any(|one| one.reason.as_deref() == Some("worker_died")), "{held:?}");
    says(&world, &held.id).await?;
    let ledger = world.sandbox.ledger().await?;
    one_key_each(&ledger);
    assert!(ledger.duplicates.is_empty(), "{:?}", ledger.duplicates);
    world.api.post(&format!("/v1/runs/{}/retry", held.id), &json!({})).await?.accepted()?;
    world.end_of(&held.id).await?.succeeded()?;
    assert!(workers(&agent)?.iter().all(|worker| !before.contains(worker)), "the next runs got workers of their own");
    world.close().await
}

/// The log of the run says how its worker ended.
async fn says(world: &World, run: &str) -> Result<()> {
    let lines: Vec<Value> = world.api.list(&format!("/v1/runs/{run}/logs")).await?;
    let told = lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains("signal 9")));
    ensure!(told, "the log of {run} does not say it: {lines:?}");
    Ok(())
}

#[tokio::test]
async fn where_agents_differ_versions_say_what_each_has_wants_and_why() -> Result<()> {
    let world = World::start().await?;
    let source =
        |name: &str| Activity { name: name.to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read };
    // It calls itself `http`.
    let mut package = Package::of(&world.programs, "http")?;
    package.component = world.programs.component("hostile")?;
    package.release.activities = vec![source("abort"), source("good")];
    world.publish(&package.clone().at("1.0.0")?).await?;
    let from = |activity: &str| Operation::from("desk", activity, json!({})).attempts(1);
    let project = Project::named("desk").connection("desk", Connection::to(&world.sandbox.url));
    world.deploy(&project.operation("good", from("good")).operation("abort", from("abort"))).await?;
    let _one = world.agent("eu-1").await?;
    world.run("good").end().await?.succeeded()?;
    world.publish(&package.at("1.1.0")?).await?;
    world.api.post(UPGRADE, &json!({ "action": "upgrade" })).await?.accepted()?;
    settled(&world, |one| one["ready"] == 1).await?;
    for _ in 0..3 {
        world.run("abort").end().await?.failed_with("sandbox.trap")?;
    }
    let mut other = world.agent("eu-2").await?;
    let here = settled(&world, |one| one["ready"] == 1 && one["differing"][0]["state"] == "quarantined").await?;
    let differs = &here["differing"][0];
    assert_eq!((&differs["agent"], &differs["has"]), (&json!("eu-1"), &json!("1.0.0")), "{here}");
    assert_eq!((&differs["code"], &here["agents"]), (&json!("sandbox.trap"), &json!(2)), "{here}");
    let told = differs["message"].as_str().context("it says why")?;
    assert!(told.starts_with("http 1.1.0 failed 3 times within 10 minutes on this agent (sandbox.trap)"), "{told}");
    let shown = world.agent_seen("eu-1").await?;
    assert_eq!(shown["stock"][0]["connectors"][0]["instead"], "1.0.0", "{shown}");
    // An agent that is gone is named, too.
    other.kill().await?;
    let here = settled(&world, |one| one["differing"].as_array().is_some_and(|all| all.len() == 2)).await?;
    let away = here["differing"].as_array().into_iter().flatten().find(|one| one["agent"] == "eu-2");
    assert_eq!(away.context("it is named")?["state"], "away", "{here}");
    world.close().await
}

/// Where version 1.1.0 is wanted, once it is as wished.
async fn settled(world: &World, wished: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until("the agents are as far as that", async || {
        let versions: Vec<Value> = world.api.list("/v1/connectors/http/versions").await?;
        let newest = versions.into_iter().find(|one| one["version"] == "1.1.0");
        let here = newest.map(|one| one["environments"][0].clone());
        Ok(here.filter(&wished))
    })
    .await
}
