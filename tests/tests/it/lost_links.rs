//! Links that break between agent and controller while work is going on.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use wherry_tests::world::{
    Agent, Run, World,
    fault_proxy::{Direction, FaultProxy},
    wait,
};

#[tokio::test]
async fn a_result_whose_acknowledgement_was_lost_is_recorded_once() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let (mut agent, proxy) = agent_behind_proxy(&world, "eu-1").await?;
    let run = a_run_in_the_middle(&world, "copy-unsafe").await?;
    proxy.hold_only(Direction::Replies);
    world.sandbox.behave().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    break_once(&proxy, &mut agent).await?;
    // It ends only once everything it has to say was acknowledged.
    agent.ask_to_stop()?;
    assert_eq!(agent.ended().await?.code(), Some(0));
    assert_eq!(world.look_at(&run.id).await?, over);
    assert_eq!((over.attempt, over.late_results), (1, 0));
    assert_eq!(world.sandbox.ledger().await?.created, 25);
    world.close().await
}

#[tokio::test]
async fn a_partition_shorter_than_the_lease_changes_no_owner() -> Result<()> {
    let world = World::plan().lease_of(10).start().await?.with_desk().await?;
    let (mut agent, proxy) = agent_behind_proxy(&world, "eu-1").await?;
    let run = a_run_in_the_middle(&world, "copy-unsafe").await?;
    let _idle = world.agent("eu-2").await?;
    // First a path that goes dead without a word, then one that is cut; work goes on meanwhile.
    proxy.hold();
    more_is_created(&world, 4).await?;
    proxy.heal();
    more_is_created(&world, 2).await?;
    proxy.part();
    agent.disconnected().await?;
    more_is_created(&world, 4).await?;
    proxy.heal();
    agent.connected().await?;
    world.sandbox.behave().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.agent.as_deref()), (1, Some("eu-1")), "{over:?}");
    assert_eq!(world.sandbox.ledger().await?.created, 25);
    world.close().await
}

#[tokio::test]
async fn a_partition_longer_than_the_lease_moves_the_run_and_the_cut_off_agent_stops_in_time() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let (mut agent, proxy) = agent_behind_proxy(&world, "eu-1").await?;
    let run = a_run_in_the_middle(&world, "copy-keyed").await?;
    let held = world.run("copy-unsafe").begin().await?;
    world.once(&held.id, "leased").await?;
    let _other = world.agent("eu-2").await?;
    proxy.part();
    assert_eq!(world.once(&held.id, "unknown").await?.attempt, 1);
    world.sandbox.behave().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.agent.as_deref()), (2, Some("eu-2")), "{over:?}");
    // Whatever the cut-off agent was doing is over by the time the run has another owner.
    world.sandbox.creates_nothing_for(Duration::from_secs(1)).await?;
    proxy.heal();
    agent.connected().await?;
    wait::until("the agent holds nothing any more", async || {
        Ok((world.agent_seen("eu-1").await?["running"] == 0).then_some(()))
    })
    .await?;
    let now = world.look_at(&run.id).await?;
    assert_eq!((&now.state, now.attempt, &now.agent), (&over.state, 2, &over.agent), "{now:?}");
    assert!(world.sandbox.ledger().await?.duplicates.is_empty());
    world.close().await
}

#[tokio::test]
async fn a_link_that_breaks_again_and_again_loses_nothing() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let (mut agent, proxy) = agent_behind_proxy(&world, "eu-1").await?;
    let run = a_run_in_the_middle(&world, "copy-unsafe").await?;
    for _ in 0..4 {
        break_once(&proxy, &mut agent).await?;
    }
    world.sandbox.behave().await?;
    let over = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.written), (1, 25), "{over:?}");
    world.close().await
}

#[tokio::test]
async fn a_slow_link_makes_things_slower_and_nothing_else() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let (_agent, proxy) = agent_behind_proxy(&world, "eu-1").await?;
    proxy.delay(Duration::from_millis(100));
    let over = world.run("copy-unsafe").end().await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.written), (1, 25));
    world.close().await
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_stopped() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let length = world.http()?.component.len() as u64;
    let proxy = FaultProxy::before(world.controller.agents_at()).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.reach_controller_at(proxy.address())?;
    let before = proxy.replied();
    // Slowly, so that what came before the break has been taken: what a broken connection still holds is lost with it.
    proxy.delay(Duration::from_millis(20));
    // Behind the first piece of a quarter of a megabyte, in the middle of the second. Connectors are fetched at once.
    proxy.cut_after_replies_of(300 << 10);
    agent.start().await?;
    world.run("read").end().await?.succeeded()?;
    assert!(proxy.connections() >= 2, "nothing broke");
    let carried = proxy.replied() - before;
    assert!(carried < length + (200 << 10), "{carried} bytes were carried for a component of {length}");
    world.close().await
}

#[tokio::test]
async fn an_agent_believes_no_other_authority_and_says_so() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let stranger = World::start().await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.reach_controller_at(stranger.controller.agents_at())?;
    agent.launch()?;
    agent.has_logged("link.untrusted", 1).await?;
    // Nor is an agent admitted where its token was not made for.
    let newcomer = stranger.stranger("eu-2")?;
    let token = world.token(Duration::from_secs(60)).await?;
    assert_eq!(newcomer.enrol(&stranger.agent_url(), &token).await?, Some(69));
    newcomer.has_logged("link.untrusted", 1).await?;
    let agents: Vec<Value> = stranger.api.list("/v1/agents").await?;
    assert!(agents.is_empty(), "{agents:?}");
    stranger.close().await?;
    world.close().await
}

async fn agent_behind_proxy(world: &World, name: &str) -> Result<(Agent, FaultProxy)> {
    let proxy = FaultProxy::before(world.controller.agents_at()).await?;
    let mut agent = world.enrolled(name, 8).await?;
    agent.reach_controller_at(proxy.address())?;
    agent.start().await?;
    Ok((agent, proxy))
}

/// A run with some of its effects done, and every further one a quarter of a second away.
async fn a_run_in_the_middle(world: &World, operation: &str) -> Result<Run> {
    world.run("read").end().await?.succeeded()?;
    world.sandbox.misbehave(json!([{ "path": "/", "fault": "slow", "delay_ms": 250 }])).await?;
    let run = world.run(operation).begin().await?;
    world.sandbox.has_created(2).await?;
    Ok(run)
}

/// Waits until so many more issues exist than now.
async fn more_is_created(world: &World, issues: usize) -> Result<()> {
    let now = world.sandbox.ledger().await?.created;
    world.sandbox.has_created(now + issues).await
}

/// Cuts the link and waits until the agent was welcomed on a new one.
async fn break_once(proxy: &FaultProxy, agent: &mut Agent) -> Result<()> {
    let before = proxy.connections();
    proxy.heal();
    proxy.cut();
    wait::until("the agent dials again", async || Ok((proxy.connections() > before).then_some(()))).await?;
    agent.connected().await
}
