//! Faults of a project: where, what, and what to do. All of them are reported at once.

use std::path::PathBuf;

use serde::Serialize;
use wherry_domain::failure::Code;

use super::yaml::Place;

/// The file is not YAML, or beyond its budgets.
pub(crate) const YAML_INVALID: Code = Code::new("project.yaml_invalid");
/// A key that does not belong there.
pub(crate) const KEY_UNKNOWN: Code = Code::new("project.key_unknown");
/// A key that must be there.
pub(crate) const KEY_MISSING: Code = Code::new("project.key_missing");
/// A value of the wrong kind.
pub(crate) const VALUE_INVALID: Code = Code::new("project.value_invalid");
/// Not a name.
pub(crate) const NAME_INVALID: Code = Code::new("project.name_invalid");
/// Designed, but not part of this version.
pub(crate) const NOT_SUPPORTED: Code = Code::new("project.not_supported");
/// A file that must be there.
pub(crate) const FILE_MISSING: Code = Code::new("project.file_missing");
/// A file that nothing would read.
pub(crate) const FILE_UNKNOWN: Code = Code::new("project.file_unknown");
/// A file that cannot be read.
pub(crate) const FILE_UNREADABLE: Code = Code::new("project.file_unreadable");
/// Too large or too many.
pub(crate) const TOO_LARGE: Code = Code::new("project.too_large");

/// One fault of a project on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Fault {
    /// The file, as the person named its folder.
    pub(crate) file: PathBuf,
    /// Counted from 1.
    pub(crate) line: u64,
    /// Counted from 1, in characters.
    pub(crate) column: u64,
    pub(crate) code: Code,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    pub(crate) fn new(file: impl Into<PathBuf>, at: Place, code: Code, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: at.line, column: at.column, code, message: message.into(), suggestion: None }
    }

    /// The same fault with a name that was perhaps meant.
    #[must_use]
    pub(crate) fn meant(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }

    /// The fault as lines for a person; `text` is the content of its file.
    pub(crate) fn shown(&self, text: Option<&str>) -> String {
        let mut out = format!("{}:{}:{}: {}\n", self.file.display(), self.line, self.column, self.message);
        if let Some(source) = text.and_then(|text| self.source_line(text)) {
            out += &source;
        }
        out += &format!("      code  {}\n", self.code);
        if let Some(suggestion) = &self.suggestion {
            out += &format!("      fix   did you mean {suggestion:?}?\n");
        }
        out
    }

    fn source_line(&self, text: &str) -> Option<String> {
        let index = usize::try_from(self.line).ok()?.checked_sub(1)?;
        let line = text.lines().nth(index).filter(|line| !line.trim().is_empty() && line.chars().count() <= 160)?;
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = usize::try_from(self.column).ok()?.saturating_sub(1);
        Some(format!("{:>5} | {line}\n      | {}^\n", self.line, " ".repeat(before.min(160))))
    }
}
