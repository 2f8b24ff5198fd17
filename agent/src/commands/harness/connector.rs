//! Runs a component in the real host as a test wants it, and tells everything it did.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use wherry_host::{
    Batch, Connector, ConnectorError, ConnectorFault, Descriptor, Egress, FromConnector, Outcome, Task, ToConnector,
};

use super::{
    Ended,
    describe::{load, runtime},
    script::{Bounds, Mask, Scripted, Source},
    trial::{Log, Plan, Rejected, Report, Run, Script, Told},
};
use crate::{
    auth::Credential,
    certificates::Seen,
    egress::{Destination, EgressSettings, Endpoint, Endpoints},
};

/// Longest plan: recordings are files that people keep in a repository.
const MAX_PLAN: u64 = 64 << 20;
/// Records told of one run; a test that needs more counts them at the source.
const MAX_RECORDS: usize = 10_000;
/// Slices of one run, each of which says that there is more.
const MAX_SLICES: usize = 100;
/// Records of one batch for a target.
const BATCH_ROWS: usize = 100;

/// Reads a plan from standard input; prints the descriptor, then one report per run, each on a line.
pub(super) fn connector() -> Result<(), Ended> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(MAX_PLAN).read_to_end(&mut text).map_err(Ended::Unreadable)?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| Ended::Input(error.to_string()))?;
    let connector = load(&plan.component)?;
    let runtime = runtime()?;
    let descriptor = runtime.block_on(connector.describe_text())?;
    let parsed = Descriptor::parse(&descriptor).map_err(wherry_host::HostError::from)?;
    print(&json!({ "descriptor": descriptor }))?;
    for run in plan.runs {
        let mut report = runtime.block_on(carry_out(&connector, run))?;
        report.hold_against(&parsed);
        print(&serde_json::to_value(report).unwrap_or_default())?;
    }
    Ok(())
}

fn print(line: &Value) -> Result<(), Ended> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(Ended::System)
}

async fn carry_out(connector: &Connector, run: Run) -> Result<Report, Ended> {
    let destination = Destination::parse(&run.url).map_err(|error| Ended::Input(error.to_string()))?;
    let url = destination.base(&run.url);
    let cancel = Arc::new(Notify::new());
    let bounds = Bounds { most: run.most_requests, cancel_after: run.cancel_after, cancel: Arc::clone(&cancel) };
    let source = match run.script {
        Script::Replay(lines) => Source::Lines(lines.into()),
        Script::Always { answer, vary } => Source::Always(answer, vary),
        Script::Record { credential, secrets, instead, url: other } => {
            let endpoint = endpoint(&destination, credential)?;
            Source::System { endpoint, mask: Mask { secrets, instead, url: (url.clone(), other) } }
        }
    };
    let egress = Scripted::new(destination, &url, source, bounds);
    let task = Task {
        call: run.call,
        run: "run_trial".to_owned(),
        attempt: 1,
        key: "key-of-the-trial".to_owned(),
        activity: run.activity,
        connection: json!({ "url": url, "options": run.options }).to_string(),
        params: if run.params.is_null() { "{}".to_owned() } else { run.params.to_string() },
        cursor: run.cursor.map(|cursor| cursor.to_string()),
        time_limit_ms: run.time_limit_ms,
        has_input: run.input.is_some(),
        has_output: run.output,
        ..Task::default()
    };
    let batches = run.input.as_deref().map(batches).unwrap_or_default();
    let mut report = slices(connector, task, &egress, batches, &cancel).await;
    let (notes, unused) = egress.end();
    report.requests = notes.requests;
    report.unexpected = notes.unexpected;
    report.recorded = notes.recorded;
    report.unused = unused;
    Ok(report)
}

/// The system itself, with its credential.
fn endpoint(destination: &Destination, credential: Option<(String, String)>) -> Result<Endpoint, Ended> {
    let endpoints = Endpoints::new(EgressSettings::default());
    let opened = endpoints.for_connection("recording", destination.clone(), false);
    let endpoint = opened.map_err(|error| Ended::Input(error.to_string()))?;
    if let Some((name, value)) = credential {
        let name: HeaderName = name.parse().map_err(|_| Ended::Input("the credential names no header".to_owned()))?;
        let value = HeaderValue::try_from(value);
        let mut value = value.map_err(|_| Ended::Input("the credential is no header's value".to_owned()))?;
        value.set_sensitive(true);
        endpoint.protect(vec![name.clone()]);
        endpoint.use_credential(Seen::default(), || Ok::<_, Ended>(Some(Credential::Header(name, value))))?;
    }
    Ok(endpoint)
}

