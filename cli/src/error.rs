//! What went wrong, where, and what to do about it: one shape for every error a person or script sees.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use wherry_domain::failure::Code;

use crate::exit::Exit;
use crate::text::plain;
use crate::{codes, pages};

/// An error of a command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) code: Code,
    pub(crate) message: String,
    /// A file, an address, a process.
    pub(crate) place: Option<Box<str>>,
    /// What to do, if the message does not say it.
    pub(crate) fix: Option<Box<str>>,
    /// The controller's own words, or the faults of a project.
    pub(crate) problem: Option<Box<Value>>,
    /// Longer text for a person: the faults of a project, the end of a log.
    pub(crate) details: Box<str>,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, CliError>;

impl CliError {
    pub(crate) fn new(exit: Exit, code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit, code, message, place: None, fix: None, problem: None, details: Box::default() }
    }

    #[must_use]
    pub(crate) fn at(mut self, place: impl Into<Box<str>>) -> Self {
        self.place = Some(place.into());
        self
    }

    #[must_use]
    pub(crate) fn fix(mut self, fix: impl Into<Box<str>>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// A refusal by the controller, from its `application/problem+json`.
    pub(crate) fn refused(status: u16, problem: Value) -> Self {
        let text = |key: &str| problem.get(key).and_then(Value::as_str).map(str::to_owned);
        let code = text("code").unwrap_or_default();
        let message = text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("status {status}"));
        let exit = Exit::of_refusal(status, &code, text("run").is_some());
        let mut error = Self::new(exit, Code::received(&code), message);
        if status == 401 {
            error.fix = Some("sign in: wherry login URL --token-file FILE".into());
        }
        error.details = listed(&problem).into();
        error.problem = Some(Box::new(problem));
        error
    }

    /// The error as lines for a person.
    pub(crate) fn shown(&self) -> String {
        let mut out = self.details.to_string();
        let _ = writeln!(out, "error: {}", plain(&self.message));
        let _ = writeln!(out, "  code   {}", self.code);
        if let Some(place) = &self.place {
            let _ = writeln!(out, "  where  {}", plain(place));
        }
        if let Some(fix) = &self.fix {
            let _ = writeln!(out, "  fix    {fix}");
        }
        if let Some(request) = self.problem.as_ref().and_then(|problem| problem.get("request_id")?.as_str()) {
            let _ = writeln!(out, "  request {}", plain(request));
        }
        if let Some(page) = pages::page(&self.code) {
            let _ = writeln!(out, "  see    {page}");
        }
        out
    }

    /// The error as `application/problem+json`: the controller's own words where there are any.
    pub(crate) fn to_problem(&self) -> Value {
        let mut problem = json!({"title": self.message, "code": self.code});
        if let (Some(own), Some(fields)) = (self.problem.as_deref().and_then(Value::as_object), problem.as_object_mut())
        {
            fields.extend(own.clone());
        }
        let extra = [("where", &self.place), ("fix", &self.fix)];
        for (key, value) in extra {
            if let (Some(value), Some(fields)) = (value, problem.as_object_mut()) {
                fields.insert(key.to_owned(), value.to_string().into());
            }
        }
        problem
    }
}

/// The faults inside a problem, one line each.
fn listed(problem: &Value) -> String {
    let mut out = String::new();
    for fault in problem.get("errors").and_then(Value::as_array).into_iter().flatten().take(1_000) {
        let text = |key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default();
        let path: Vec<_> =
            fault.get("path").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = writeln!(out, "{}: {} [{}]", plain(&path.join(".")), plain(text("message")), plain(text("code")));
    }
    out
}

/// A file that cannot be read.
pub(crate) fn unreadable(path: &Path, why: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Invalid, codes::FILE_UNREADABLE, format!("this file cannot be read: {why}"))
        .at(path.display().to_string())
}

/// A file that cannot be written.
pub(crate) fn unwritable(path: &Path, why: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Failed, codes::FILE_UNWRITABLE, format!("this file cannot be written: {why}"))
        .at(path.display().to_string())
}
