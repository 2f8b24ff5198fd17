//! `wherry connection`.

mod path;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wherry_domain::duration;
use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use super::Context;
use super::operation::typed;
use crate::client::{Body, Call, Client};
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::table::{Column, at, count, duration as took, text};
use crate::text::plain;

/// The agent has this long by default; the controller's own limit is longer.
const LIMIT: &str = "30s";

const CONNECTIONS: &[Column] = &[
    text("NAME", "name"),
    text("PROJECT", "project"),
    text("CONNECTOR", "connector"),
    text("VERSION", "version"),
    count("DEPLOYMENT", "deployment_number"),
];
const TESTS: &[Column] = &[
    text("AREA", "area"),
    text("RESULT", "result"),
    text("CODE", "failure.code"),
    text("AGENT", "agent"),
    took("TOOK", "duration_ms"),
    text("WHAT TO DO", "advice"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Connections {
    /// Lists the connections of the projects deployed in an environment.
    List {
        /// The environment.
        #[arg(long)]
        environment: Name,
        /// Only those of this project.
        #[arg(long)]
        project: Option<Name>,
    },
    /// Tests a connection from an agent's place in the network; ends with code 11 if it does not work.
    #[command(after_help = "\
Examples:
    wherry connection test service-desk --environment prod
    wherry connection test service-desk --environment prod --agent berlin-1 --output json")]
    Test(Which),
    /// Asks a connector about the system behind a connection, such as for the fields of a request type.
    #[command(after_help = "\
Examples:
    wherry connection describe service-desk --environment prod --activity create --set table=Requests --set serviceDesk=1 --set requestType=25
    wherry connection describe crm --environment prod --question '{\"fields\": true}'

The answer leaves an agent only if its owner wrote `describe = true` under [answers] in the agent's configuration.
What a connector can be asked stands in its documentation.")]
    Describe(Describe),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The connection's name.
    connection: Name,
    /// The environment.
    #[arg(long)]
    environment: Name,
    /// The project, where several have a connection of that name.
    #[arg(long)]
    project: Option<Name>,
    /// The agent that does it, by name or id [default: the one with the least to do].
    #[arg(long)]
    agent: Option<String>,
    /// How long it may take, 1s to 60s.
    #[arg(long, default_value = LIMIT, value_parser = |text: &str| duration::parse(text))]
    timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    #[command(flatten)]
    which: Which,
    /// The activity that the question is about.
    #[arg(long, default_value = "", hide_default_value = true)]
    activity: String,
    /// The question, in the connector's own words.
    #[arg(long, value_name = "JSON", value_parser = |text: &str| serde_json::from_str::<Value>(text))]
    question: Option<Value>,
    /// One field of the question. Numbers, true, false, lists and maps are taken as JSON.
    #[arg(long = "set", value_name = "NAME=VALUE", conflicts_with = "question", value_parser = field)]
    fields: Vec<(String, Value)>,
}

impl Connections {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { environment, project } => {
                let path = ["environments", environment.as_str(), "connections"];
                let query = [("project", project.as_ref().map(Name::as_str))];
                context.screen.list(CONNECTIONS, &client.all(&path, &query).await?);
                Ok(())
            }
            Self::Test(which) => which.test(&client, context).await,
            Self::Describe(describe) => describe.run(&client, context).await,
        }
    }
}

impl Which {
    async fn test(&self, client: &Client, context: &Context) -> Outcome {
        let tested = self.ask(client, context, "test", self.body()).await?;
        if context.screen.is_json() {
            context.screen.json(&tested);
        } else {
            context.screen.list(TESTS, &json!({ "items": [tested] }));
            let path = path::lines(&tested);
            if !path.is_empty() {
                context.screen.list(path::COLUMNS, &json!({ "items": path }));
            }
            if let Some(connector) = tested.get("connector") {
                context.screen.note(&super::connector::moves::tested(connector));
            }
        }
        failed(&tested)
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.extend(self.agent.clone().map(|agent| ("agent".to_owned(), agent.into())));
        let limit = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        body.insert("limit_ms".to_owned(), limit.into());
        body
    }

    async fn ask(&self, client: &Client, context: &Context, verb: &str, body: Map<String, Value>) -> Outcome<Value> {
        let path = ["environments", self.environment.as_str(), "connections", self.connection.as_str(), verb];
        let call = Call::post(&path, Body::Json(body.into())).query("project", self.project.as_ref());
        let spinner = context.screen.spinner(format!("an agent looks at {}", self.connection));
        let answer = client.send(call).await;
        spinner.finish_and_clear();
        answer
    }
}

impl Describe {
    async fn run(self, client: &Client, context: &Context) -> Outcome {
        let Self { which, activity, question, fields } = self;
        let question = question.unwrap_or_else(|| Value::Object(fields.into_iter().collect()));
        let mut body = which.body();
        body.insert("activity".to_owned(), activity.into());
        body.insert("question".to_owned(), question);
        let described = which.ask(client, context, "describe", body).await?;
        if context.screen.is_json() {
            context.screen.json(&described);
        } else {
            context.screen.raw(&readable(described.get("answer").unwrap_or(&Value::Null)));
        }
        Ok(())
    }
}

/// The answer for a person. Its texts come from a stranger's system.
fn readable(answer: &Value) -> String {
    format!("{answer:#}").lines().map(|line| plain(line) + "\n").collect()
}

fn is_ok(tested: &Value) -> bool {
    tested.get("result").and_then(Value::as_str) == Some("ok")
}

/// A test that failed ends the command with a code of its own.
fn failed(tested: &Value) -> Outcome {
    if is_ok(tested) {
        return Ok(());
    }
    let said = |path: &str| at(tested, path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let message =
        format!("the connection {} does not work ({}): {}", said("connection"), said("area"), said("failure.message"));
    let error = CliError::new(Exit::TestFailed, Code::received(&said("failure.code")), message);
    Err(error.at(format!("agent {}", said("agent"))).fix(said("advice")))
}

fn field(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("a field is written NAME=VALUE")?;
    Ok((name.to_owned(), typed(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_test_ends_with_its_own_code_and_says_what_to_do() {
        let tested = json!({
            "connection": "desk", "agent": "eu-1", "result": "failed", "area": "authentication", "advice": "check it",
            "failure": { "class": "permanent", "code": "http.unauthorized", "message": "the system refused" },
        });
        let error = failed(&tested).unwrap_err();
        assert_eq!((error.exit, error.code.as_str()), (Exit::TestFailed, "http.unauthorized"));
        let shown = error.shown();
        for part in ["(authentication)", "the system refused", "agent eu-1", "fix    check it"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(failed(&json!({ "result": "ok" })).is_ok());
    }

    #[test]
    fn an_answer_cannot_drive_the_terminal() {
        assert_eq!(readable(&json!({ "a": "b\u{9b}31m\u{202e}" })), "{\n  \"a\": \"b\\u{9b}31m\\u{202e}\"\n}\n");
    }

    #[test]
    fn fields_of_a_question_keep_their_names_and_types() {
        assert_eq!(field("requestType=25"), Ok(("requestType".to_owned(), json!(25))));
        assert_eq!(field("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert!(field("=1").is_err() && field("x").is_err());
    }
}
