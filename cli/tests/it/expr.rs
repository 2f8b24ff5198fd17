//! Trying a program: what is said of a faulty one, and what goes to the box and back.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

#[test]
fn a_faulty_program_is_shown_with_a_mark_and_goes_nowhere() {
    let output = eval(Path::new("/nowhere"), &[".a\n| mapp(.b)"], "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "    2 | | mapp(.b)\n      |   ^\n\
         error: there is no filter mapp with 1 arguments\n  \
         code   transform.invalid\n  \
         where  line 2, column 3\n  \
         fix    did you mean \"map\"?\n  \
         see    docs/errors/transform.invalid.md\n"
    );
    let output = eval(Path::new("/nowhere"), &["env", "--output", "json"], "");
    let problem: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&problem["code"], &problem["at"]), (&json!("transform.invalid"), &json!({"line": 1, "column": 1})));
}

#[test]
fn the_box_gets_program_variables_and_one_record_per_line() {
    let folder = agent("cat");
    let program = ".a + $vars.step";
    let output = eval(folder.path(), &[program, "--var", "step=5"], "{\n \"a\": 1.10 }\n[2]\n");
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, records) = text.split_once('\n').unwrap();
    let setup: Value = serde_json::from_str(first).unwrap();
    assert_eq!((&setup["transformation"], &setup["condition"]), (&json!(program), &json!(null)));
    let variables: Value = serde_json::from_str(setup["variables"].as_str().unwrap()).unwrap();
    assert_eq!(variables["vars"], json!({"step": 5}));
    assert_eq!(records, "{  \"a\": 1.10 }\n[2]\n");
    let output = eval(folder.path(), &[program, "--when"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"transformation\":null") && text.ends_with("\nnull\n"), "{text}");
}

#[test]
fn a_program_may_stand_in_a_file() {
    let folder = agent("cat");
    let file = folder.path().join("program.jq");
    fs::write(&file, ".from_file").unwrap();
    let output = eval(folder.path(), &["--file", file.to_str().unwrap()], "1");
    assert!(String::from_utf8(output.stdout).unwrap().contains(".from_file"));
    assert_eq!(eval(folder.path(), &["--file", "/nowhere/x"], "").status.code(), Some(2));
    assert_eq!(eval(folder.path(), &[".", "--file", "x"], "").status.code(), Some(2));
    assert_eq!(eval(folder.path(), &[], "").status.code(), Some(2));
}

#[test]
fn what_the_box_says_of_its_end_is_told() {
    let told = r#"{"code":"transform.failed","message":"transform: record 1: x","at":{"line":1,"column":2}}"#;
    let folder = agent(&format!("echo '{told}' >&2; exit 65"));
    let output = eval(folder.path(), &[".a"], "1");
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(shown.starts_with("    1 | .a\n      |  ^\nerror: transform: record 1: x\n"), "{shown}");
}

#[test]
fn without_an_agent_and_with_records_that_are_not_json_it_says_so() {
    let output = eval(Path::new("/nowhere"), &["."], "1");
    assert!(String::from_utf8(output.stderr).unwrap().contains("client.program_missing"));
    let output = eval(Path::new("/nowhere"), &["."], "{");
    assert!(String::from_utf8(output.stderr).unwrap().contains("transform.input_invalid"));
    assert_eq!(output.status.code(), Some(2));
}

/// A folder with a stand-in for the agent.
fn agent(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wherry-agent");
    fs::write(&path, format!("#!/bin/sh\n[ \"$*\" = \"harness expr\" ] || exit 99\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn eval(programs: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wherry"))
        .args(["expr", "eval"])
        .args(arguments)
        .env("WHERRY_BIN_DIR", programs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}
