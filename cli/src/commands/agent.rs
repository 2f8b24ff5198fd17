//! `wherry agent`: enrolment tokens, and the care of agents.

mod stock;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_domain::duration;
use wherry_domain::id::AgentId;
use wherry_domain::name::Name;
use wherry_trust::sealing::roster::Op;

use super::Context;
use crate::client::Client;
use crate::enrolment::{self, Invitation};
use crate::error::Outcome;
use crate::keystore::Keystore;
use crate::prompt::confirm;
use crate::roster::Signer;
use crate::table::{Column, count, lines, list, text, time};

const AGENTS: &[Column] = &[
    text("NAME", "name"),
    text("GROUP", "group"),
    text("STATE", "state"),
    text("KEYS", "keys"),
    text("DRAINING", "draining"),
    count("SLOTS", "slots"),
    count("RUNNING", "running"),
    text("VERSION", "version"),
    time("SEEN", "last_seen_at"),
];
const AGENT: &[Column] = &[
    text("NAME", "name"),
    text("ID", "id"),
    text("GROUP", "group"),
    text("STATE", "state"),
    text("DRAINING", "draining"),
    text("LOCKED", "locked"),
    text("KEYS", "keys"),
    text("KEYS TROUBLE", "keys_trouble.message"),
    text("VERSION", "version"),
    count("SLOTS", "slots"),
    count("RUNNING", "running"),
    time("LAST SEEN", "last_seen_at"),
    time("ENROLLED", "enrolled_at"),
    time("CERTIFICATE ENDS", "certificate_expires_at"),
    list("SECRETS", "secret_names"),
    lines("CONNECTORS", "stock_lines"),
    text("LOCKS TROUBLE", "stock_trouble.message"),
    list("MISSING WALLS", "missing_walls"),
    time("OWNER'S POLICY", "owner_policy.loaded_at"),
    text("POLICY FAULT", "owner_policy.fault"),
    lines("ON DISK", "on_disk"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// Makes a one-time token and the command to paste on the agent's host.
    Token(Token),
    /// Lists the agents.
    List {
        /// Only those of this group.
        #[arg(long)]
        group: Option<Name>,
    },
    /// Shows one agent.
    Show {
        /// Its name or id.
        agent: String,
    },
    /// Lets an agent finish what it runs and gives it nothing new.
    Drain(Choice),
    /// Gives a drained agent work again.
    Resume(Choice),
    /// Shuts an agent out at once, for example when its host is lost.
    Lock(Choice),
    /// Lets a locked agent in again.
    Unlock(Choice),
    /// Removes an agent for good.
    Remove {
        /// Its name or id.
        agent: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The group that the agent joins.
    #[arg(long)]
    group: Name,
    /// How long the token may be used, at most 24h.
    #[arg(long, default_value = "10m", value_parser = life)]
    ttl: Duration,
    /// Prints the token alone.
    #[arg(long)]
    token_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// Its name or id.
    agent: String,
    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
}

impl Agents {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Token(token) => return token.run(&client, context).await,
            Self::List { group } => {
                let query = [("group", group.as_ref().map(Name::as_str))];
                context.screen.list(AGENTS, &client.all(&["agents"], &query).await?);
            }
            Self::Show { agent } => {
                let shown = client.get(&["agents", &agent]).await?;
                let shown = if context.screen.is_json() { shown } else { stock::in_words(shown) };
                context.screen.show(AGENT, &shown);
            }
            Self::Drain(choice) => choice.act(&client, context, "drain", "drains").await?,
            Self::Resume(choice) => choice.act(&client, context, "resume", "takes work again").await?,
            Self::Lock(choice) => choice.act(&client, context, "lock", "is locked").await?,
            Self::Unlock(choice) => {
                let agent = choice.agent.clone();
                choice.act(&client, context, "unlock", "is unlocked").await?;
                readmit(&client, context, &agent).await;
            }
            Self::Remove { agent, yes } => {
                confirm(&format!("Remove agent {agent} for good?"), yes)?;
                client.delete(&["agents", &agent]).await?;
                context.screen.done(&format!("agent {agent} is removed"), &json!({"agent": agent, "removed": true}));
            }
        }
        Ok(())
    }
}

impl Choice {
    async fn act(self, client: &Client, context: &Context, verb: &str, done: &str) -> Outcome {
        let body = self.reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let agent = client.post(&["agents", &self.agent, verb], body).await?;
        let running = agent.get("running").and_then(Value::as_u64).filter(|running| *running > 0 && verb == "drain");
        let rest = running.map(|running| format!("; {running} runs are left")).unwrap_or_default();
        context.screen.done(&format!("agent {} {done}{rest}", self.agent), &agent);
        Ok(())
    }
}

impl Token {
    async fn run(self, client: &Client, context: &Context) -> Outcome {
        let invitation = enrolment::invite(client, &self.group, self.ttl, Keystore::own()).await?;
        if let Some(note) = &invitation.note {
            context.screen.note(note);
        }
        if context.screen.is_json() {
            context.screen.json(&invitation.to_json());
        } else if self.token_only {
            context.screen.raw(&format!("{}\n", invitation.token.as_str()));
        } else {
            context.screen.raw(&instructions(&invitation, &self.group));
        }
        Ok(())
    }
}

/// Takes an unlocked agent back into its group's roster, from which its lock removed it.
async fn readmit(client: &Client, context: &Context, agent: &str) {
    let taken_back = async {
        let shown = client.get(&["agents", agent]).await?;
        let text = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("keys") != "removed" {
            return Ok(());
        }
        let (group, id) = (text("group").parse::<Name>(), text("id").parse::<AgentId>());
        let (Ok(group), Ok(agent)) = (group, id) else { return Ok(()) };
        let mut signer = Signer::of(client, &group).await?;
        if signer.roster.departed(agent).is_some() {
            signer.append(Op::Readmit { agent }, Vec::new()).await?;
        }
        Outcome::Ok(())
    };
    if let Err(error) = taken_back.await {
        context.screen.note(&format!("it has no secrets until an operator of its group unlocks it: {error}"));
    }
}

fn instructions(invitation: &Invitation, group: &Name) -> String {
    format!(
        "One agent may join group {group} with this until {}. On its host:\n\n\
         wherry-agent enrol --url {} --name \"$(hostname -s)\" \\\n    \
         --data /var/lib/wherry-agent --token-file - <<'TOKEN'\n{}\nTOKEN\n",
        invitation.expires_at,
        invitation.endpoint,
        invitation.token.as_str()
    )
}

fn life(text: &str) -> Result<Duration, String> {
    let life = duration::parse(text).map_err(|error| error.to_string())?;
    if life < Duration::from_secs(1) || life > Duration::from_secs(86_400) {
        return Err("a token lives 1s to 24h".to_owned());
    }
    Ok(life)
}
