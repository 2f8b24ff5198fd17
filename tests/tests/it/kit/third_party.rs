//! A connector in JavaScript, made with componentize-js from npm: from the scaffold to a run.
//!
//! `cargo xtask test --third-party` installs it; without it this test is left out.

use std::{env, os::unix::fs::symlink, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{Connection, Operation, Project, World, wait};

use crate::guides::workplace::Workplace;

/// A component that carries a whole interpreter is compiled in a minute or more by programs that are built for debugging.
const COMPILED: Duration = Duration::from_secs(170);

#[tokio::test]
async fn a_connector_in_javascript_is_scaffolded_built_tested_published_and_run() -> Result<()> {
    let Some(modules) = env::var_os("WHERRY_COMPONENTIZE_JS") else {
        eprintln!("skipped: connectors in JavaScript, run these tests with cargo xtask test --third-party");
        return Ok(());
    };
    let world = World::start().await?;
    let place = Workplace::new(&world.programs)?;
    place.sign_in(&world).await?;
    says(&place, &["connector", "new", "acme-desk", "--lang", "js"]).await?;
    symlink(modules, place.folder().join("acme-desk/node_modules"))?;
    let told = says(&place, &["connector", "test", "acme-desk", "--output", "json"]).await?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(told["passed"] == true, "{told:#}");
    published(&place).await?;
    let username = &world.sandbox.credentials.desk.username;
    let desk = Connection::to(&world.sandbox.url).of("acme-desk").basic(username, "desk-password");
    let read = Operation::from("desk", "ticket.query", json!({ "page_size": 10 })).attempts(3);
    world.deploy(&Project::named("desk").connection("desk", desk).operation("read", read)).await?;
    let _agent = world.agent("eu-1").await?;
    ready(&world).await?;
    let run = world.run("read").end().await?.succeeded()?;
    assert_eq!((run.counts.read, run.counts.batches), (25, 3), "{run:?}");
    world.close().await
}

async fn published(place: &Workplace) -> Result<()> {
    says(place, &["connector", "key", "new", "publisher.key"]).await?;
    let key = says(place, &["connector", "key", "show", "publisher.key", "--public"]).await?;
    says(place, &["publisher", "trust", "acme", key.trim(), "--prefix", "acme-desk"]).await?;
    let component = "acme-desk/dist/connector.wasm";
    says(place, &["connector", "publish", component, "--key", "publisher.key"]).await.map(drop)
}

/// Waits until the agent has compiled it.
async fn ready(world: &World) -> Result<()> {
    wait::within(COMPILED, "the agent has the connector ready", async || {
        let seen = world.agent_seen("eu-1").await?;
        let connectors = seen["stock"][0]["connectors"].as_array().cloned().unwrap_or_default();
        let ours = connectors.iter().find(|one| one["connector"] == "acme-desk");
        let refused = ours.filter(|one| one["state"] == "refused");
        ensure!(refused.is_none(), "the agent refuses it: {refused:?}");
        Ok(ours.filter(|one| one["state"] == "ready").map(drop))
    })
    .await
}

/// What `wherry` says, if all goes well.
async fn says(place: &Workplace, arguments: &[&str]) -> Result<String> {
    let said = tokio::time::timeout(COMPILED, place.command("wherry").args(arguments).output()).await;
    let said = said.with_context(|| format!("wherry {} takes too long", arguments.join(" ")))??;
    let words = String::from_utf8_lossy(&said.stderr);
    ensure!(
        said.status.success(),
        "wherry {}\n{}\n{words}",
        arguments.join(" "),
        String::from_utf8_lossy(&said.stdout)
    );
    Ok(String::from_utf8(said.stdout)?)
}
