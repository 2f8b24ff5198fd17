//! The systemd units, judged by systemd's own tools where they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

const UNITS: [&str; 2] = ["wherry-controller.service", "wherry-agent.service"];
/// Exposure in tenths, on systemd's scale from 0 (shut in) to 100 (exposed).
const MOST_EXPOSED: &str = "--threshold=20";

#[test]
fn systemd_finds_no_fault_in_the_units() {
    each_unit(&["verify"], |name, said| {
        // A misspelt key is only a warning to systemd.
        assert!(!said.contains(name), "{said}");
    });
}

#[test]
fn the_units_are_shut_in() {
    each_unit(&["security", "--offline=true", MOST_EXPOSED], |_, _| ());
}

#[test]
fn only_the_agent_may_make_code_executable() {
    assert!(unit("wherry-controller.service").lines().any(|line| line == "MemoryDenyWriteExecute=yes"));
    assert!(!unit("wherry-agent.service").lines().any(|line| line.starts_with("MemoryDenyWriteExecute=")));
}

#[test]
fn an_agent_is_never_stopped_for_being_offline() {
    // It tells systemd that it is ready only once it is connected.
    assert!(unit("wherry-agent.service").lines().any(|line| line == "TimeoutStartSec=infinity"));
}

#[test]
fn each_unit_has_its_user() {
    let users = std::fs::read_to_string(file("sysusers.conf")).unwrap();
    for name in UNITS {
        let user = unit(name).lines().find_map(|line| line.strip_prefix("User=").map(str::to_owned)).unwrap();
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{user}");
    }
}

/// Runs `systemd-analyze` on each unit and shows what it said; tells where it is missing.
fn each_unit(arguments: &[&str], judge: impl Fn(&str, &str)) {
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let path = folder.path().join(name);
        std::fs::write(&path, with_a_program_that_exists(&unit(name))).unwrap();
        let Ok(output) = Command::new("systemd-analyze").args(arguments).arg(&path).output() else {
            return eprintln!("skipped: systemd-analyze is not installed");
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        judge(name, &said);
    }
}

/// systemd looks for the program; on this machine it need not be installed.
fn with_a_program_that_exists(unit: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let line = |line: &str| match line.strip_prefix("ExecStart=").and_then(|command| command.split_once(' ')) {
        Some((_, arguments)) => format!("ExecStart={} {arguments}\n", program.display()),
        None => format!("{line}\n"),
    };
    unit.lines().map(line).collect()
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
