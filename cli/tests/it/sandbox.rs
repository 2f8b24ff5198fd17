//! `wherry sandbox start`: what it prints, and that it leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const GREETING: &str = r#"{"url":"http://127.0.0.1:7171","port":7171,"jsm":{"flavour":"data-center","user":"ada","token":"t0","customer":{"user":"amina","token":"t1"},"cloud_id":null},"desk":{"username":"wherry","password":"p"},"tracker":{"token":"t2"}}"#;

#[test]
fn without_its_program_the_command_says_which_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let output = sandbox(folder.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("client.program_missing") && stderr.contains("wherry-sandbox"), "{stderr}");
    assert!(stderr.contains(&folder.path().display().to_string()), "{stderr}");
}

#[test]
fn it_prints_address_credentials_and_a_next_step_and_ends_its_program() {
    let folder = tempfile::tempdir().unwrap();
    program(
        folder.path(),
        &format!(
            "echo $$ > \"$(dirname \"$0\")/pid\"\necho \"$@\" > \"$(dirname \"$0\")/args\"\necho '{GREETING}'\nexec sleep 60\n"
        ),
    );
    let arguments = ["--port", "7171", "--flavour", "data-center", "--requests", "9"];
    let mut running = sandbox(folder.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<_> = lines.take_while(|line| !line.contains("/_sandbox/ledger")).collect();
    let shown = shown.join("\n");
    for part in ["http://127.0.0.1:7171", "ada", "t0", "curl -u 'ada:t0'", "rest/api/2/search?"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let args = fs::read_to_string(folder.path().join("args")).unwrap();
    assert_eq!(args.trim(), "--listen 127.0.0.1:7171 --flavour data-center --requests 9");
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(signal("-TERM", &running.id().to_string()));
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert!(!signal("-0", pid.trim()));
}

#[test]
fn programs_get_one_object_of_json() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), &format!("echo '{GREETING}'\nexec sleep 60\n"));
    let mut running =
        sandbox(folder.path(), &["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = serde_json::Deserializer::from_reader(running.stdout.take().unwrap()).into_iter::<Value>();
    let shown = stdout.next().unwrap().unwrap();
    assert_eq!(
        (&shown["user"], &shown["token"], &shown["flavour"]),
        (&"ada".into(), &"t0".into(), &"data-center".into())
    );
    assert!(signal("-INT", &running.id().to_string()));
    assert_eq!(running.wait().unwrap().code(), Some(0));
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), "echo 'wherry-sandbox: cannot listen' >&2\nexit 3\n");
    let mut running = sandbox(folder.path(), &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = String::new();
    running.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1));
    for part in ["cannot listen", "exit status: 3", "client.program_ended", "--port"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

fn program(folder: &Path, text: &str) {
    let path = folder.join("wherry-sandbox");
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn sandbox(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
    command.args(["sandbox", "start"]).args(arguments).env("WHERRY_BIN_DIR", folder).stdin(Stdio::null());
    command
}

fn signal(which: &str, pid: &str) -> bool {
    Command::new("kill").args([which, pid]).stderr(Stdio::null()).status().unwrap().success()
}
