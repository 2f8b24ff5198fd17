//! What the demo does when things go wrong; the demo itself is tested with the whole system.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn a_demo_whose_controller_dies_says_why_and_keeps_the_logs() {
    let folder = stage("#!/bin/sh\necho 'the disk is full' >&2\nexit 74\n");
    let output = demo(folder.path()).args(["--json", "--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["status"], &result["code"]), (&"failed".into(), &"demo.process_ended".into()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the disk is full") && stderr.contains("exit status: 74"), "{stderr}");
    assert!(folder.path().join("demo/logs/controller.log").exists());
}

#[test]
fn a_demo_that_is_stopped_leaves_no_process_behind() {
    let folder = stage("#!/bin/sh\necho $$ > \"$(dirname \"$0\")/pid\"\ntrap '' TERM\nwhile :; do sleep 1; done\n");
    let pipe = folder.path().join("pid");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut running = demo(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Opening the pipe waits for the process at its other end.
    let mut pid = String::new();
    fs::File::open(&pipe).unwrap().read_to_string(&mut pid).unwrap();
    assert!(signal("-0", pid.trim()));
    assert!(signal("-TERM", &running.id().to_string()));
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(!signal("-0", pid.trim()));
}

#[test]
fn a_demo_without_its_programs_names_what_is_missing() {
    let folder = stage("");
    fs::remove_file(folder.path().join("wherry-agent")).unwrap();
    let output = demo(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("demo.program_missing") && stderr.contains("wherry-agent"), "{stderr}");
}

/// A folder with stand-ins for everything that a demo starts; the controller is the given script.
fn stage(controller: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("wherry-controller", controller),
        ("wherry-agent", "#!/bin/sh\nexit 1\n"),
        ("wherry-sandbox", "#!/bin/sh\nexit 1\n"),
        ("wherry_connector_jira_service_management.wasm", ""),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
    command.arg("demo").arg("--dir").arg(folder.join("demo"));
    command.env("WHERRY_BIN_DIR", folder).env("WHERRY_CONNECTORS", folder);
    command
}

fn signal(which: &str, pid: &str) -> bool {
    Command::new("kill").args([which, pid]).stderr(Stdio::null()).status().unwrap().success()
}
