//! Where output goes: data to stdout as a table or JSON, everything else to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::error::CliError;
use crate::table::{self, Column, Medium};

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; in a pipe, tab-separated.
    Table,
    /// The controller's JSON; errors as problem+json on stderr.
    Json,
}

/// Both streams of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    format: Format,
    medium: Medium,
    errors_on_terminal: bool,
}

impl Screen {
    pub(crate) fn new(format: Format) -> Self {
        let medium = match width(&io::stdout()) {
            Some(width) => Medium::Terminal { width, now: jiff::Timestamp::now() },
            None => Medium::Pipe,
        };
        let errors_on_terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { format, medium, errors_on_terminal }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress may be drawn.
    pub(crate) fn is_live(&self) -> bool {
        self.errors_on_terminal
    }

    /// Whether nobody reads stdout any more, so that endless output may end.
    pub(crate) fn is_closed(&self) -> bool {
        CLOSED.load(Ordering::Relaxed)
    }

    /// Several things.
    pub(crate) fn list(&self, columns: &[Column], body: &Value) {
        match self.format {
            Format::Json => self.json(body),
            Format::Table => {
                let items = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                out(&table::rows(columns, items, self.medium));
                if body.get("next_cursor").is_some_and(Value::is_string) {
                    self.note(&format!("{} shown, there are more: use --limit", items.len()));
                }
            }
        }
    }

    /// One thing.
    pub(crate) fn show(&self, columns: &[Column], item: &Value) {
        match self.format {
            Format::Json => self.json(item),
            Format::Table => out(&table::fields(columns, item, self.medium)),
        }
    }

    /// The result of an action: a sentence for people, the thing itself for programs.
    pub(crate) fn done(&self, sentence: &str, item: &Value) {
        match self.format {
            Format::Json => self.json(item),
            Format::Table => out(&format!("{sentence}\n")),
        }
    }

    /// Text for stdout as it is.
    pub(crate) fn raw(&self, text: &str) {
        out(text);
    }

    pub(crate) fn json(&self, value: &Value) {
        out(&format!("{value:#}\n"));
    }

    /// A remark on stderr.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A spinner for work of unknown length; invisible unless a person watches.
    pub(crate) fn spinner(&self, text: String) -> ProgressBar {
        if !self.is_live() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(text);
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        bar
    }

    /// The last thing a failed command writes.
    pub(crate) fn error(&self, error: &CliError) {
        let shown = match self.format {
            Format::Json => format!("{:#}\n", error.to_problem()),
            Format::Table => error.shown(),
        };
        let _ = io::stderr().write_all(shown.as_bytes());
    }
}

/// Set when the reader of stdout, such as `head`, went away.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes to stdout. Not by `print!`, which panics when the reader went away.
fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

fn width(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<u16> {
    if !stream.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
    Some(if columns == 0 { 80 } else { columns })
}
