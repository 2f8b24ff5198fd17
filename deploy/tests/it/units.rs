//! The systemd units, judged by systemd's own tools where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: [&str; 2] = ["wherry-controller.service", "wherry-agent.service"];
/// Exposure in tenths, on systemd's scale from 0 (shut in) to 100 (exposed).
const MOST_EXPOSED: &str = "--threshold=20";

#[test]
fn systemd_finds_no_fault_in_the_units() {
    each_unit(|path| systemd_analyze(&["verify".as_ref(), path.as_os_str()]));
}

#[test]
fn the_units_are_shut_in() {
    each_unit(|path| {
        systemd_analyze(&["security".as_ref(), "--offline=true".as_ref(), MOST_EXPOSED.as_ref(), path.as_os_str()])
    });
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

/// Runs the tool on each unit; says so where the tool is missing.
fn each_unit(tool: impl Fn(&Path) -> Option<Output>) {
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let path = folder.path().join(name);
        std::fs::write(&path, with_a_program_that_exists(&unit(name))).unwrap();
        let Some(output) = tool(&path) else { return eprintln!("skipped: systemd-analyze is not installed") };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
    }
}

fn systemd_analyze(arguments: &[&std::ffi::OsStr]) -> Option<Output> {
    Command::new("systemd-analyze").args(arguments).output().ok()
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
