//! Test cases as files: `tests/*.yaml`, and beside each its recording, `tests/NAME.http.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::RECORDED;
use super::plan::Line;
use crate::codes;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;
use crate::project::yaml;

/// Largest case or recording.
const MAX_FILE: u64 = 8 << 20;
/// More cases than a person keeps in one folder.
const MAX_CASES: usize = 200;

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) recording: PathBuf,
    pub(crate) content: Content,
    /// Nothing if nothing is recorded yet.
    pub(crate) lines: Option<Vec<Line>>,
}

/// What stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// Of an activity, or `test` for the connector's own test of a connection.
    pub(crate) activity: String,
    #[serde(default)]
    pub(crate) connection: Connection,
    #[serde(default)]
    pub(crate) with: Map<String, Value>,
    /// Records for a target.
    pub(crate) input: Option<Vec<Value>>,
    /// Where an earlier attempt stopped.
    pub(crate) cursor: Option<Value>,
    #[serde(default)]
    pub(crate) expect: Expect,
    /// Texts of the recording that no log, record or error may contain, such as a session's token.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// Probes that make no sense here.
    #[serde(default)]
    pub(crate) skip: Vec<Skip>,
}

/// A probe that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Skip {
    /// Pages that repeat or never end.
    Paging,
    /// Refusals and answers that are nonsense.
    Errors,
    /// A request to stop.
    Cancel,
}

/// What the connector is told of its connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    #[serde(default = "recorded")]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) options: Map<String, Value>,
}

impl Default for Connection {
    fn default() -> Self {
        Self { url: recorded(), options: Map::new() }
    }
}

fn recorded() -> String {
    RECORDED.to_owned()
}

/// What must come out. What is not named may be anything, but an error must be named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) records: Option<Vec<Value>>,
    /// How many records.
    pub(crate) count: Option<usize>,
    pub(crate) output: Option<Value>,
    pub(crate) error: Option<Wanted>,
    pub(crate) rejected: Option<Vec<Refused>>,
    pub(crate) acked: Option<u64>,
}

/// An error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
}

/// A record that is rejected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) row: u64,
    pub(crate) code: Option<String>,
}

impl Case {
    /// Whether it is the connector's own test of a connection.
    pub(crate) fn is_test(&self) -> bool {
        self.content.activity == "test"
    }

    /// Whether it may be used to see what else happens.
    pub(super) fn probes(&self, probe: Skip) -> bool {
        self.content.expect.error.is_none() && !self.content.skip.contains(&probe)
    }
}

/// All cases of a folder, in the order of their names.
pub(crate) fn all(folder: &Path) -> Outcome<Vec<Case>> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    if files.is_empty() || files.len() > MAX_CASES {
        let message = format!("there are {} test cases here, NAME.yaml; 1 to {MAX_CASES} are read", files.len());
        return Err(invalid(folder, &message));
    }
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Outcome<Case> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = small(file)?;
    let node = yaml::parse(&text).map_err(|fault| {
        invalid(file, &format!("line {}, column {}: {}", fault.at.line, fault.at.column, fault.message))
    })?;
    let content: Content = serde_json::from_value(node.to_json()).map_err(|error| invalid(file, &error.to_string()))?;
    let recording = file.with_file_name(format!("{name}.http.json"));
    let lines = if recording.is_file() {
        let text = small(&recording)?;
        Some(serde_json::from_str(&text).map_err(|error| invalid(&recording, &error.to_string()))?)
    } else {
        None
    };
    Ok(Case { name, file: file.to_owned(), recording, content, lines })
}

fn small(path: &Path) -> Outcome<String> {
    let length = fs::metadata(path).map_err(|error| unreadable(path, error))?.len();
    if length > MAX_FILE {
        return Err(unreadable(path, format!("it has more than {MAX_FILE} bytes")));
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn invalid(path: &Path, why: &str) -> CliError {
    CliError::new(Exit::Invalid, codes::CONNECTOR_TEST_CASE, format!("this is not a test case: {why}"))
        .at(path.display().to_string())
}
