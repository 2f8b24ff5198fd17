//! `wherry sandbox`: simulated systems to try things on. They are a program of their own, `wherry-sandbox`, which
//! stands beside this one and is started and stopped from here.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Context;
use crate::codes;
use crate::demo::asked_to_stop;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::sibling;
use crate::table::at;
use crate::text::grouped;

const PROGRAM: &str = "wherry-sandbox";
/// Longest wait for its first line, and the longest such line.
const READY: Duration = Duration::from_secs(30);
const LINE: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Sandboxes {
    /// Starts a look-alike of Jira Service Management on this machine; Ctrl-C ends it.
    Start(Start),
}

/// How it should be.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// Which Jira to play.
    #[arg(long, value_enum, default_value = "cloud")]
    flavour: Flavour,
    /// How many service requests there are from the start.
    #[arg(long, default_value_t = 250)]
    requests: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Flavour {
    /// Account ids, API tokens, searches with page tokens.
    Cloud,
    /// User names, personal access tokens, searches with offsets.
    DataCenter,
}

impl Flavour {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::DataCenter => "data-center",
        }
    }
}

impl Sandboxes {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Start(start) => start.run(context).await,
        }
    }
}

impl Start {
    async fn run(self, context: &Context) -> Outcome {
        let mut child = self.spawn(&sibling::find(PROGRAM)?)?;
        tokio::select! {
            // First, so that nobody can ask too early.
            biased;
            () = asked_to_stop() => {}
            outcome = self.serve(&mut child, context) => return outcome,
        }
        // It keeps nothing that would be lost.
        child.kill().await.map_err(|_| ended(None))
    }

    /// Shows what the child says, and stays as long as it runs.
    async fn serve(&self, child: &mut Child, context: &Context) -> Outcome {
        let greeting = greeting(child).await?;
        if context.screen.is_json() {
            context.screen.json(&shown(&greeting));
        } else {
            context.screen.raw(&self.sentence(&greeting)?);
            context.screen.note("Ctrl-C ends it.");
        }
        Err(ended(child.wait().await.ok()))
    }

    fn spawn(&self, program: &Path) -> Outcome<Child> {
        let mut command = Command::new(program);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--flavour", self.flavour.as_str()]);
        command.args(["--requests", &self.requests.to_string()]);
        // A group of its own: Ctrl-C comes to this process alone, which then ends the other.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.spawn().map_err(|error| {
            let message = format!("{PROGRAM} cannot be started: {error}");
            CliError::new(Exit::Failed, codes::PROGRAM_ENDED, message).at(program.display().to_string())
        })
    }

    fn sentence(&self, greeting: &Value) -> Outcome<String> {
        let text = |path: &str| at(greeting, path).and_then(Value::as_str).ok_or_else(|| ended(None));
        let (url, user, token) = (text("url")?, text("jsm.user")?, text("jsm.token")?);
        let (customer, customer_token) = (text("jsm.customer.user")?, text("jsm.customer.token")?);
        let search = match self.flavour {
            Flavour::Cloud => "rest/api/3/search/jql?fields=summary,status&jql=project%20%3D%20IT",
            Flavour::DataCenter => "rest/api/2/search?fields=summary,status&jql=project%20%3D%20IT",
        };
        Ok(format!(
            "Jira Service Management, {} look-alike, with {} requests\n\n\
             url       {url}\n\
             user      {user}\n\
             token     {token}\n\
             customer  {customer}, token {customer_token}\n\n\
             Ask it, as the real one:\n\n  \
             curl -u '{user}:{token}' '{url}/rest/servicedeskapi/request?requestStatus=OPEN_REQUESTS'\n  \
             curl -u '{user}:{token}' '{url}/{search}'\n  \
             curl {url}/_sandbox/ledger        what was created, and what twice\n\n",
            self.flavour.as_str(),
            grouped(self.requests.into()),
        ))
    }
}

/// What programs get to see: the look-alike, and the plain systems beside it.
fn shown(greeting: &Value) -> Value {
    let part = |path: &str| at(greeting, path).cloned().unwrap_or_default();
    json!({
        "url": part("url"),
        "flavour": part("jsm.flavour"),
        "user": part("jsm.user"),
        "token": part("jsm.token"),
        "customer": part("jsm.customer"),
        "cloud_id": part("jsm.cloud_id"),
        "desk": part("desk"),
        "tracker": part("tracker"),
    })
}

/// The first line says where it listens and what it wants to see.
async fn greeting(child: &mut Child) -> Outcome<Value> {
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or_else(|| ended(None))?;
    let read = timeout(READY, BufReader::new(stdout.take(LINE)).read_line(&mut line)).await;
    if matches!(read, Ok(Ok(1..))) {
        return serde_json::from_str(&line).map_err(|_| ended(None));
    }
    let status = timeout(READY, child.wait()).await.ok().and_then(Result::ok);
    Err(ended(status))
}

fn ended(status: Option<ExitStatus>) -> CliError {
    let how = status.map_or_else(|| "did not say where it listens".to_owned(), |status| format!("ended with {status}"));
    CliError::new(Exit::Failed, codes::PROGRAM_ENDED, format!("{PROGRAM} {how}"))
        .fix("see its own words above; if the port is taken, choose another with --port")
}
