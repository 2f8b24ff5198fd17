//! The policy of an agent's owner: what it refuses, that it holds without a restart, and what of it can be seen.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{Answer, World, wait};
use wherry_trust::keys::SigningKey;

use crate::operator_tool::Tool;

#[tokio::test]
async fn what_the_owner_does_not_allow_is_refused_before_anything_runs_and_a_change_holds_without_a_restart()
-> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.set("[answers]\ndescribe = true")?;
    agent.configure_policy("[connectors]\nallowed = [\"files\"]\n")?;
    agent.start().await?;

    let run = world.run("read").end().await?.failed_with("agent_policy.connector")?;
    let tool = Tool::of(&world)?;
    let shown = tool.run(&["run", "show", &run.id], "").await?;
    ensure!(shown.contains("agent_policy.connector"), "{shown}");
    // Neither for the run nor ahead of it.
    has_refused(&world, "agent_policy.connector").await?;
    ensure!(!holds_a_component(&agent.data().join("connectors"))?, "a connector was fetched that may not run");

    let other = SigningKey::generate()?.public();
    for (text, code) in [
        (format!("[connectors]\npublishers = [\"{other}\"]\n"), "agent_policy.publisher"),
        ("[network]\nallowed = [\"desk.example\"]\n".to_owned(), "agent_policy.host"),
        ("[network]\ndenied = [\"127.0.0.0/8\"]\n".to_owned(), "agent_policy.host"),
    ] {
        agent.configure_policy(&text)?;
        run_ends_with(&world, code).await?;
    }
    ensure!(world.sandbox.ledger().await?.created == 0);

    agent.configure_policy("[answers]\ndescribe = false\n")?;
    run_ends_with(&world, "").await?;
    describe(&world).await?.refused(403, "agent_policy.answers")?;
    agent.configure_policy("")?;
    wait::until("what connectors say may leave", async || {
        let answer = describe(&world).await?;
        // The connector has nothing to say; what counts is that it was asked.
        Ok(answer.refused(422, "connector.no_discovery").is_ok().then_some(()))
    })
    .await?;
    world.close().await
}

#[tokio::test]
async fn a_policy_with_faults_changes_nothing_and_everybody_sees_it_and_with_it_no_agent_starts() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    let policy = agent.configure_policy("[work]\nslots = 2\n")?;
    agent.start().await?;
    shows(&world, "two slots", |shown| shown["slots"] == 2 && shown["owner_policy"]["fault"].is_null()).await?;
    agent.configure_policy("[work]\nslots = 3\n")?;
    shows(&world, "three slots", |shown| shown["slots"] == 3 && shown["owner_policy"]["slots"] == 3).await?;
    world.run("read").end().await?.succeeded()?;

    agent.configure_policy("[work]\nslots = \"many\"\ncolour = \"red\"\n")?;
    let shown = shows(&world, "a fault", |shown| shown["owner_policy"]["fault"].is_string()).await?;
    ensure!(shown["slots"] == 3 && !shown.to_string().contains("colour"), "what it says stays on the agent: {shown}");
    let tool = Tool::of(&world)?;
    let table = tool.run(&["agent", "show", "eu-1"], "").await?;
    ensure!(table.contains("the policy before stays in force"), "{table}");
    let status = agent.ask(&["status"]).await?.1;
    ensure!(status.contains("work.slots") && status.contains("colour"), "{status}");
    world.run("read").end().await?.succeeded()?;

    agent.kill().await?;
    agent.launch()?;
    ensure!(!agent.ended().await?.success());
    for part in ["agent_policy.invalid", "work.slots", "colour"] {
        ensure!(fs::read_to_string(agent.log())?.contains(part), "the log does not say {part}");
    }
    let (code, _) = agent.ask(&["run", "--check"]).await?;
    assert_eq!(code, Some(78));
    agent.configure_policy("[work]\nslots = 2\n")?;
    let (code, checked) = agent.ask(&["run", "--check"]).await?;
    ensure!(code == Some(0) && serde_json::from_str::<Value>(&checked)?["policy"]["work"]["slots"] == 2, "{checked}");
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666))?;
    assert_eq!(agent.ask(&["run", "--check"]).await?.0, Some(78), "anybody may write it");
    world.close().await
}

#[tokio::test]
async fn outside_of_the_owners_hours_runs_wait_and_begin_when_the_hours_do() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.configure_policy(&format!(
        "[work]\ntimezone = \"UTC\"\nhours = [{{ days = [\"{}\"], from = \"00:00\", to = \"24:00\" }}]\n",
        another_day()
    ))?;
    agent.start().await?;
    let run = world.run("read").begin().await?;
    assert_eq!(run.state, "queued");
    // A connection is not tried either, and whoever asks hears when to ask again.
    let path = "/v1/environments/prod/connections/desk/test";
    let refused = world.api.post(path, &json!({})).await?.refused(503, "agent_policy.hours")?;
    ensure!(refused["retry_after_ms"] == 3_600_000, "{refused}");
    assert_eq!(world.look_at(&run.id).await?.state, "queued");
    agent.configure_policy("")?;
    let run = world.end_of(&run.id).await?.succeeded()?;
    assert_eq!(run.attempt, 1, "it was never offered in vain: {run:?}");
    world.close().await
}

/// A day of the week that is neither today nor tomorrow nor yesterday, wherever the test crosses midnight.
fn another_day() -> &'static str {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset();
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][usize::try_from((today + 3) % 7).unwrap_or(0)]
}

/// Runs the operation until it fails with the code, or succeeds if there is none.
async fn run_ends_with(world: &World, code: &str) -> Result<()> {
    wait::until(&format!("a run ends with {code:?}"), async || {
        let run = world.run("read").end().await?;
        Ok((run.code() == code).then_some(()))
    })
    .await
}

async fn describe(world: &World) -> Result<Answer> {
    world.api.post("/v1/environments/prod/connections/desk/describe", &json!({})).await
}

/// Waits until the agent is shown so.
async fn shows(world: &World, what: &str, so: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until(&format!("the agent shows {what}"), async || {
        let shown = world.agent_seen("eu-1").await?;
        Ok(so(&shown).then_some(shown))
    })
    .await
}

/// Waits until the agent says that it refuses the connector of the lock.
async fn has_refused(world: &World, code: &str) -> Result<()> {
    let shown = shows(world, "a refusal", |shown| shown["stock"][0]["connectors"][0]["state"] == "refused").await?;
    let held = &shown["stock"][0]["connectors"][0];
    assert_eq!((&held["connector"], &held["code"]), (&json!("http"), &json!(code)), "{shown}");
    Ok(())
}

/// Whether a WebAssembly component lies in the folder, whole or in part.
fn holds_a_component(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let found = if path.is_dir() { holds_a_component(&path)? } else { fs::read(&path)?.starts_with(b"\0asm") };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
