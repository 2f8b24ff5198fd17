//! Where output goes: data to stdout as a table or JSON, everything else to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::error::CliError;
use crate::table::{self, Column, Medium};
use crate::text::plain;

/// Most remarks that wait.
const MAX_NOTES: usize = 100;

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

    /// As [`Screen::done`], with what the controller warns of. Programs find the warnings in the answer.
    pub(crate) fn done_but(&self, sentence: &str, item: &Value) {
        self.done(sentence, item);
        if !self.is_json() {
            let warnings = item.get("warnings").and_then(Value::as_array).into_iter().flatten();
            warnings.filter_map(Value::as_str).for_each(|warning| self.note(&format!("warning: {}", plain(warning))));
        }
    }

    /// Text for stdout as it is.
    pub(crate) fn raw(&self, text: &str) {
        out(text);
    }

    pub(crate) fn json(&self, value: &Value) {
        out(&format!("{value:#}\n"));
    }

    /// A remark on stderr. With JSON, unless a person watches, remarks wait for the end of the command and are `notes` of
    /// the one document there: of the problem, if there is one.
    pub(crate) fn note(&self, text: &str) {
        if self.is_json() && !io::stderr().is_terminal() {
            let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
            if notes.len() < MAX_NOTES {
                notes.push(text.to_owned());
            }
            return;
        }
        self.appeal(text);
    }

    /// How far things are, on stderr; with JSON for a terminal only.
    pub(crate) fn progress(&self, text: &str) {
        if !self.is_json() || io::stderr().is_terminal() {
            self.appeal(text);
        }
    }

    /// What somebody has to act upon before this goes on, on stderr whatever the format.
    pub(crate) fn appeal(&self, text: &str) {
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
            Format::Json => format!("{:#}\n", with_notes(error.to_problem(), notes())),
            Format::Table => error.shown(),
        };
        let _ = io::stderr().write_all(shown.as_bytes());
    }

    /// The remarks that waited for the end of a command that went well.
    pub(crate) fn finish(&self) {
        let notes = notes();
        if !notes.is_empty() {
            self.appeal(&format!("{:#}", with_notes(Value::Object(serde_json::Map::new()), notes)));
        }
    }
}

/// Remarks that wait for the end of the command.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn notes() -> Vec<String> {
    std::mem::take(&mut *NOTES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn with_notes(mut document: Value, notes: Vec<String>) -> Value {
    if let Some(fields) = document.as_object_mut().filter(|_| !notes.is_empty()) {
        fields.insert("notes".to_owned(), notes.into());
    }
    document
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
