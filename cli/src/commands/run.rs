//! `wherry run`.

use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use wherry_domain::id::RunId;
use wherry_domain::name::Name;

use super::Context;
use crate::client::{Body, Call, Client};
use crate::error::Outcome;
use crate::follow::{self, log_line};
use crate::table::{Column, count, duration, text, time};

const RUNS: &[Column] = &[
    text("ID", "id"),
    text("OPERATION", "operation"),
    text("KIND", "kind"),
    text("STATE", "state"),
    text("AGENT", "agent"),
    count("READ", "counts.read"),
    count("WRITTEN", "counts.written"),
    duration("TOOK", "duration_ms"),
    time("SUBMITTED", "submitted_at"),
];

/// A single run, as `operation run` shows it, too.
pub(super) const RUN: &[Column] = &[
    text("ID", "id"),
    text("STATE", "state"),
    text("OPERATION", "operation"),
    text("KIND", "kind"),
    text("ACTIVITY", "activity"),
    text("PROJECT", "project"),
    text("ENVIRONMENT", "environment"),
    count("DEPLOYMENT", "deployment_number"),
    text("AGENT", "agent"),
    count("ATTEMPT", "attempt"),
    count("READ", "counts.read"),
    count("WRITTEN", "counts.written"),
    count("REJECTED", "counts.rejected"),
    count("BATCHES", "counts.batches"),
    text("WAITS", "waiting.message"),
    text("FAILURE", "failure.message"),
    text("CODE", "failure.code"),
    text("EFFECTS BEGUN", "failure.effects_begun"),
    time("SUBMITTED", "submitted_at"),
    text("BY", "submitted_by"),
    text("CAUSED BY", "caused_by"),
    duration("TOOK", "duration_ms"),
];
const HISTORY: &[Column] = &[
    time("AT", "at"),
    text("WHAT", "what"),
    count("ATTEMPT", "attempt"),
    text("AGENT", "agent"),
    text("REASON", "reason"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// Lists runs, newest first.
    List(List),
    /// Shows one run with its history.
    Show {
        /// Its id.
        run: RunId,
    },
    /// Shows the log of a run.
    Logs {
        /// Its id.
        run: RunId,
        /// Goes on until the run ends.
        #[arg(long)]
        follow: bool,
    },
    /// Asks a run to end.
    Cancel {
        /// Its id.
        run: RunId,
    },
    /// Repeats a run that failed or was cancelled; sends an unknown run out again.
    Retry {
        /// Its id.
        run: RunId,
        /// Shows the run until it ends.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this environment.
    #[arg(long)]
    environment: Option<Name>,
    /// Only those of this operation.
    #[arg(long)]
    operation: Option<Name>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// At most this many.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Queued,
    Leased,
    Unknown,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Runs {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List(list) => list.run(&client, context).await,
            Self::Show { run } => show(&client, &run.to_string(), context).await,
            Self::Logs { run, follow } => logs(&client, &run.to_string(), follow, context).await,
            Self::Cancel { run } => {
                let answer = client.post(&["runs", &run.to_string(), "cancel"], json!({})).await?;
                context.screen.done(&format!("{run} is asked to end"), &answer);
                Ok(())
            }
            Self::Retry { run, follow } => retry(&client, &run.to_string(), follow, context).await,
        }
    }
}

impl List {
    async fn run(self, client: &Client, context: &Context) -> Outcome {
        let query = [
            ("environment", self.environment.as_ref().map(Name::as_str)),
            ("operation", self.operation.as_ref().map(Name::as_str)),
            ("state", self.state.map(State::as_str)),
        ];
        context.screen.list(RUNS, &client.first(&["runs"], &query, self.limit).await?);
        Ok(())
    }
}

async fn show(client: &Client, run: &str, context: &Context) -> Outcome {
    let found = client.get(&["runs", run]).await?;
    context.screen.show(RUN, &found);
    let history = found.get("history").and_then(Value::as_array).is_some_and(|history| !history.is_empty());
    if history && !context.screen.is_json() {
        context.screen.raw("\n");
        context.screen.list(HISTORY, &json!({"items": found.get("history")}));
    }
    Ok(())
}

async fn retry(client: &Client, run: &str, follow: bool, context: &Context) -> Outcome {
    let call_path = ["runs", run, "retry"];
    let key = uuid::Uuid::new_v4().simple().to_string();
    let mut again = client.send(Call::post(&call_path, Body::Json(json!({}))).key(key)).await?;
    if follow {
        let id = again.get("id").and_then(Value::as_str).unwrap_or(run).to_owned();
        again = follow::follow(client, &id, context.screen).await?;
    }
    context.screen.show(RUN, &again);
    Ok(())
}

/// Prints the log. Following asks again as long as the run lasts, so that no line is missed or shown twice.
async fn logs(client: &Client, run: &str, follow: bool, context: &Context) -> Outcome {
    let mut after = print_from(client, run, 0, &ProgressBar::hidden(), context).await?;
    if !follow {
        return Ok(());
    }
    let mut view = follow::View::new(run, context.screen);
    let printing = async {
        loop {
            let call_path = ["runs", run];
            let now = client.send(Call::get(&call_path).query("wait_ms", Some(1_000))).await?;
            view.update(&now);
            after = print_from(client, run, after, view.bar(), context).await?;
            if follow::is_over(&now) || context.screen.is_closed() {
                return Ok(now);
            }
        }
    };
    let ended: Outcome<Value> = tokio::select! {
        ended = printing => ended,
        _ = tokio::signal::ctrl_c() => Err(follow::left(run)),
    };
    view.finish();
    follow::judge(ended?).map(|_| ())
}

async fn print_from(client: &Client, run: &str, mut after: u64, bar: &ProgressBar, context: &Context) -> Outcome<u64> {
    loop {
        let path = ["runs", run, "logs"];
        let call = Call::get(&path).query("after", Some(after));
        let before = after;
        let page = client.send(call).await?;
        let lines = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for line in lines {
            after = line.get("n").and_then(Value::as_u64).unwrap_or(after).max(after);
            let shown = if context.screen.is_json() { line.to_string() } else { log_line(line) };
            bar.suspend(|| context.screen.raw(&format!("{shown}\n")));
        }
        if after == before {
            return Ok(after);
        }
    }
}
