//! Key files and packages, offline.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

#[test]
fn a_new_key_is_private_is_never_overwritten_and_shows_its_public_half() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("publisher.key");
    let file = file.to_str().unwrap();
    let made = wherry(&["key", "new", file]);
    assert_eq!(made.status.code(), Some(0));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = wherry(&["key", "show", file]);
    assert_eq!(made.stdout, shown.stdout);
    assert!(String::from_utf8(shown.stdout).unwrap().contains("ed25519:"));
    assert_eq!(wherry(&["key", "new", file]).status.code(), Some(5));
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(wherry(&["key", "show", file]).status.code(), Some(4));
}

#[test]
fn completions_and_wrong_usage_speak_to_the_shell() {
    assert!(String::from_utf8(wherry(&["completions", "bash"]).stdout).unwrap().contains("_wherry"));
    let wrong = wherry(&["agnt", "list"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("agent"));
}

#[test]
fn the_keys_of_publishers_are_the_same_by_either_name_and_the_public_half_can_be_had_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("publisher.key");
    let file = file.to_str().unwrap();
    let made = wherry(&["connector", "key", "new", file]);
    assert_eq!(made.status.code(), Some(0));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    for shown in [wherry(&["connector", "key", "show", file]), wherry(&["key", "show", file])] {
        assert_eq!(made.stdout, shown.stdout);
    }
    let public = String::from_utf8(wherry(&["connector", "key", "show", file, "--public"]).stdout).unwrap();
    assert!(public.starts_with("ed25519:") && public.lines().count() == 1, "{public}");
    assert!(String::from_utf8(made.stdout).unwrap().contains(public.trim()));
    assert_eq!(wherry(&["connector", "key", "new", file]).status.code(), Some(5));
}

fn wherry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wherry")).args(arguments).output().unwrap()
}
