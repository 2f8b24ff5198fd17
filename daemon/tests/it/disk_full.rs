//! A full disk: new work is refused in time, results still fit, and nothing acknowledged is lost
//! even when the disk runs over.

use std::process::{Command, Stdio};

use wherry_daemon::store::{Batch, SledStore, Space, Store, StoreOptions};

use crate::{
    crash::{History, victim_command},
    support::{open, put},
};

const SPACE: Space = Space(1);

#[test]
fn a_breached_reserve_refuses_new_work_and_keeps_room_for_results_removals_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(open(dir.path()).0.commit(put(SPACE, b"old", b"value"))).unwrap();
    // No disk has that much room, so the reserve is breached from the start.
    let options = StoreOptions { reserve_bytes: u64::MAX, ..StoreOptions::new(dir.path()) };
    let (store, _) = SledStore::open(options).unwrap();
    let error = runtime.block_on(store.commit(put(SPACE, b"new", b"work"))).unwrap_err();
    assert_eq!(error.code(), "store.full");
    assert!(error.is_retryable() && !error.is_fatal());
    assert_eq!(store.get(SPACE, b"new").unwrap(), None);
    assert_eq!(store.get(SPACE, b"old").unwrap().as_deref(), Some(b"value".as_slice()));
    runtime.block_on(store.commit(put(SPACE, b"result", b"kept").essential())).unwrap();
    let mut removal = Batch::new();
    removal.delete(SPACE, b"old".as_slice());
    runtime.block_on(store.commit(removal)).unwrap();
    assert_eq!(store.get(SPACE, b"old").unwrap(), None);
    assert_eq!(store.stats().refused_full, 1);
}

#[test]
fn a_disk_that_runs_over_stops_the_store_and_loses_nothing_acknowledged() {
    let Some(unshare) = private_mounts() else {
        println!("skipped: mounting a small disk needs root or user namespaces");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let (small, copy) = (scratch.path().join("small"), scratch.path().join("copy"));
    std::fs::create_dir(&small).unwrap();
    // The small disk goes with the namespace, so what it holds is copied out after the end.
    let script = r#"mount -t tmpfs -o size=40m wherry "$1" || exit 99; small=$1; copy=$2; shift 2
        "$@"; ended=$?; cp -r "$small" "$copy"; exit $ended"#;
    let mut history = History::default();
    history.keeps = true;
    let victim = victim_command(&small, history.next_start(), 4_000);
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", script, "sh"]).arg(&small).arg(&copy);
    command.arg(victim.get_program()).args(victim.get_args());
    command.envs(victim.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("WHERRY_VICTIM_KEEPS", "1");
    let victim = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let ended = history.add(victim);
    assert_eq!(ended.code(), Some(74), "{:?}", history.refusals);
    assert!(history.refusals.iter().all(|refusal| refusal.starts_with("store.failed ")), "{:?}", history.refusals);
    assert!(history.acknowledged.len() > 1_000, "only {} fitted", history.acknowledged.len());
    // With space again, as after an operator's help and a restart.
    history.verify(&copy);
    println!("{} acknowledged before the disk ran over, none lost", history.acknowledged.len());
}

/// How to call `unshare` for a mount of our own, if that is allowed here.
fn private_mounts() -> Option<&'static [&'static str]> {
    let allowed = |arguments: &[&str]| {
        let mut probe = Command::new("unshare");
        probe.args(arguments).args(["mount", "-t", "tmpfs", "wherry", "/mnt"]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    let candidates: [&'static [&'static str]; 2] = [&["-m"], &["-rm"]];
    candidates.into_iter().find(|arguments| allowed(arguments))
}
