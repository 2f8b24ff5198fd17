//! Secrets that an operator seals to a group of agents: who can open them, and who cannot.

mod canary;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wherry_tests::world::{Agent, Operator, Run, World, wait};

/// Within this time a new agent has the keys, if a member is there.
const ADMITTED: Duration = Duration::from_secs(10);
/// Within this time 1,000 secrets are sealed anew.
const SEALED_ANEW: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_secret_set_once_is_used_by_every_agent_of_the_group() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut first = world.joined(&operator, "eu-1").await?;
    world.roster_of(1).await?;
    set_both(&world, &operator).await?;
    let run = copied(&world).await?;
    assert_eq!(run.agent.as_deref(), Some("eu-1"));
    let mut second = world.joined(&operator, "eu-2").await?;
    wait::within(ADMITTED, "the second agent has the keys", async || has_keys(&world, "eu-2").await).await?;
    first.kill().await?;
    let run = copied(&world).await?;
    assert_eq!(run.agent.as_deref(), Some("eu-2"));
    second.kill().await?;
    world.close().await
}

#[tokio::test]
async fn an_agent_that_joins_while_nobody_is_there_waits_for_a_member() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut first = world.joined(&operator, "eu-1").await?;
    world.roster_of(1).await?;
    set_both(&world, &operator).await?;
    copied(&world).await?;
    first.kill().await?;
    let _second = world.joined(&operator, "eu-2").await?;
    seen(&world, "eu-2", "pending_keys").await?;
    let run = world.run("read").begin().await?;
    let path = format!("/v1/runs/{}", run.id);
    let waits = async || {
        let shown = world.api.get(&path).await?.accepted()?;
        Ok((shown["waiting"]["code"] == "secret.pending_keys" && shown["attempt"] == 0).then_some(()))
    };
    wait::until("the run says why it waits", waits).await?;
    first.start().await?;
    wait::within(ADMITTED, "the second agent has the keys", async || has_keys(&world, "eu-2").await).await?;
    world.end_of(&run.id).await?.succeeded()?;
    first.kill().await?;
    assert_eq!(copied(&world).await?.agent.as_deref(), Some("eu-2"));
    world.close().await
}

#[tokio::test]
async fn who_is_removed_can_open_nothing_that_is_set_from_then_on() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let _first = world.joined(&operator, "eu-1").await?;
    let mut second = world.joined(&operator, "eu-2").await?;
    world.roster_of(2).await?;
    set_both(&world, &operator).await?;
    copied(&world).await?;
    world.api.delete("/v1/agents/eu-2").await?.accepted()?;
    second.kill().await?;
    let roster = world.roster_in(2).await?;
    assert_eq!(roster.members().count(), 1);
    all_in_epoch(&world, 2).await?;
    assert_eq!(copied(&world).await?.agent.as_deref(), Some("eu-1"));
    // The password that the removed agent knew is replaced by one that it never sees.
    set_both(&world, &operator).await?;
    assert_eq!(copied(&world).await?.agent.as_deref(), Some("eu-1"));
    world.close().await
}

#[tokio::test]
async fn a_member_that_is_killed_while_it_seals_anew_goes_on_when_it_is_back() -> Result<()> {
    const MANY: usize = 200;
    let world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut first = world.joined(&operator, "eu-1").await?;
    let mut second = world.joined(&operator, "eu-2").await?;
    world.roster_of(2).await?;
    set_both(&world, &operator).await?;
    for n in 0..MANY {
        // Some that fill a frame after a few.
        let size = if n % 10 == 0 { 60_000 } else { 20 };
        world.set_secret(&operator, &format!("secret-{n}"), &"x".repeat(size)).await?;
    }
    copied(&world).await?;
    world.api.delete("/v1/agents/eu-2").await?.accepted()?;
    second.kill().await?;
    for _ in 0..3 {
        first.has_logged("beginning a new epoch", 1).await?;
        first.kill().await?;
        first.start().await?;
    }
    let done = async || Ok(world.secret_epochs().await?.iter().all(|(_, epoch)| *epoch == 2).then_some(()));
    wait::within(SEALED_ANEW, "everything is sealed to the second epoch", done).await?;
    assert_eq!(copied(&world).await?.agent.as_deref(), Some("eu-1"));
    assert_eq!(world.secret_epochs().await?.len(), MANY + 2);
    world.close().await
}

