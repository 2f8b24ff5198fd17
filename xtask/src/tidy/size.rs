//! Sizes and openings: files and functions a reader can hold in mind, and a first line that says why a file is there.

use super::Finding;
use super::tree::{File, Tree};

/// Lines of a file before its tests.
const FILE_LIMIT: usize = 400;
/// Lines of a `main.rs`, which is a table of contents.
const MAIN_LIMIT: usize = 150;
/// Lines of a function.
const FUNCTION_LIMIT: usize = 60;
/// Lines of a function beyond which it deserves a second look.
const FUNCTION_ADVICE: usize = 40;

/// Checks every file in Rust.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.text.trim_start().starts_with("//!") {
        findings.push(Finding::fault(
            &file.path,
            1,
            "the file does not open with a `//!` line that says what it is for",
        ));
    }
    let source = file.source();
    let limit = if file.name() == "main.rs" && !file.is_test() { MAIN_LIMIT } else { FILE_LIMIT };
    if source.lines() > limit {
        let text = format!("{} lines before the tests, at most {limit}: split it by reason to change", source.lines());
        findings.push(Finding::fault(&file.path, limit, text));
    }
    if file.is_test() {
        return findings;
    }
    for function in source.functions() {
        let text = format!("function {} has {} lines", function.name, function.lines);
        if function.lines > FUNCTION_LIMIT {
            let text = format!("{text}, at most {FUNCTION_LIMIT}");
            findings.push(Finding::fault(&file.path, function.line, text));
        } else if function.lines > FUNCTION_ADVICE {
            findings.push(Finding::advice(&file.path, function.line, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Severity;

    #[test]
    fn a_file_without_a_purpose_is_a_fault() {
        assert_eq!(severities("a/src/lib.rs", "//! Purpose.\n"), []);
        assert_eq!(severities("a/src/lib.rs", "// Purpose.\n"), [Severity::Fault]);
        assert_eq!(severities("a/tests/it/main.rs", "fn a() {}\n"), [Severity::Fault]);
    }

    #[test]
    fn long_files_are_faults_and_their_tests_do_not_count() {
        let lines = |count: usize| "//! Purpose.\n".to_owned() + &"const A: u8 = 0;\n".repeat(count - 1);
        assert_eq!(severities("a/src/lib.rs", &lines(400)), []);
        assert_eq!(severities("a/src/lib.rs", &lines(401)), [Severity::Fault]);
        let with_tests = lines(400) + "#[cfg(test)]\nmod tests {\n" + &"\n".repeat(300) + "}\n";
        assert_eq!(severities("a/src/lib.rs", &with_tests), []);
        assert_eq!(severities("a/src/main.rs", &lines(151)), [Severity::Fault]);
        assert_eq!(severities("a/tests/it/main.rs", &lines(151)), []);
    }

    #[test]
    fn long_functions_are_advice_and_then_faults_outside_of_tests() {
        let function = |lines: usize| format!("//! Purpose.\nfn long() {{\n{}}}\n", "x();\n".repeat(lines - 2));
        assert_eq!(severities("a/src/lib.rs", &function(40)), []);
        assert_eq!(severities("a/src/lib.rs", &function(41)), [Severity::Advice]);
        assert_eq!(severities("a/src/lib.rs", &function(60)), [Severity::Advice]);
        assert_eq!(severities("a/src/lib.rs", &function(61)), [Severity::Fault]);
        assert_eq!(severities("a/tests/it/x.rs", &function(61)), []);
    }

    fn severities(path: &str, text: &str) -> Vec<Severity> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.severity).collect()
    }
}
