//! A connector that tells on the records it sees, wherever it can write a word: nothing of that leaves the agent, unless
//! its owner says so.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wherry_domain::effects::SideEffects;
use wherry_tests::world::{Agent, Connection, Operation, Package, Project, Run, World};
use wherry_trust::release::{Activity, ActivityKind};

/// What the project says.
const PARAMETER: &str = "1174-remotsuc-fo-yraid";
/// What the connector makes of it, and with that the content of a record.
const RECORD: &str = "diary-of-customer-4711";
/// Operations, each with what it ends with.
const OPERATIONS: [(&str, &str); 5] = [
    ("error", "hostile.gossip"),
    ("panic", "sandbox.trap"),
    ("success", ""),
    ("refusals", "record.rejected"),
    ("target-error", "hostile.gossip"),
];

#[tokio::test]
async fn the_words_of_a_connector_stay_on_its_agent_and_its_failures_say_where_to_look() -> Result<()> {
    let world = World::start().await?;
    let agent = ready(&world, "[log]\nfilter = \"debug\"").await?;
    for (operation, code) in OPERATIONS {
        let run = ended(&world, operation, code).await?;
        let told = told(&world, &run).await?;
        ensure!(!told.contains(RECORD), "{operation}: {told}");
        if ["error", "panic", "target-error"].contains(&operation) {
            ensure!(told.contains("the connector's own words are in the agent's log"), "{operation}: {told}");
        }
    }
    ensure!(!contains(world.controller.data(), RECORD)?, "the controller keeps a connector's words");
    ensure!(!fs::read_to_string(world.log("controller"))?.contains(RECORD));
    ensure!(fs::read_to_string(agent.log())?.contains(RECORD), "the owner does not find them either");
    world.close().await
}

#[tokio::test]
async fn an_owner_can_let_the_words_of_connectors_out_and_the_policy_keeps_them_in_all_the_same() -> Result<()> {
    let world = World::start().await?;
    let mut agent = ready(&world, "[answers]\nconnector_text = true").await?;
    for (operation, code) in OPERATIONS {
        let run = ended(&world, operation, code).await?;
        let told = told(&world, &run).await?;
        ensure!(told.contains(RECORD), "{operation}: {told}");
    }
    agent.kill().await?;
    agent.configure_policy("[answers]\nconnector_text = false\n")?;
    agent.start().await?;
    for (operation, code) in OPERATIONS {
        let run = ended(&world, operation, code).await?;
        let told = told(&world, &run).await?;
        ensure!(!told.contains(RECORD), "{operation}: {told}");
    }
    world.close().await
}

/// An agent with the connector that misbehaves on request, which says that it is `http`.
async fn ready(world: &World, setting: &str) -> Result<Agent> {
    let activity = |name: &str, kind, side_effects| Activity { name: name.to_owned(), kind, side_effects };
    let package = Package::new("http", "1.0.0", world.programs.component("hostile")?)?
        .declaring(activity("gossip", ActivityKind::Source, SideEffects::Read))
        .declaring(activity("gossip-about", ActivityKind::Target, SideEffects::Idempotent));
    world.publish(&package).await?;
    let gossip = |then: &str| Operation::from("here", "gossip", json!({ "record": PARAMETER, "then": then }));
    let about = |then: &str| gossip("end").to("here", "gossip-about", json!({ "then": then }));
    let project = Project::named("gossip")
        .connection("here", Connection::to(&world.sandbox.url))
        .operation("error", gossip("error"))
        .operation("panic", gossip("panic"))
        .operation("success", gossip("end"))
        .operation("refusals", about("end"))
        .operation("target-error", about("error"));
    world.deploy(&project).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.set(setting)?;
    agent.start().await?;
    Ok(agent)
}

async fn ended(world: &World, operation: &str, code: &str) -> Result<Run> {
    let run = world.run(operation).end().await?;
    ensure!(run.code() == code, "{operation} ended otherwise: {run:?}");
    Ok(run)
}

/// Everything that the controller tells of a run.
async fn told(world: &World, run: &Run) -> Result<String> {
    let shown = world.api.get(&format!("/v1/runs/{}", run.id)).await?.accepted()?;
    let logs: Vec<Value> = world.api.list(&format!("/v1/runs/{}/logs", run.id)).await?;
    Ok(format!("{shown} {}", Value::from(logs)))
}

/// Whether any file below `folder` holds the text.
fn contains(folder: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            contains(&path, text)?
        } else {
            fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
