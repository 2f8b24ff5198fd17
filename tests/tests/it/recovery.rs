//! What an agent does when its certificate nears its end, or has passed it.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use wherry_tests::world::{World, wait};

/// The shortest life that a certificate can have.
const LIFE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn certificates_are_renewed_while_an_agent_works_and_recovered_when_it_comes_back_too_late() -> Result<()> {
    let world = World::plan().setting("agents.certificate_life=1m").start().await?.with_desk().await?;
    let working = world.agent("eu-1").await?;
    let mut away = world.agent("eu-2").await?;
    let first = ends_at(&world, "eu-2").await?;
    away.kill().await?;
    // Half a life later there is a new certificate, and nobody noticed.
    wait::within(LIFE, "the certificate is renewed", async || {
        Ok((ends_at(&world, "eu-1").await? > first).then_some(()))
    })
    .await?;
    working.has_logged("the certificate was replaced", 1).await?;
    world.run("copy-keyed").end().await?.succeeded()?;
    working.has_logged("connected to the controller", 1).await?;
    wait::within(LIFE, "the other certificate has ended", async || Ok((jiff::Timestamp::now() > first).then_some(())))
        .await?;
    // It has nothing left but its identity key.
    away.start().await?;
    assert!(ends_at(&world, "eu-2").await? > first);
    let agents: Vec<Value> = world.api.list("/v1/agents").await?;
    assert!(agents.len() == 2 && agents.iter().all(|agent| agent["state"] == "live"), "{agents:?}");
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

async fn ends_at(world: &World, agent: &str) -> Result<jiff::Timestamp> {
    Ok(world.agent_seen(agent).await?["certificate_expires_at"].as_str().unwrap_or_default().parse()?)
}