#[tokio::test]
async fn after_a_restart_of_everything_the_secrets_are_still_there() -> Result<()> {
    let mut world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut agents = [world.joined(&operator, "eu-1").await?, world.joined(&operator, "eu-2").await?];
    world.roster_of(2).await?;
    set_both(&world, &operator).await?;
    copied(&world).await?;
    for agent in &mut agents {
        agent.kill().await?;
    }
    world.controller.kill().await?;
    world.controller.start().await?;
    for agent in &mut agents {
        agent.start().await?;
        assert_eq!(copied(&world).await?.agent.as_deref(), Some(agent.name.as_str()));
        agent.kill().await?;
    }
    world.close().await
}

#[tokio::test]
async fn what_one_agent_has_is_given_to_its_group_only_when_its_owner_says_so() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut first = world.joined(&operator, "eu-1").await?;
    let mut second = world.joined(&operator, "eu-2").await?;
    world.roster_of(2).await?;
    learn_both(&world, &first).await?;
    copied_by(&world, &mut second, "eu-1").await?;
    assert_eq!(world.secret_epochs().await?.len(), 0, "a local value stays where it is");
    for name in ["desk-password", "tracker-token"] {
        let (code, said) = first.secret(&["seal", name, "--environment", "prod"]).await?;
        ensure!(code == Some(0), "{said}");
    }
    let sealed = async || Ok((world.secret_epochs().await?.len() == 2).then_some(()));
    wait::until("the controller has both", sealed).await?;
    first.kill().await?;
    assert_eq!(copied(&world).await?.agent.as_deref(), Some("eu-2"));
    let (_, listed) = second.secret(&["list"]).await?;
    assert!(listed.contains("prod/desk-password") && listed.contains("group"), "{listed}");
    world.close().await
}

/// The values that the simulated systems want to see, for the whole group.
async fn set_both(world: &World, operator: &Operator) -> Result<()> {
    let secrets = &world.sandbox.credentials;
    world.set_secret(operator, "desk-password", &secrets.desk.password).await?;
    world.set_secret(operator, "tracker-token", &secrets.tracker.token).await
}

async fn learn_both(world: &World, agent: &Agent) -> Result<()> {
    let secrets = &world.sandbox.credentials;
    agent.learn("prod", "desk-password", &secrets.desk.password).await?;
    agent.learn("prod", "tracker-token", &secrets.tracker.token).await
}

/// A run that needs both secrets, at its good end.
async fn copied(world: &World) -> Result<Run> {
    world.run("copy-keyed").end().await?.succeeded()
}

/// The same, on the agent that is meant: the other one is away meanwhile.
async fn copied_by(world: &World, other: &mut Agent, agent: &str) -> Result<()> {
    other.kill().await?;
    let run = copied(world).await?;
    ensure!(run.agent.as_deref() == Some(agent), "{run:?}");
    other.start().await
}

async fn all_in_epoch(world: &World, epoch: u64) -> Result<()> {
    let done = async || Ok(world.secret_epochs().await?.iter().all(|(_, at)| *at == epoch).then_some(()));
    wait::until("all secrets are sealed to the epoch", done).await
}

async fn has_keys(world: &World, agent: &str) -> Result<Option<()>> {
    let shown = world.agent_seen(agent).await?;
    Ok((keys(&shown)? == "member").then_some(()))
}

async fn seen(world: &World, agent: &str, state: &str) -> Result<()> {
    wait::until(&format!("{agent} is seen as {state}"), async || {
        let shown = world.agent_seen(agent).await?;
        Ok((keys(&shown)? == state).then_some(()))
    })
    .await
}

fn keys(shown: &Value) -> Result<&str> {
    shown.get("keys").and_then(Value::as_str).with_context(|| format!("no state of keys: {shown}"))
}
