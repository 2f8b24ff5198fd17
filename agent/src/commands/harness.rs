//! `wherry-agent harness`: what developers try on their own machine, in the same box as in a real run.

mod connector;
mod describe;
mod script;
mod trial;

use std::{
    io::{BufRead, Write},
    path::PathBuf,
    process::ExitCode,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use wherry_daemon::exit::Exit;
use wherry_domain::failure::Code;
use wherry_expr_box::COMPONENT;
use wherry_host::{
    Batch, HostError, Part, Place, TransformFault, TransformHost, TransformSettings, Transformation, Transformed,
};

/// Records and bytes of one batch, as between connectors.
const BATCH_ROWS: u32 = 1_000;
const BATCH_BYTES: usize = 1 << 20;

/// Tries things out; `wherry` starts it.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum HarnessCommand {
    /// Run programs over records: the first line of standard input says what to run, each other line is a record.
    Expr,
    /// Run a component as the document on standard input says, and print what it did, one line each.
    Connector,
    /// Run a component and print what it says of itself, as it says it.
    Describe {
        /// The component.
        component: PathBuf,
    },
}

/// Why there are no further results: one line of JSON on standard error.
#[derive(Serialize)]
struct Told<'a> {
    code: Code,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a Place>,
}

/// Why a trial ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("standard input does not begin with what to run: {0}")]
    Input(String),
    #[error("this file cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("the system does not let it start: {0}")]
    System(std::io::Error),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Fault(#[from] TransformFault),
}

impl Ended {
    fn code(&self) -> Code {
        match self {
            Self::Input(_) => Code::new("transform.input_invalid"),
            Self::Unreadable(_) => Code::new("client.file_unreadable"),
            Self::System(_) => Code::new("agent.system"),
            Self::Host(error) => error.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// Carries out one of them.
pub fn harness(command: HarnessCommand) -> ExitCode {
    match command {
        HarnessCommand::Expr => end(expr()),
        HarnessCommand::Connector => end(connector::connector()),
        HarnessCommand::Describe { component } => end(describe::describe(&component)),
    }
}

fn end(ended: Result<(), Ended>) -> ExitCode {
    ended.map_or_else(|ended| tell(&ended), |()| Exit::Success.into())
}

fn expr() -> Result<(), Ended> {
    let mut first = String::new();
    std::io::stdin().lock().read_line(&mut first).map_err(|error| Ended::Input(error.to_string()))?;
    let what: Transformation = serde_json::from_str(&first).map_err(|error| Ended::Input(error.to_string()))?;
    let transformer = TransformHost::new(TransformSettings::default())?.load_wasm(COMPONENT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Ended::System)?;
    let ran = runtime.block_on(async {
        let (feed, inbox) = mpsc::channel(1);
        let (outbox, results) = mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(move || read(&feed));
        let (ran, ()) = tokio::join!(transformer.run(what, inbox, outbox), write(results));
        drop(reading);
        ran
    });
    // The thread that reads may wait for a terminal for ever.
    runtime.shutdown_background();
    Ok(ran?)
}

/// Feeds standard input until it ends or nobody wants more.
fn read(feed: &mpsc::Sender<Batch>) {
    let mut lines = std::io::stdin().lock();
    let (mut data, mut count) = (Vec::new(), 0_u32);
    loop {
        let before = data.len();
        let at_end = !matches!(lines.read_until(b'\n', &mut data), Ok(1..));
        if data.len() > before {
            count += 1;
        }
        if data.last().is_some_and(|last| *last != b'\n') {
            data.push(b'\n');
        }
        let full = at_end || count >= BATCH_ROWS || data.len() >= BATCH_BYTES;
        if full && count > 0 {
            let batch = Batch { count, data: Bytes::from(std::mem::take(&mut data)) };
            count = 0;
            if feed.blocking_send(batch).is_err() {
                return;
            }
        }
        if at_end {
            return;
        }
    }
}

async fn write(mut results: mpsc::Receiver<Transformed>) {
    while let Some(out) = results.recv().await {
        if let Transformed::Batch(batch) = out
            && std::io::stdout().write_all(&batch.data).is_err()
        {
            return; // nobody reads any more
        }
    }
}

fn tell(ended: &Ended) -> ExitCode {
    let (part, at) = match ended {
        Ended::Fault(TransformFault::Invalid { part, at, .. }) => (Some(*part), Some(at)),
        Ended::Fault(TransformFault::Record { part, at, .. }) => (Some(*part), at.as_ref()),
        Ended::Fault(_) | Ended::Input(_) | Ended::Unreadable(_) | Ended::System(_) | Ended::Host(_) => (None, None),
    };
    let told = Told { code: ended.code(), message: ended.to_string(), part, at };
    eprintln!("{}", serde_json::to_string(&told).unwrap_or_else(|_| ended.to_string()));
    Exit::Data.into()
}
