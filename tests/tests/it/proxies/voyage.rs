//! What an agent does from its first minute on, through one gate.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{Agent, Connection, Operation, Project, World, desk::requests};

use super::island::Island;

/// The user that proxies with a password know.
pub(super) const USER: &str = "wherry";
/// Its password.
pub(super) const PASSWORD: &str = "geheim-und-lang";

/// A proxy, as an agent owner configures it.
pub(super) struct Gate {
    name: &'static str,
    url: String,
    pub(super) port: u16,
    password: Option<String>,
}

impl Gate {
    pub(super) fn open(name: &'static str, url: &str, port: u16) -> Self {
        Self { name, url: url.to_owned(), port, password: None }
    }

    pub(super) fn locked(self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self }
    }

    /// A section of the agent's configuration; the password goes into a file of the world's.
    pub(super) fn section(&self, world: &World, section: &str) -> Result<String> {
        let mut text = format!("[{section}]\nurl = \"{}\"\n", self.url);
        if let Some(password) = &self.password {
            let file = world.folder().join(format!("{section}.password"));
            fs::write(&file, password)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            text += &format!("username = \"{USER}\"\npassword_file = \"{}\"\n", file.display());
        }
        Ok(text)
    }
}

/// Enrols, downloads a connector and runs, with no other way out; gives where the controller listens for agents.
pub(super) async fn voyage(island: &Island, gate: &Gate) -> Result<String> {
    island.count(&[gate.port])?;
    let world = World::start().await?;
    world.publish(&world.http()?).await?;
    let desk = Connection::to(&world.sandbox.url)
        .basic(&world.sandbox.credentials.desk.username, "desk-password")
        .set("use_proxy", true)
        .set("tls", json!({ "use_non_tls_connections": true }));
    let read = Operation::from("desk", "query", requests()).attempts(5);
    let project = Project::named("voyage").variable("size", 10).variable("pages", 1_000);
    world.deploy(&project.connection("desk", desk).operation("read", read)).await?;
    let config = gate.section(&world, "controller_proxy")? + &gate.section(&world, "proxy")?;
    let mut agent = settle(&world, &config).await?;
    for _ in 0..3 {
        let run = world.run("read").end().await?.succeeded()?;
        assert_eq!(run.counts.read, 25, "{}", gate.name);
    }
    agent.kill().await?;
    let packets = island.packets()?;
    ensure!(packets.to(gate.port) > 10 && packets.elsewhere == 0, "{}: {packets:?}", gate.name);
    let agents_at = world.controller.agents_at().to_string();
    world.close().await?;
    Ok(agents_at)
}

/// An agent that lives on the island, enrolled and connected with this configuration.
pub(super) async fn settle(world: &World, config: &str) -> Result<Agent> {
    let mut agent = world.stranger("island-1")?;
    agent.live_in(&Island::namespace());
    agent.configure(config)?;
    enrol(world, &agent).await?;
    agent.learn("prod", "desk-password", &world.sandbox.credentials.desk.password).await?;
    agent.start().await?;
    Ok(agent)
}

/// Trades a token for an identity.
pub(super) async fn enrol(world: &World, agent: &Agent) -> Result<()> {
    let token = world.token(Duration::from_secs(600)).await?;
    let code = agent.enrol(&world.agent_url(), &token).await?;
    ensure!(code == Some(0), "the agent was not admitted:\n{}", fs::read_to_string(agent.log())?);
    Ok(())
}

/// What came of the test of a connection.
pub(super) async fn tested(world: &World, connection: &str) -> Result<Value> {
    let path = format!("/v1/environments/prod/connections/{connection}/test");
    world.api.post(&path, &json!({ "limit_ms": 20_000 })).await?.accepted()
}
