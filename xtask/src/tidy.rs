//! `cargo xtask tidy`: the rules of the house that neither compiler nor clippy checks.

mod codes;
mod edges;
mod leaks;
mod names;
mod size;
mod source;
mod tree;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use crate::layout::Layout;
use tree::Tree;

/// Something that breaks a rule, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    severity: Severity,
    path: String,
    line: usize,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Advice,
    Fault,
}

impl Finding {
    fn fault(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { severity: Severity::Fault, path: path.to_owned(), line, text: text.into() }
    }

    fn advice(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { severity: Severity::Advice, ..Self::fault(path, line, text) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Advice => "advice",
            Severity::Fault => "fault",
        };
        write!(f, "{word}: {}:{}: {}", self.path, self.line, self.text)
    }
}

/// Prints all findings; fails on a fault, not on advice.
pub(crate) fn run(layout: &Layout) -> Result<ExitCode> {
    Ok(if passes(layout)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints all findings and tells whether none is a fault.
pub(crate) fn passes(layout: &Layout) -> Result<bool> {
    let tree = Tree::read(layout.root())?;
    let mut findings = Vec::new();
    findings.extend(edges::check(&tree));
    findings.extend(size::check(&tree));
    findings.extend(codes::check(&tree));
    findings.extend(leaks::check(&tree));
    findings.extend(names::check(&tree));
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    eprintln!("tidy: {} files, {faults} faults, {} pieces of advice", tree.len(), findings.len() - faults);
    Ok(faults == 0)
}
