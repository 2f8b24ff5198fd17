//! An operator's day with `wherry` itself: invite, set secrets, lock and unlock, and recover what everybody lost.

mod versions;

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};
use wherry_tests::world::{Agent, GROUP, Programs, World, wait};

/// Within this time a new agent has the keys, if a member is there.
const ADMITTED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_operator_invites_sets_secrets_locks_unlocks_and_sees_what_to_rotate() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let tool = Tool::of(&world)?;
    let mut first = tool.joined(&world, "eu-1").await?;
    keys(&world, "eu-1", "member").await?;
    tool.set_both(&world).await?;
    let mut second = tool.joined(&world, "eu-2").await?;
    keys(&world, "eu-2", "member").await?;
    tool.run(&["agent", "lock", "eu-2", "--reason", "stolen"], "").await?;
    wait::until("the group has a new key", async || Ok((tool.roster().await?["epoch"] == 2).then_some(()))).await?;
    let rotate = ["secret", "rotate", "--environment", "prod"];
    let exposed = async || Ok((tool.run(&rotate, "").await?.matches("eu-2").count() == 2).then_some(()));
    wait::until("both secrets are to be set anew", exposed).await?;
    second.kill().await?;
    tool.run(&["agent", "unlock", "eu-2"], "").await?;
    second.start().await?;
    keys(&world, "eu-2", "member").await?;
    tool.set_both(&world).await?;
    assert!(!tool.run(&rotate, "").await?.contains("eu-"), "new values were never seen by who was away");
    first.kill().await?;
    let run = world.run("copy-keyed").end().await?.succeeded()?;
    assert_eq!(run.agent.as_deref(), Some("eu-2"));
    world.close().await
}

#[tokio::test]
async fn a_recovery_key_saves_the_secrets_when_every_agent_is_lost() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let tool = Tool::of(&world)?;
    let mut lost = tool.joined(&world, "eu-1").await?;
    keys(&world, "eu-1", "member").await?;
    tool.set_both(&world).await?;
    let file = tool.config.join("recovery");
    let file = file.to_str().context("a path that is text")?;
    tool.run(&["key", "recovery", "--group", GROUP, "--out", file], "").await?;
    let key = tool.roster().await?["recovery"][0].as_str().context("there is no recovery key")?.to_owned();
    let path = format!("/v1/groups/{GROUP}/wraps?recipient={key}");
    let wrapped = async || {
        let wraps = world.api.get(&path).await?.accepted()?;
        Ok(wraps["items"].as_array().is_some_and(|wraps| !wraps.is_empty()).then_some(()))
    };
    wait::until("the key is wrapped to the recovery key", wrapped).await?;
    lost.kill().await?;
    world.api.delete("/v1/agents/eu-1").await?.accepted()?;
    let _new = tool.joined(&world, "eu-2").await?;
    keys(&world, "eu-2", "pending_keys").await?;
    let recover = ["secret", "recover", "--group", GROUP, "--key", file];
    wait::until("the new agent is admitted", async || Ok(tool.run(&recover, "").await?.contains("eu-2").then_some(())))
        .await?;
    keys(&world, "eu-2", "member").await?;
    world.run("copy-keyed").end().await?.succeeded()?;
    // The lost one is put out of the roster by the one that is there now.
    wait::until("the group has one member", async || {
        Ok(tool.roster().await?["members"].as_array().is_some_and(|members| members.len() == 1).then_some(()))
    })
    .await?;
    world.close().await
}

#[tokio::test]
async fn a_version_that_an_operator_revokes_runs_no_more_until_the_environment_moves_on() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let tool = Tool::of(&world)?;
    let _agent = world.agent("eu-1").await?;
    // It may have to be compiled first.
    wait::within(Duration::from_secs(120), "the agent has the connector", async || {
        let stock = world.agent_seen("eu-1").await?["stock"][0]["connectors"].take();
        Ok(stock.as_array().into_iter().flatten().any(|one| one["state"] == "ready").then_some(()))
    })
    .await?;
    world.run("read").end().await?.succeeded()?;
    world.publish(&world.http()?.at("1.1.0")?).await?;
    let said = tool.run(&["connector", "revoke", "http", "1.0.0", "--yes"], "").await?;
    ensure!(said.contains("connector http 1.0.0 is revoked"), "{said}");
    let versions = async || -> Result<Value> {
        Ok(serde_json::from_str(&tool.run(&["connector", "versions", "http", "--output", "json"], "").await?)?)
    };
    let refused = wait::until("the agent refuses it", async || {
        let one = versions().await?["items"][1].take();
        Ok((one["environments"][0]["refused"][0]["code"] == "release.revoked").then_some(one))
    })
    .await?;
    ensure!(refused["version"] == "1.0.0" && refused["revoked_at"].is_string(), "{refused}");
    ensure!(versions().await?["items"][0]["revoked_at"].is_null(), "1.1.0 is not revoked");
    let failure = world.run("read").end().await?.failed_with("release.revoked")?.failure.context("no failure")?;
    ensure!(!failure.effects_begun, "{failure:?}");
    tool.run(&["connector", "upgrade", "http", "--environment", "prod", "--yes"], "").await?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

/// The tool with a home of its own.
pub(crate) struct Tool {
    pub(crate) program: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Tool {
    pub(crate) fn of(world: &World) -> Result<Self> {
        let config = world.folder().join("operator");
        std::fs::create_dir_all(&config)?;
        let token = std::fs::read_to_string(world.controller.data().join("admin-token"))?;
        let program = Programs::find()?.program("wherry")?;
        Ok(Self { program, config, url: world.api.address(""), token: token.trim().to_owned() })
    }

    /// What it says, if all goes well.
    pub(crate) async fn run(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("WHERRY_CONFIG", self.config.join("config.toml"))
            .env("WHERRY_URL", &self.url)
            .env("WHERRY_TOKEN", &self.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().context("it has no input")?;
        // A command that reads nothing closes its end.
        drop(input.write_all(stdin.as_bytes()).await);
        drop(input);
        let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        ensure!(output.status.success(), "wherry {} failed: {}", arguments.join(" "), text(output.stderr));
        Ok(text(output.stdout))
    }

    pub(crate) async fn joined(&self, world: &World, name: &str) -> Result<Agent> {
        let token = self.run(&["agent", "token", "--group", GROUP, "--token-only"], "").await?;
        let mut agent = world.stranger(name)?;
        let code = agent.enrol(&world.agent_url(), token.trim()).await?;
        ensure!(code == Some(0), "{name} was not admitted");
        agent.start().await?;
        Ok(agent)
    }

    /// The values that the simulated systems want to see.
    async fn set_both(&self, world: &World) -> Result<()> {
        let secrets = &world.sandbox.credentials;
        for (name, value) in [("desk-password", &secrets.desk.password), ("tracker-token", &secrets.tracker.token)] {
            self.run(&["secret", "set", name, "--environment", "prod"], value).await?;
        }
        Ok(())
    }

    async fn roster(&self) -> Result<Value> {
        let shown = self.run(&["key", "roster", "--group", GROUP, "--output", "json"], "").await?;
        Ok(serde_json::from_str(&shown)?)
    }
}

async fn keys(world: &World, agent: &str, state: &str) -> Result<()> {
    wait::within(ADMITTED, &format!("{agent} is seen as {state}"), async || {
        let shown = world.agent_seen(agent).await?;
        Ok((shown["keys"] == state).then_some(()))
    })
    .await
}
