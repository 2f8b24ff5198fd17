//! What documents for users say of tests: that they are there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const FIELDS: &str = include_str!("../../../docs/guides/connection-fields.md");
/// What refers to the row above, and rows that need no test.
const REFERENCES: [&str; 4] = ["", "the same", "as above", "the table's test above"];

#[test]
fn every_test_that_the_table_of_connection_fields_names_exists() {
    let tests = tests_of_the_workspace();
    let mut named = 0;
    for row in FIELDS.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| field ")) {
        let Some(cell) = row.trim_end_matches('|').rsplit('|').next().map(str::trim) else { continue };
        if REFERENCES.contains(&cell) {
            continue;
        }
        let name = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        let name = name.unwrap_or_else(|| panic!("a row names no test but {cell:?}: {row}"));
        assert!(tests.contains(name), "there is no test {name}: {row}");
        named += 1;
    }
    assert!(named > 20, "the table was not read: {named} rows name a test");
}

/// The names of all functions in the sources: whether one is a test the compiler knows, and an unused one fails there.
fn tests_of_the_workspace() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = BTreeSet::new();
    for package in ["agent", "controller", "cli", "domain", "proto", "tests", "trust", "plugins"] {
        for file in sources(&root.join(package)) {
            let text = fs::read_to_string(&file).unwrap();
            let after_fn = text.split("fn ").skip(1);
            let name =
                |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().map(str::to_owned);
            names.extend(after_fn.filter_map(name));
        }
    }
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}
