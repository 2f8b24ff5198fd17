//! What agents have of what their environment's lock names: after an absence, a late arrival, and while it moves.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{World, wait};

const UPGRADE: &str = "/v1/environments/prod/connectors/http/move";
/// Swaps while runs are under way.
const SWAPS: usize = 10;

#[tokio::test]
async fn an_agent_that_was_away_and_one_that_joins_late_come_to_the_lock_by_themselves() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut one = world.agent("eu-1").await?;
    has(&world, "eu-1", "1.0.0").await?;
    one.kill().await?;
    upgrade(&world, "1.1.0").await?;
    let _late = world.agent("eu-2").await?;
    has(&world, "eu-2", "1.1.0").await?;
    one.start().await?;
    has(&world, "eu-1", "1.1.0").await?;
    world.run("read").end().await?.succeeded()?;
    let versions: Vec<Value> = world.api.list("/v1/connectors/http/versions").await?;
    let newest = versions.iter().find(|one| one["version"] == "1.1.0").context("it was published")?;
    let here = &newest["environments"][0];
    assert_eq!(
        (&here["environment"], &here["agents"], &here["ready"]),
        (&json!("prod"), &json!(2), &json!(2)),
        "{here}"
    );
    world.close().await
}

#[tokio::test]
async fn no_run_fails_while_a_connector_is_swapped_ten_times() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    has(&world, "eu-1", "1.0.0").await?;
    for swap in 1..=SWAPS {
        let runs: Vec<_> = (0..8).map(|_| async { world.run("read").end().await }).collect();
        let version = format!("1.{}.{}", swap / 10, swap % 10);
        let (moved, ended) = futures::join!(upgrade(&world, &version), futures::future::try_join_all(runs));
        moved?;
        for run in ended? {
            run.succeeded()?;
        }
    }
    has(&world, "eu-1", "1.1.0").await?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

/// Publishes a version and moves the lock to it.
async fn upgrade(world: &World, version: &str) -> Result<()> {
    world.publish(&world.http()?.at(version)?).await?;
    let moved = world.api.post(UPGRADE, &json!({ "action": "upgrade" })).await?.accepted()?;
    ensure!(moved["to"] == version, "{moved}");
    Ok(())
}

/// Waits until the agent follows the newest lock and can run that version.
async fn has(world: &World, agent: &str, version: &str) -> Result<()> {
    wait::until(&format!("{agent} has http {version}"), async || {
        let shown = world.agent_seen(agent).await?;
        let stock = &shown["stock"][0];
        let held = stock["connectors"].as_array().into_iter().flatten();
        let ready = held
            .filter(|one| one["connector"] == "http")
            .any(|one| one["version"] == version && one["state"] == "ready");
        Ok((ready && stock["lock_version"] == stock["wanted_lock_version"]).then_some(()))
    })
    .await
}
