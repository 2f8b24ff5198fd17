//! `wherry login`, `whoami`, `logout`, `status`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use crate::client::Client;
use crate::error::Outcome;
use crate::settings::{Access, forget, parse_url, read_token, remember};
use crate::table::{Column, count, list, text};

const WHO: &[Column] = &[
    text("URL", "url"),
    text("TOKEN", "token"),
    list("SCOPES", "scopes"),
    text("ORGANISATION", "organisation"),
    text("VERSION", "version"),
];

const STATUS: &[Column] = &[
    text("URL", "url"),
    text("VERSION", "version"),
    text("ORGANISATION", "organisation"),
    text("AGENTS AT", "agent_endpoint"),
    text("CA PIN", "ca_pin"),
    count("AGENTS LIVE", "agents.live"),
    count("AGENTS LOST", "agents.lost"),
    count("AGENTS DRAINING", "agents.draining"),
    count("AGENTS LOCKED", "agents.locked"),
    count("RUNS QUEUED", "runs.queued"),
    count("RUNS LEASED", "runs.leased"),
    count("RUNS UNKNOWN", "runs.unknown"),
    text("STORE", "store"),
];

const AGENT_STATES: [&str; 4] = ["live", "lost", "draining", "locked"];
const RUN_STATES: [&str; 3] = ["queued", "leased", "unknown"];

/// Where to sign in, and with what.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The controller, for example https://wherry.example:8443.
    controller: String,
    /// File with an access token (whp_...), or - for stdin. Never a flag: flags are seen by every user of a machine.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

impl Login {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let access = Access { url: parse_url(&self.controller)?, token: read_token(&self.token_file)? };
        let client = Client::new(access)?;
        let who = who(&client).await?;
        let path = remember(client.access())?;
        let name = who.get("token").and_then(Value::as_str).unwrap_or_default();
        let sentence = format!("signed in to {} as {name}; written to {}", client.url(), path.display());
        context.screen.done(&sentence, &who);
        Ok(())
    }
}

pub(super) async fn whoami(context: &Context) -> Outcome {
    let who = who(&context.client()?).await?;
    context.screen.show(WHO, &who);
    Ok(())
}

pub(super) fn logout(context: &Context) -> Outcome {
    let was = forget()?;
    let sentence = match was {
        true => "signed out; the token itself stays valid until an administrator removes it",
        false => "unchanged: nobody was signed in",
    };
    context.screen.done(sentence, &json!({"signed_out": was}));
    Ok(())
}

pub(super) async fn status(context: &Context) -> Outcome {
    let client = context.client()?;
    let mut status = with_url(&client, client.get(&["status"]).await?);
    for (group, states) in [("agents", AGENT_STATES.as_slice()), ("runs", RUN_STATES.as_slice())] {
        count_none(&mut status, group, states);
    }
    context.screen.show(STATUS, &status);
    Ok(())
}

/// The controller leaves out states that nothing is in; a person wants to see the zero.
fn count_none(status: &mut Value, group: &str, states: &[&str]) {
    if let Some(Value::Object(counts)) = status.get_mut(group) {
        for state in states {
            counts.entry(*state).or_insert_with(|| 0.into());
        }
    }
}

async fn who(client: &Client) -> Outcome<Value> {
    Ok(with_url(client, client.get(&["whoami"]).await?))
}

fn with_url(client: &Client, mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("url".to_owned(), client.url().as_str().into());
    }
    answer
}