/// Calls again as long as the connector says that there is more.
async fn slices(
    connector: &Connector,
    mut task: Task,
    egress: &Scripted,
    batches: Vec<Batch>,
    cancel: &Notify,
) -> Report {
    let mut report = Report::default();
    let mut batches = Some(batches);
    for _ in 0..MAX_SLICES {
        let (feed, inbox) = mpsc::channel(2);
        let (outbox, mut results) = mpsc::channel(16);
        let out: Arc<dyn Egress> = Arc::new(egress.clone());
        let running = async {
            let collecting = async {
                while let Some(message) = results.recv().await {
                    report.take(message);
                }
            };
            tokio::join!(connector.run(task.clone(), out, inbox, outbox), collecting).0
        };
        let ended = tokio::select! {
            ended = running => ended,
            () = feed_in(feed, batches.take().unwrap_or_default(), cancel) => Err(ConnectorFault::Cancelled),
        };
        let more = report.end(ended);
        if !more {
            return report;
        }
        task.cursor.clone_from(&report.cursor);
    }
    report
}

/// Hands in what a target takes, then waits for the moment to cancel; it never ends by itself.
async fn feed_in(feed: mpsc::Sender<ToConnector>, batches: Vec<Batch>, cancel: &Notify) {
    let handing = async {
        for batch in batches {
            // A connector that is done takes no more.
            drop(feed.send(ToConnector::Batch(batch)).await);
        }
        drop(feed.send(ToConnector::End).await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = handing => (),
        () = cancel.notified() => {
            drop(feed.send(ToConnector::Cancel).await);
            // Whoever does not stop is stopped by the host long before.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}

fn batches(records: &[Value]) -> Vec<Batch> {
    let batch = |records: &[Value]| {
        let data: String = records.iter().map(|record| format!("{record}\n")).collect();
        Batch { count: u32::try_from(records.len()).unwrap_or_default(), data: Bytes::from(data) }
    };
    records.chunks(BATCH_ROWS).map(batch).collect()
}

impl Report {
    fn take(&mut self, message: FromConnector) {
        match message {
            FromConnector::Batch { batch, cursor } => {
                let lines = batch.data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                for line in lines {
                    if self.records.len() < MAX_RECORDS {
                        self.records.push(serde_json::from_slice(line).unwrap_or_default());
                    } else {
                        self.cut = true;
                    }
                }
                if let Some(cursor) = cursor {
                    self.note(cursor);
                }
            }
            FromConnector::Checkpoint { cursor } => self.note(cursor),
            FromConnector::Acked { up_to } => self.acked = up_to,
            FromConnector::Rejected { row, error } => {
                if self.rejected.len() < MAX_RECORDS {
                    self.rejected.push(Rejected { row, told: Told::of(error) });
                }
            }
            FromConnector::Log { level, message, fields } => self.logs.push(Log { level, message, fields }),
            FromConnector::Counter { name, delta } => *self.counters.entry(name).or_default() += delta,
        }
    }

    /// Finds the codes that would not leave an agent.
    fn hold_against(&mut self, descriptor: &Descriptor) {
        let all = self.error.iter_mut().chain(self.rejected.iter_mut().map(|one| &mut one.told));
        for told in all.filter(|told| !told.kind.is_empty() && !told.was_seen) {
            told.undeclared = !descriptor.declares_error(&told.code);
        }
    }

    fn note(&mut self, cursor: String) {
        self.cursors += 1;
        self.cursor = Some(cursor);
    }

    /// Whether it is to be called again.
    fn end(&mut self, ended: Result<Outcome, ConnectorFault>) -> bool {
        let fault = match ended {
            Ok(outcome) => {
                self.ended = "complete";
                self.output = outcome.output.and_then(|output| serde_json::from_str(&output).ok());
                let state = outcome.state.unwrap_or_default().into_iter();
                self.state = state.map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned())).collect();
                return outcome.more;
            }
            Err(fault) => fault,
        };
        let code = fault.code().to_string();
        match fault {
            ConnectorFault::Reported(error) => {
                self.ended = "reported";
                self.error = Some(Told::of(*error));
            }
            ConnectorFault::Cancelled => self.ended = "cancelled",
            ConnectorFault::Limit(_)
            | ConnectorFault::Trap { .. }
            | ConnectorFault::Host(_)
            | ConnectorFault::Worker(_) => {
                self.ended = "broken";
                let message = match &fault {
                    ConnectorFault::Trap { output, .. } if !output.is_empty() => format!("{fault}: {output}"),
                    ConnectorFault::Trap { .. }
                    | ConnectorFault::Limit(_)
                    | ConnectorFault::Host(_)
                    | ConnectorFault::Worker(_)
                    | ConnectorFault::Reported(_)
                    | ConnectorFault::Cancelled => fault.to_string(),
                };
                self.error = Some(Told { code, message, ..Told::default() });
            }
        }
        false
    }
}

impl Told {
    fn of(error: ConnectorError) -> Self {
        let kind = serde_json::to_value(error.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let ConnectorError { code, message, details, cause, .. } = error;
        Self { kind: kind.unwrap_or_default(), code, message, details, was_seen: cause.is_some(), ..Self::default() }
    }
}
