//! `wherry oauth`: a person connects the account that a connection uses.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use super::Context;
use crate::client::{Body, Call, Client};
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::prompt::confirm;
use crate::table::{Column, at, count, text, time};

/// How long one request waits for the flow to move, in ms: below what proxies cut.
const WAIT_MS: &str = "25000";
/// Requests until the flow is over by itself: it lives ten minutes before the browser is back, and ten after.
const PATIENCE: u32 = 60;

const STATUS: &[Column] = &[
    text("CONNECTION", "connection"),
    text("PROJECT", "project"),
    text("STATE", "state"),
    text("ACCOUNT", "account"),
    text("OWNER", "owner"),
    text("SHARED", "shared"),
    count("GENERATION", "generation"),
    time("CONNECTED", "connected_at"),
    text("BY", "connected_by"),
    text("CODE", "trouble.code"),
    text("TROUBLE", "trouble.message"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum OAuth {
    /// Connects an account: opens the provider's page, waits for the consent, asks whether it is the right account.
    #[command(after_help = "\
Examples:
    wherry oauth connect service-desk --environment prod
    wherry oauth connect service-desk --environment prod --no-browser

The code that the provider gives goes to an agent of the environment, which alone holds what makes tokens of it.")]
    Connect(Connect),
    /// Shows whether an account is connected, which one, and which agent refreshes its tokens.
    Status(Which),
    /// Revokes the tokens at the provider and forgets them.
    Disconnect {
        #[command(flatten)]
        which: Which,
        /// Also if the agent that has the tokens is away. They stay valid then until they expire.
        #[arg(long)]
        force: bool,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
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
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    which: Which,
    /// The agent that shall own the connection, by name or id [default: the one that owns it, or has the least to do].
    #[arg(long)]
    agent: Option<String>,
    /// Prints the address and opens nothing.
    #[arg(long)]
    no_browser: bool,
    /// Takes whatever account consents, without asking.
    #[arg(long)]
    yes: bool,
}

impl OAuth {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Connect(connect) => connect.run(&client, context).await,
            Self::Status(which) => {
                let path = which.path();
                let call = Call::get(&path).query("project", which.project.as_ref());
                context.screen.show(STATUS, &client.send(call).await?);
                Ok(())
            }
            Self::Disconnect { which, force, yes } => {
                confirm(&format!("Give back the tokens of {}?", which.connection), yes)?;
                let path = which.path();
                let call = Call::delete(&path).query("project", which.project.as_ref());
                let call = call.query("force", force.then_some(true));
                let answer = client.send(call).await?;
                let sentence = match answer.get("revoked").and_then(Value::as_bool) {
                    Some(true) => format!("{} is disconnected; the provider revoked its tokens", which.connection),
                    Some(false) | None => format!(
                        "{} is disconnected; the provider did not revoke its tokens: end the consent in your account there",
                        which.connection
                    ),
                };
                context.screen.done(&sentence, &answer);
                Ok(())
            }
        }
    }
}

impl Which {
    fn path(&self) -> [&str; 5] {
        ["environments", self.environment.as_str(), "connections", self.connection.as_str(), "oauth"]
    }
}

impl Connect {
    async fn run(self, client: &Client, context: &Context) -> Outcome {
        if !self.yes && !std::io::stdin().is_terminal() {
            // Asked before anybody signs in for nothing.
            return confirm("Connect whatever account consents?", false);
        }
        let path = self.which.path();
        let project = self.which.project.as_ref();
        let call = Call::post(&path, Body::Json(json!({ "agent": self.agent }))).query("project", project);
        let flow = client.send(call).await?;
        self.send_to(context, &flow);
        let waited = self.wait(client, context, said(&flow, "flow")).await?;
        let account = said(&waited, "account").to_owned();
        let question = format!("{} is connected as {account}. Is that the right account?", self.which.connection);
        let asked = confirm(&question, self.yes);
        let steps: Vec<&str> = path.into_iter().chain(["confirm"]).collect();
        let word = json!({ "flow": said(&flow, "flow"), "right": asked.is_ok() });
        let answer = client.send(Call::post(&steps, Body::Json(word)).query("project", project)).await;
        asked?;
        let sentence =
            format!("{} is connected as {account}, refreshed by {}", self.which.connection, said(&flow, "agent"));
        context.screen.done(&sentence, &answer?);
        Ok(())
    }

    /// Shows the address, and opens it where there is a screen.
    fn send_to(&self, context: &Context, flow: &Value) {
        let url = said(flow, "url");
        context.screen.appeal(&format!("Sign in here:\n\n    {}\n", crate::text::plain(url)));
        if flow.get("public_client").and_then(Value::as_bool) == Some(true) {
            context.screen.appeal(
                "This application is a public client: whoever runs the controller could sign in for it as well.",
            );
        }
        if !self.no_browser && context.screen.is_live() && url.starts_with("http") {
            open(url);
        }
    }

    /// Waits until the account is there.
    async fn wait(&self, client: &Client, context: &Context, flow: &str) -> Outcome<Value> {
        let path = self.which.path();
        let spinner = context.screen.spinner("waiting for your consent".to_owned());
        let mut seen = "waiting".to_owned();
        for _ in 0..PATIENCE {
            let call = Call::get(&path).query("project", self.which.project.as_ref());
            let call = call.query("flow", Some(flow)).query("wait_ms", Some(WAIT_MS)).query("seen", Some(&seen));
            let status = client.send(call).await?;
            let flow = status.get("flow").cloned().unwrap_or_default();
            match said(&flow, "state") {
                "asking" => {
                    spinner.finish_and_clear();
                    return Ok(flow);
                }
                "failed" => return Err(failed(&flow)),
                "waiting" | "starting" | "redeeming" => {}
                other => seen = other.to_owned(),
            }
        }
        Err(CliError::new(Exit::Failed, Code::new("oauth.flow_expired"), "nobody finished the sign-in in time")
            .fix("run the command again"))
    }
}

fn said<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

fn failed(flow: &Value) -> CliError {
    let code = Code::received(said(flow, "failure.code"));
    CliError::new(Exit::Failed, code, said(flow, "failure.message").to_owned()).fix("run the command again")
}

/// Opens a browser if there is one; whoever has none has the address.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // The address was shown: a browser that does not open changes nothing.
    drop(quiet);
}
