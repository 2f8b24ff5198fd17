//! An operator with a key of their own: invites agents to the group's keys, and seals secrets to the group.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        invite::{Destination, Invite},
        roster::Roster,
        secret::{Place, SealedSecret},
    },
    token::{EnrolmentToken, SpkiPin},
};

use super::{Agent, ENVIRONMENT, GROUP, World, process, wait};

/// Whose signature the group's agents believe.
pub struct Operator {
    key: SigningKey,
}

impl Operator {
    /// Somebody new.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        Ok(Self { key: SigningKey::generate()? })
    }

    /// The key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }
}

/// What the controller shows of a group's roster.
struct Shown {
    place: (String, String),
    roster: Option<Roster>,
}

impl World {
    /// A token that admits one agent, with the operator's invitation to the group's keys.
    ///
    /// # Errors
    /// If the controller does not register it.
    pub async fn invitation(&self, operator: &Operator) -> Result<String> {
        let status = self.api.get("/v1/status").await?.accepted()?;
        let pin: SpkiPin = text(&status, "ca_pin")?.parse()?;
        let token = EnrolmentToken::generate(pin)?;
        let Shown { place: (organisation, group), roster } = self.shown().await?;
        let to = Destination {
            organisation: organisation.parse()?,
            group: group.parse()?,
            founding: roster.map(|roster| roster.founding()),
        };
        let life = Duration::from_secs(600);
        let until = u64::try_from(jiff::Timestamp::now().as_millisecond())? + u64::try_from(life.as_millis())?;
        let invite = Invite::make((token.id(), token.roster_part()), to, until, operator.key())?;
        let half = json!({
            "token_id": token.id().as_str(),
            "auth_hash": token.auth_hash().to_string(),
            "expires_in_s": life.as_secs(),
            "invite": serde_json::from_slice::<Value>(&invite.to_json())?,
        });
        self.api.post(&format!("/v1/groups/{GROUP}/enrolment-tokens"), &half).await?.accepted()?;
        Ok(token.reveal().to_string())
    }

    /// An agent that the operator invited, not running yet, without secrets of its own.
    ///
    /// # Errors
    /// If it is not admitted.
    pub async fn invited(&self, operator: &Operator, name: &str) -> Result<Agent> {
        let agent = self.stranger(name)?;
        let token = self.invitation(operator).await?;
        let code = agent.enrol(&self.agent_url(), &token).await?;
        ensure!(code == Some(0), "{name} was not admitted:\n{}", process::tail(agent.log(), 10));
        Ok(agent)
    }

    /// An agent that the operator invited, running and welcomed.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn joined(&self, operator: &Operator, name: &str) -> Result<Agent> {
        let mut agent = self.invited(operator, name).await?;
        agent.start().await?;
        Ok(agent)
    }

    /// The group's roster, verified, once it has so many members.
    ///
    /// # Errors
    /// If that does not happen, or it does not hold.
    pub async fn roster_of(&self, members: usize) -> Result<Roster> {
        wait::until(&format!("the group has {members} members"), async || {
            let roster = self.shown().await?.roster;
            Ok(roster.filter(|roster| roster.members().count() == members))
        })
        .await
    }

    /// The group's roster in the given epoch.
    ///
    /// # Errors
    /// If that does not happen, or it does not hold.
    pub async fn roster_in(&self, epoch: u32) -> Result<Roster> {
        wait::until(&format!("the group is in epoch {epoch}"), async || {
            let roster = self.shown().await?.roster;
            Ok(roster.filter(|roster| roster.epoch().0 == epoch))
        })
        .await
    }

    /// Seals a secret to the group and gives it to the controller.
    ///
    /// # Errors
    /// If the group has no keys, or the controller refuses it.
    pub async fn set_secret(&self, operator: &Operator, name: &str, value: &str) -> Result<()> {
        let Shown { place: (organisation, group), roster } = self.shown().await?;
        let (epoch, key) = roster.context("the group has no keys")?.epoch();
        let path = format!("/v1/environments/{ENVIRONMENT}/secrets/{name}");
        let slot = self.api.get(&path).await?.accepted()?;
        let replaces = slot.get("version").and_then(Value::as_u64).context("the slot has no version")?;
        let next = slot.get("next_version").and_then(Value::as_u64).context("the slot has no next version")?;
        let place = Place::secret(organisation.parse()?, group.parse()?, &ENVIRONMENT.parse()?, &name.parse()?);
        let sealed = SealedSecret::seal(&place, next, epoch, &key, value.as_bytes(), operator.key())?;
        let sealed: Value = serde_json::from_slice(&sealed.to_json())?;
        let request = self.api.request(Method::PUT, &path).json(&json!({ "replaces": replaces, "sealed": sealed }));
        self.api.send(request).await?.accepted().map(drop)
    }

    /// Secrets as the controller lists them, by name with epoch.
    ///
    /// # Errors
    /// If it does not list them.
    pub async fn secret_epochs(&self) -> Result<Vec<(String, u64)>> {
        let listed: Vec<Value> = self.api.list(&format!("/v1/environments/{ENVIRONMENT}/secrets?limit=200")).await?;
        let epoch = |one: &Value| one.get("epoch").and_then(Value::as_u64).context("a secret has no epoch");
        listed.iter().map(|one| Ok((text(one, "name")?.to_owned(), epoch(one)?))).collect()
    }

    async fn shown(&self) -> Result<Shown> {
        let path = format!("/v1/groups/{GROUP}/roster");
        let mut entries: Vec<String> = Vec::new();
        loop {
            let part = self.api.get(&format!("{path}?after={}", entries.len())).await?.accepted()?;
            let some = part.get("entries").and_then(Value::as_array).context("the roster has no entries")?;
            entries.extend(some.iter().filter_map(Value::as_str).map(ToOwned::to_owned));
            let n = part.get("n").and_then(Value::as_u64).context("the roster has no length")?;
            if some.is_empty() || entries.len() as u64 >= n {
                let roster = if entries.is_empty() { None } else { Some(Roster::fold(&entries)?) };
                let place = (text(&part, "organisation")?.to_owned(), text(&part, "group_id")?.to_owned());
                return Ok(Shown { place, roster });
            }
        }
    }
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str> {
    value.get(field).and_then(Value::as_str).with_context(|| format!("there is no {field}"))
}
