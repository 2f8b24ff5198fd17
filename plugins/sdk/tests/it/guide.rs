//! The guide shows the whole example, and nothing but it.

use std::fs;
use std::path::Path;

#[test]
fn the_code_of_the_guide_is_the_code_of_the_example() {
    let guide = read("docs/guides/write-a-connector.md");
    let example = read("plugins/examples/contacts/src/lib.rs");
    let tests = read("plugins/examples/contacts/src/tests.rs");
    let shown: Vec<_> = blocks(&guide, "rust").collect();
    let (test, code) = shown.split_last().unwrap();
    assert_eq!(code.concat().lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), {
        example.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>()
    });
    assert!(tests.starts_with(test.trim_end()), "the guide's test is another one");
    assert!(example.lines().count() < 150, "an example is read in one go");
}

#[test]
fn the_manifest_of_the_guide_is_the_one_that_a_new_connector_gets() {
    let guide = read("docs/guides/write-a-connector.md");
    let manifest = read("cli/templates/rust/Cargo.toml.in");
    let manifest = manifest.replace("{{name}}", "acme-crm").replace("{{sdk}}", "../wherry/plugins/sdk");
    assert_eq!(blocks(&guide, "toml").next().unwrap(), manifest);
}

fn blocks<'a>(page: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("```{language}\n");
    let parts: Vec<_> = page.split(&opening).skip(1).filter_map(|rest| rest.split_once("```")).collect();
    parts.into_iter().map(|(block, _)| block)
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}
