//! The connections in the guides: each one is what `wherry project check` accepts.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

#[test]
fn every_connection_in_the_guides_is_one_that_the_check_accepts() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides");
    let mut seen = 0;
    for guide in fs::read_dir(guides).unwrap() {
        let guide = guide.unwrap().path();
        let text = fs::read_to_string(&guide).unwrap();
        for (name, example) in connections(&text) {
            let faults = faults(&name, &example);
            assert_eq!(faults, [""; 0], "{}:\n{example}", guide.display());
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} examples were found");
}

/// Every block of YAML that begins with `# connections/NAME.yaml`.
fn connections(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    let named = blocks.filter_map(|block| {
        let name = block.lines().next()?.strip_prefix("# connections/")?;
        Some((name.to_owned(), block.to_owned()))
    });
    named.collect()
}

fn faults(name: &str, example: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    // Whatever variables the example uses are declared.
    let variables = example.split("vars.").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))?;
        rest.get(..end)
    });
    let variables: BTreeSet<String> = variables.map(|name| format!("  {name}: https://x\n")).collect();
    let variables: String = variables.into_iter().collect();
    let declared = if variables.is_empty() { variables } else { format!("variables:\n{variables}") };
    fs::write(folder.path().join("wherry.yaml"), format!("name: guide\n{declared}")).unwrap();
    fs::create_dir(folder.path().join("connections")).unwrap();
    fs::write(folder.path().join("connections").join(name), example).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_wherry"))
        .args(["project", "check", "--output", "json"])
        .arg(folder.path())
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Vec::new();
    }
    let told: Value = serde_json::from_str(&shown).unwrap_or_default();
    let listed = told["errors"].as_array().cloned().unwrap_or_default();
    let mut faults: Vec<String> = listed.iter().map(ToString::to_string).collect();
    if faults.is_empty() {
        faults.push(format!("{shown}{}", String::from_utf8_lossy(&output.stderr)));
    }
    faults
}
