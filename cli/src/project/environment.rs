//! `environments/ENVIRONMENT.yaml` beside a project's folder: which connections its aliases stand for there, and values
//! of variables.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use wherry_domain::name::Name;
use wherry_domain::project::Mapping;

use super::examine::examine;
use super::fault::{FILE_UNREADABLE, Fault, TOO_LARGE, VALUE_INVALID, YAML_INVALID};
use super::shape::ENVIRONMENT;
use super::yaml::{self, Place};

/// Largest file, in bytes: more than an environment keeps of a project.
const MAX_BYTES: u64 = 64 << 10;

/// What a file says of an environment.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) file: PathBuf,
    pub(crate) mapping: Mapping,
}

/// Reads the file beside the project's folder, if there is one.
pub(super) fn read(folder: &Path, environment: &Name) -> Result<Option<Settings>, Vec<Fault>> {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let Some(beside) = whole.parent() else { return Ok(None) };
    let file = beside.join("environments").join(format!("{environment}.yaml"));
    if !file.exists() {
        return Ok(None);
    }
    let fault = |code, message: String| vec![Fault::new(&file, Place::START, code, message)];
    let text = text(&file).map_err(|error| fault(FILE_UNREADABLE, error.to_string()))?;
    let text = text.ok_or_else(|| fault(TOO_LARGE, format!("such a file has at most {MAX_BYTES} bytes")))?;
    let node = yaml::parse(&text).map_err(|syntax| vec![Fault::new(&file, syntax.at, YAML_INVALID, syntax.message)])?;
    let found = examine(&file, &node, &ENVIRONMENT);
    if !found.is_empty() {
        return Err(found);
    }
    let mapping = serde_json::from_value(node.to_json());
    let mapping = mapping.map_err(|error| vec![Fault::new(&file, node.at, VALUE_INVALID, error.to_string())])?;
    Ok(Some(Settings { file, mapping }))
}

/// The text, or nothing if it is too long.
fn text(file: &Path) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    let length = File::open(file)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    Ok((u64::try_from(length).unwrap_or(u64::MAX) <= MAX_BYTES).then_some(text))
}
