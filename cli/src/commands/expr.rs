//! `wherry expr`: tries a program. This tool only reads programs; the box that runs them belongs to `wherry-agent`.

use std::fs::File;
use std::io::{IsTerminal as _, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use wherry_domain::failure::Code;
use wherry_domain::name::Name;
use wherry_domain::project::check::Spot;
use wherry_expr::{MAX_PROGRAM, Position, Program};

use super::Context;
use super::operation::variable;
use crate::codes;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;
use crate::sibling;

/// Most bytes of records: this is for trying, not for moving data.
const MAX_RECORDS: u64 = 64 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Expressions {
    /// Runs a jq program over records, in the same box and with the same limits as on an agent.
    ///
    /// Records are JSON values one after the other; without any, the program runs once over null. Each result is
    /// printed on a line of its own.
    #[command(after_help = "\
Examples:
    wherry expr eval '{ summary: .Description }' --input incidents.json
    wherry expr eval '.a + $vars.step' --var step=5 <<< '{\"a\": 1}'
    wherry expr eval --when '.Status == \"Assigned\"' --input incidents.json")]
    Eval(Eval),
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The program.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    program: Option<String>,
    /// Reads the program from a file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Takes the program as a condition: prints the records for which it holds.
    #[arg(long)]
    when: bool,
    /// A variable, $vars.NAME in the program. Numbers, true, false, lists and maps are taken as JSON.
    #[arg(long = "var", visible_alias = "vars", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(Name, Value)>,
    /// Reads the records from a file, or from standard input for -.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// What the box says when it gives no further results.
#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
    at: Option<Spot>,
}

impl Expressions {
    pub(super) async fn run(self, _: &Context) -> Outcome {
        match self {
            Self::Eval(eval) => eval.run().await,
        }
    }
}

impl Eval {
    async fn run(self) -> Outcome {
        let program = self.text()?;
        if let Err(error) = Program::check(&program) {
            let Position { line, column } = error.at();
            let told = Told { code: error.code().into(), message: error.to_string(), at: Some(Spot { line, column }) };
            let mut refused = told.error(&program);
            refused.fix = error.suggestion().map(|name| format!("did you mean {name:?}?").into());
            return Err(refused);
        }
        let input = format!("{}\n{}", self.setup(&program), lines(&self.records()?)?);
        evaluate(&sibling::find("wherry-agent")?, input, &program).await
    }

    fn text(&self) -> Outcome<String> {
        match (&self.program, &self.file) {
            (Some(program), _) => Ok(program.clone()),
            (None, Some(file)) => read(file, MAX_PROGRAM as u64 + 1),
            (None, None) => Ok(String::new()),
        }
    }

    fn records(&self) -> Outcome<String> {
        match &self.input {
            Some(file) => read(file, MAX_RECORDS),
            None if stdin().is_terminal() => Ok("null".to_owned()),
            None => {
                read(Path::new("-"), MAX_RECORDS).map(|text| if text.trim().is_empty() { "null".into() } else { text })
            }
        }
    }

    /// As `wherry-agent harness expr` reads it.
    fn setup(&self, program: &str) -> Value {
        let vars: Map<_, _> =
            self.variables.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
        let variables = json!({ "vars": vars, "run": { "id": "run_trial" }, "agent": { "name": "trial" } });
        json!({
            "condition": self.when.then_some(program),
            "transformation": (!self.when).then_some(program),
            "variables": variables.to_string(),
        })
    }
}

impl Told {
    /// The error with the line of the program it is about.
    fn error(&self, program: &str) -> CliError {
        let mut error = CliError::new(Exit::Invalid, Code::received(&self.code), self.message.clone());
        if let Some(at) = self.at {
            error.details = pointed(program, at).into();
            error.place = Some(format!("line {}, column {}", at.line, at.column).into());
            error.problem = Some(Box::new(json!({ "at": at })));
        }
        error
    }
}

/// The line with a mark below the place.
fn pointed(program: &str, at: Spot) -> String {
    let line = usize::try_from(at.line).ok().and_then(|line| program.lines().nth(line.checked_sub(1)?));
    let line: String = line.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() > 160 {
        return String::new();
    }
    let before = usize::try_from(at.column).unwrap_or(1).saturating_sub(1).min(160);
    format!("{:>5} | {line}\n      | {}^\n", at.line, " ".repeat(before))
}

fn read(path: &Path, limit: u64) -> Outcome<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| unreadable(path, error))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) >= limit && limit == MAX_RECORDS {
        return Err(unreadable(path, format!("at most {} MiB are read", MAX_RECORDS >> 20)));
    }
    Ok(text)
}

/// The records one per line, otherwise as they were written.
fn lines(records: &str) -> Outcome<String> {
    let mut lines = String::with_capacity(records.len());
    for record in serde_json::Deserializer::from_str(records).into_iter::<Box<RawValue>>() {
        let record = record.map_err(|error| {
            let message = format!("the records are not JSON: {error}");
            CliError::new(Exit::Invalid, codes::TRANSFORM_INPUT_INVALID, message)
        })?;
        // Line ends stand between values only: inside a text they are written as \n.
        lines.extend(record.get().chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        lines.push('\n');
    }
    Ok(lines)
}

/// Results go straight to our standard output.
async fn evaluate(agent: &Path, input: String, program: &str) -> Outcome {
    let broken = |why: std::io::Error| {
        CliError::new(Exit::Failed, codes::PROGRAM_MISSING, format!("wherry-agent cannot be started: {why}"))
            .at(agent.display().to_string())
    };
    let mut command = Command::new(agent);
    command.args(["harness", "expr"]).stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(broken)?;
    let stdin = child.stdin.take();
    let feeding = async move {
        if let Some(mut stdin) = stdin {
            // A program that fails early leaves the rest unread.
            drop(stdin.write_all(input.as_bytes()).await);
        }
    };
    let ((), ended) = tokio::join!(feeding, child.wait_with_output());
    let ended = ended.map_err(broken)?;
    if ended.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&ended.stderr);
    let told = words.lines().last().and_then(|line| serde_json::from_str::<Told>(line).ok());
    Err(told.map_or_else(
        || broken(std::io::Error::other(format!("it ended with {}", ended.status))),
        |told| told.error(program),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_any_layout_become_lines_and_keep_their_numbers() {
        let text = "{\n  \"a\": 1.10,\r\n  \"b\": 12345678901234567890\n}\n[1,\n2] \"x\\ny\"";
        let expected = "{   \"a\": 1.10,    \"b\": 12345678901234567890 }\n[1, 2]\n\"x\\ny\"\n";
        assert_eq!(lines(text).unwrap(), expected);
        assert_eq!(lines("{").unwrap_err().code.as_str(), "transform.input_invalid");
    }

    #[test]
    fn a_mark_stands_below_the_place() {
        assert_eq!(pointed(".a\n| mpa(.b)", Spot { line: 2, column: 3 }), "    2 | | mpa(.b)\n      |   ^\n");
        assert_eq!(pointed("", Spot { line: 1, column: 1 }), "    1 | \n      | ^\n");
    }
}
