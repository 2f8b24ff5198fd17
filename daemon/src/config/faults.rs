//! Everything that is wrong with a configuration, in one answer.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::tree::Origin;

/// Most faults collected; more would scroll the first ones away.
const MAX_FAULTS: usize = 64;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, such as `session.port`; empty for the whole configuration.
    pub path: String,
    /// What is wrong and what would be right; never the value.
    pub message: String,
    /// Where the value came from, if that is known.
    pub(super) origin: Option<Origin>,
}

/// At least one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults {
    faults: Vec<ConfigFault>,
    file: Option<PathBuf>,
}

impl ConfigFaults {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> &'static str {
        "config.invalid"
    }

    /// The faults, in the order they were found.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// Names the file in the text.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    pub(super) fn one(path: &str, message: &str, origin: Origin) -> Self {
        let fault = ConfigFault { path: path.to_owned(), message: message.to_owned(), origin: Some(origin) };
        Self { faults: vec![fault], file: None }
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => f.write_str("the configuration has a fault")?,
            count => write!(f, "the configuration has {count} faults")?,
        }
        for fault in &self.faults {
            f.write_str("\n  ")?;
            if !fault.path.is_empty() {
                write!(f, "{}: ", fault.path)?;
            }
            f.write_str(&fault.message)?;
            match (fault.origin, &self.file) {
                (Some(Origin::File), Some(file)) => write!(f, " (in {})", file.display())?,
                (Some(origin), _) => write!(f, " (in {origin})")?,
                (None, _) => {}
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// Collects faults that only the meaning of values shows, such as two ports that are the same.
#[derive(Debug, Default)]
pub struct Faults {
    faults: Vec<ConfigFault>,
}

impl Faults {
    /// No faults yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault at a key. `message` says what is wrong and what would be right, not the value.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(ConfigFault { path: path.into(), message: message.into(), origin: None });
    }

    /// The value inside, or a fault at `path` and nothing.
    pub fn check<T, E: fmt::Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(path, error.to_string())).ok()
    }

    /// Whether nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All faults as one error, if there are any.
    pub fn into_result(self) -> Result<(), ConfigFaults> {
        self.into_error().map_or(Ok(()), Err)
    }

    pub(super) fn into_error(self) -> Option<ConfigFaults> {
        (!self.faults.is_empty()).then_some(ConfigFaults { faults: self.faults, file: None })
    }

    pub(super) fn add(&mut self, fault: ConfigFault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}
