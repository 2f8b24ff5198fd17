//! What connections remember between runs: it outlives runs, agents and the controller, and only what succeeded counts.

use anyhow::Result;
use serde_json::json;
use wherry_domain::effects::SideEffects;
use wherry_tests::world::{Connection, Operation, Package, Project, World, wait};
use wherry_trust::release::{Activity, ActivityKind};

#[tokio::test]
async fn a_connector_counts_its_runs_across_a_killed_agent_and_a_restarted_controller() -> Result<()> {
    let mut world = World::start().await?;
    world.publish(&counter(&world)?).await?;
    world.deploy(&project(&world)).await?;
    let mut agent = world.agent("eu-1").await?;
    assert_eq!(world.run("count").end().await?.succeeded()?.counts.read, 1);
    assert_eq!(world.run("count").end().await?.succeeded()?.counts.read, 2);

    // It has counted to three and not come to its end, so the next attempt counts to three again.
    let run = world.run("count-and-wait").begin().await?;
    wait::until("the attempt has counted", async || {
        Ok((world.look_at(&run.id).await?.last_attempt.read == 3).then_some(()))
    })
    .await?;
    agent.kill().await?;
    agent.start().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.read), (2, 3), "{over:?}");

    world.controller.kill().await?;
    world.controller.start().await?;
    assert_eq!(world.run("count").end().await?.succeeded()?.counts.read, 4);

    // Another connection remembers for itself, and a project that comes back begins anew.
    assert_eq!(world.run("count-elsewhere").end().await?.succeeded()?.counts.read, 1);
    world.api.delete("/v1/environments/prod/projects/memory").await?.accepted()?;
    world.deploy(&project(&world)).await?;
    assert_eq!(world.run("count").end().await?.succeeded()?.counts.read, 1);
    world.close().await
}

/// The connector that misbehaves on request behaves well here. It says that it is `http`.
fn counter(world: &World) -> Result<Package> {
    let count = Activity { name: "count".to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read };
    Ok(Package::new("http", "1.0.0", world.programs.component("hostile")?)?.declaring(count))
}

fn project(world: &World) -> Project {
    let count = |connection: &str, wait: u32| {
        Operation::from(connection, "count", json!({ "wait_in_attempt": wait })).attempts(3)
    };
    Project::named("memory")
        .connection("here", Connection::to(&world.sandbox.url))
        .connection("elsewhere", Connection::to(&world.sandbox.url))
        .operation("count", count("here", 0))
        .operation("count-and-wait", count("here", 1))
        .operation("count-elsewhere", count("elsewhere", 0))
}
