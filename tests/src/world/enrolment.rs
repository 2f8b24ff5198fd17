//! How agents come into a world.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_trust::token::{EnrolmentToken, SpkiPin};

use super::{Agent, ENVIRONMENT, GROUP, World, agent::Setup, process};

impl World {
    /// A token that admits one agent to the group, valid for `life`.
    ///
    /// # Errors
    /// If the controller does not register it.
    pub async fn token(&self, life: Duration) -> Result<String> {
        let status = self.api.get("/v1/status").await?.accepted()?;
        let pin: SpkiPin =
            status.get("ca_pin").and_then(Value::as_str).context("the controller has no pin")?.parse()?;
        let token = EnrolmentToken::generate(pin)?;
        let half = json!({
            "token_id": token.id().as_str(),
            "auth_hash": token.auth_hash().to_string(),
            "expires_in_s": life.as_secs(),
        });
        self.api.post(&format!("/v1/groups/{GROUP}/enrolment-tokens"), &half).await?.accepted()?;
        Ok(token.reveal().to_string())
    }

    /// An agent that nobody has admitted yet.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn stranger(&self, name: &str) -> Result<Agent> {
        self.stranger_with_slots(name, 8)
    }

    fn stranger_with_slots(&self, name: &str, slots: u32) -> Result<Agent> {
        let program = self.programs.program("wherry-agent")?;
        let folder = self.dir.path().join("agents").join(name);
        let setup = Setup { name: name.to_owned(), folder, log: self.log(name), slots };
        let agent = Agent::new(program, &setup, Arc::clone(&self.dir))?;
        self.warm.give(agent.data())?;
        Ok(agent)
    }

    /// An agent of the group with the secrets of the simulated systems, not running yet.
    ///
    /// # Errors
    /// If it is not admitted.
    pub async fn enrolled(&self, name: &str, slots: u32) -> Result<Agent> {
        let agent = self.stranger_with_slots(name, slots)?;
        let token = self.token(Duration::from_secs(600)).await?;
        let code = agent.enrol(&self.agent_url(), &token).await?;
        ensure!(code == Some(0), "{name} was not admitted:\n{}", process::tail(agent.log(), 10));
        let secrets = &self.sandbox.credentials;
        agent.learn(ENVIRONMENT, "desk-password", &secrets.desk.password).await?;
        agent.learn(ENVIRONMENT, "tracker-token", &secrets.tracker.token).await?;
        Ok(agent)
    }

    /// An agent of the group, running and welcomed.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn agent(&self, name: &str) -> Result<Agent> {
        let mut agent = self.enrolled(name, 8).await?;
        agent.start().await.with_context(|| process::tail(agent.log(), 20))?;
        Ok(agent)
    }
}
