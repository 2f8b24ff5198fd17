//! `wherry action`: calls an activity and shows its answer.

use std::io::Read;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wherry_domain::duration;
use wherry_domain::name::Name;

use super::Context;
use crate::client::{Body, Call as Request};
use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

/// Largest input, in bytes: what the controller takes.
const MAX_BYTES: u64 = 1 << 20;

/// The controller answers after this long at the latest.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(crate) enum Actions {
    /// Calls an activity of an alias or connection and prints the answer as JSON.
    #[command(after_help = "\
Examples:
    wherry action call crm query --environment prod --with '{\"path\": \"/contacts\"}'
    wherry action call crm send --environment prod --with @with.json --records @contacts.json --idempotency-key order-4711")]
    Call(Call),
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The alias, or the connection.
    name: Name,
    /// The activity.
    activity: String,
    /// The environment.
    #[arg(long)]
    environment: Name,
    /// The project, where several have such a name.
    #[arg(long)]
    project: Option<Name>,
    /// The activity's parameters: a JSON object, or @FILE, or @- for standard input.
    #[arg(long, value_name = "JSON")]
    with: Option<String>,
    /// Records for an activity that takes some: a JSON list, or @FILE.
    #[arg(long, value_name = "JSON")]
    records: Option<String>,
    /// Within this time the answer is wanted, at most 60s. A throttled call is tried again only if there is time.
    #[arg(long, default_value = "30s", value_parser = patience)]
    timeout: Duration,
    /// The same key does it once, however often it is sent within 24 hours.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Actions {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Call(call) => call.run(context).await,
        }
    }
}

impl Call {
    async fn run(self, context: &Context) -> Outcome {
        let with = self.with.as_deref().map_or_else(|| Ok(Value::Object(Map::new())), |text| read("--with", text))?;
        let records = self.records.as_deref().map_or_else(|| Ok(json!([])), |text| read("--records", text))?;
        let path = ["environments", self.environment.as_str(), "actions", self.name.as_str(), &self.activity];
        // A key of our own where the person gave none: a lost answer is then asked for again, and nothing is done twice.
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let request = Request::post(&path, Body::Json(json!({ "with": with, "records": records })))
            .query("project", self.project.as_ref())
            .within(self.timeout, context.screen)
            .key(key);
        let done = context.client()?.send(request).await?;
        context.screen.json(&done);
        Ok(())
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    if time.is_zero() || time > LONGEST { Err("an action takes 1ms to 60s".to_owned()) } else { Ok(time) }
}

fn read(what: &str, text: &str) -> Outcome<Value> {
    let faulty = |why: String| CliError::new(Exit::Invalid, codes::ACTION_INPUT_INVALID, format!("{what}: {why}"));
    let content = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => whole(std::io::stdin()).map_err(|error| faulty(error.to_string()))?,
        Some(file) => std::fs::File::open(file).and_then(whole).map_err(|error| faulty(format!("{file}: {error}")))?,
    };
    serde_json::from_str(&content).map_err(|error| faulty(format!("this is not JSON: {error}")))
}

fn whole(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_waits_for_some_time_and_for_a_minute_at_most() {
        assert_eq!(patience("60s"), Ok(Duration::from_secs(60)));
        assert!(["0s", "61s", "soon"].into_iter().all(|text| patience(text).is_err()));
    }

    #[test]
    fn input_is_json_from_the_line_or_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"a\": 1}").unwrap();
        assert_eq!(read("--with", "{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert_eq!(read("--with", &format!("@{}", file.path().display())).unwrap(), json!({"a": 1}));
        assert!(read("--with", "{a}").is_err() && read("--with", "@/no/such/file").is_err());
    }
}
