//! `wherry operation`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wherry_domain::duration;
use wherry_domain::name::Name;

use super::Context;
use super::run::RUN;
use crate::client::{Body, Call, Client};
use crate::error::Outcome;
use crate::follow;
use crate::table::{Column, count, text};

const OPERATIONS: &[Column] = &[
    text("NAME", "name"),
    text("PROJECT", "project"),
    count("DEPLOYMENT", "deployment_number"),
    text("EFFECTS", "side_effects"),
    text("FROM", "source.connection"),
    text("TO", "target.connection"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Operations {
    /// Lists the operations deployed in an environment.
    List {
        /// The environment.
        #[arg(long)]
        environment: Name,
    },
    /// Starts an operation.
    #[command(after_help = "\
Examples:
    wherry operation run requests-to-issues --environment prod --follow
    wherry operation run requests-to-issues --environment prod --var priority=high --wait --timeout 10m")]
    Run(Run),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The operation's name.
    operation: Name,
    /// The environment.
    #[arg(long)]
    environment: Name,
    /// The project, where several have an operation of that name.
    #[arg(long)]
    project: Option<Name>,
    /// Another value for a variable of the project. Numbers, true, false, lists and maps are taken as JSON.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(Name, Value)>,
    /// Shows the run until it ends.
    #[arg(long)]
    follow: bool,
    /// Waits until the run ends.
    #[arg(long, conflicts_with = "follow")]
    wait: bool,
    /// How long --wait waits.
    #[arg(long, default_value = "1h", value_parser = |text: &str| duration::parse(text))]
    timeout: Duration,
    /// The same key starts one run, however often it is sent within 24 hours.
    #[arg(long, value_name = "KEY", value_parser = key)]
    idempotency_key: Option<String>,
}

impl Operations {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { environment } => {
                let path = ["environments", environment.as_str(), "operations"];
                context.screen.list(OPERATIONS, &client.all(&path, &[]).await?);
                Ok(())
            }
            Self::Run(run) => run.run(&client, context).await,
        }
    }
}

impl Run {
    async fn run(self, client: &Client, context: &Context) -> Outcome {
        let run = self.submit(client).await?;
        let id = run.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ended = if self.follow {
            follow::follow(client, &id, context.screen).await?
        } else if self.wait {
            follow::wait(client, &id, self.timeout).await?
        } else {
            context.screen.note(&format!("follow it with: wherry run logs {id} --follow"));
            run
        };
        context.screen.show(RUN, &ended);
        Ok(())
    }

    async fn submit(&self, client: &Client) -> Outcome<Value> {
        let variables: Map<_, _> =
            self.variables.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
        let body = if variables.is_empty() { json!({}) } else { json!({ "variables": variables }) };
        let path = ["environments", self.environment.as_str(), "operations", self.operation.as_str(), "runs"];
        // A key of our own where the person gave none: a lost answer is then asked for again, and starts nothing twice.
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let call = Call::post(&path, Body::Json(body)).query("project", self.project.as_ref()).key(key);
        client.send(call).await
    }
}

fn key(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("a key has 1 to 128 visible ASCII characters".to_owned()) }
}

pub(super) fn variable(text: &str) -> Result<(Name, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a variable is written NAME=VALUE")?;
    let name = name.parse::<Name>().map_err(|error| error.to_string())?;
    Ok((name, typed(value)))
}

/// JSON where it says the same in both worlds: `1.10` and `0025` stay texts, because as numbers they would change.
pub(super) fn typed(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) if number.to_string() != text => text.into(),
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_))) => value,
        Ok(Value::Null | Value::String(_)) | Err(_) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_what_was_typed() {
        for (text, value) in [
            ("5", json!(5)),
            ("1.10", json!("1.10")),
            ("0025", json!("0025")),
            ("true", json!(true)),
            ("null", json!("null")),
            ("[1]", json!([1])),
            ("a=b", json!("a=b")),
            ("", json!("")),
        ] {
            assert_eq!(variable(&format!("x={text}")).unwrap().1, value, "{text}");
        }
        assert!(variable("x").is_err());
        assert!(variable("X=1").is_err());
    }
}
