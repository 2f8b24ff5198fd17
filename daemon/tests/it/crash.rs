//! `kill -9` at any moment loses nothing that was acknowledged and leaves nothing half-applied.
//!
//! The test binary starts itself as the victim. `WHERRY_KILLS` sets the number of kills.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use wherry_daemon::store::{Batch, Direction, Space, Store};

use crate::support::{Random, open, setting, value};

const DIR: &str = "WHERRY_VICTIM_DIR";
const START: &str = "WHERRY_VICTIM_START";
const SIZE: &str = "WHERRY_VICTIM_SIZE";
/// Each number is written to both spaces in one batch.
const MAIN: Space = Space(1);
const TWIN: Space = Space(2);
/// Writers inside the victim; each has its own numbers.
const WRITERS: u64 = 8;

#[test]
fn killing_the_process_at_any_moment_loses_nothing_acknowledged() {
    let kills = setting("WHERRY_KILLS", 20);
    let mut random = Random(setting("WHERRY_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let (mut during_start, mut guard_hits) = (0, 0);
    let mut opening = Duration::from_millis(20);
    for kill in 0..kills {
        let start = acknowledged.last().map_or(0, |last| last + WRITERS);
        let size = [30, 600, 5_000][random.below(3) as usize];
        let mut victim = victim(dir.path(), start, size, &[]);
        let early = kill % 3 == 2;
        kill_sometime(&mut victim, early, &mut opening, &mut random);
        let said = collect(victim, &mut acknowledged);
        during_start += u64::from(early && !said.opened);
        guard_hits += said.guard_hits;
        if kill % 5 == 4 || kill + 1 == kills {
            guard_hits += verify(dir.path(), &acknowledged);
        }
    }
    println!("{kills} kills ({during_start} before the store was open), {} acknowledged, {guard_hits} guard hits, opening takes {opening:?}", acknowledged.len());
    assert!(acknowledged.len() as u64 > kills, "the victims hardly wrote anything");
    assert!(kills < 20 || during_start > 0, "no kill fell into the opening of the store");
}

/// Not a test: what the suites above start as another process.
#[test]
#[ignore = "the victim of the crash suites, started by them"]
fn victim_writes_until_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (start, size) = (setting(START, 0), setting(SIZE, 600) as usize);
    say("\nopening");
    let (store, report) = open(Path::new(&dir));
    let store = std::sync::Arc::new(store);
    say("opened");
    say(&format!("guard {}", report.guard_hits));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = std::sync::Arc::clone(&store);
            writers.spawn(async move {
                for number in (start + writer..).step_by(WRITERS as usize) {
                    if let Err(error) = store.commit(pair(number, size)).await {
                        say(&format!("error {error}"));
                        return;
                    }
                    say(&format!("ack {number}"));
                }
            });
        }
        writers.join_all().await;
    });
}

/// Starts this binary as a victim that writes numbers from `start` on.
pub(crate) fn victim(dir: &Path, start: u64, size: usize, environment: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim_writes_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(START, start.to_string())
        .env(SIZE, size.to_string())
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a dead victim had to say, beside its acknowledgements.
#[derive(Default)]
pub(crate) struct Said {
    opened: bool,
    guard_hits: u64,
}

/// Adds what the dead victim said it had made durable.
pub(crate) fn collect(mut victim: Child, acknowledged: &mut BTreeSet<u64>) -> Said {
    let mut output = String::new();
    victim.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    victim.wait().unwrap();
    let mut said = Said::default();
    for line in output.split_inclusive('\n') {
        // The kill may have cut the last line short.
        let Some(line) = line.strip_suffix('\n') else { continue };
        let number = |prefix| line.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
        assert!(!line.starts_with("error"), "{line}");
        acknowledged.extend(number("ack "));
        said.opened |= line == "opened";
        said.guard_hits += number("guard ").unwrap_or(0);
    }
    said
}

/// Checks that everything acknowledged is there and both halves of every pair are.
pub(crate) fn verify(dir: &Path, acknowledged: &BTreeSet<u64>) -> u64 {
    let (store, report) = open(dir);
    assert!(!report.emptied && report.quarantined.is_empty() && report.lost_changes == 0, "{report:?}");
    let all = |space| {
        let entries = store.scan(space, b"", None, Direction::Ascending, usize::MAX).unwrap();
        entries.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let (main, twin) = (all(MAIN), all(TWIN));
    for number in acknowledged {
        assert!(main.contains_key(number.to_be_bytes().as_slice()), "{number} was acknowledged and is lost");
    }
    assert_eq!(main.len(), twin.len(), "a batch was half applied");
    for (key, stored) in &main {
        let number = u64::from_be_bytes(key.as_slice().try_into().unwrap());
        assert_eq!(stored, &value(number, stored.len()), "the value of {number} is wrong");
        assert_eq!(twin.get(key), Some(&value(number, 40)), "the twin of {number} is wrong");
    }
    report.guard_hits
}

/// Kills the victim while it opens the store (`early`) or some time later. `opening` is how long
/// that takes, as last seen.
fn kill_sometime(victim: &mut Child, early: bool, opening: &mut Duration, random: &mut Random) {
    wait_for(victim, "opening");
    let started = Instant::now();
    let longest = if early {
        *opening
    } else {
        wait_for(victim, "opened");
        *opening = started.elapsed();
        Duration::from_millis(150)
    };
    std::thread::sleep(Duration::from_micros(random.below(longest.as_micros() as u64 + 1)));
    victim.kill().unwrap();
}

/// Lets the victim write for a while after it opened the store, then kills it.
pub(crate) fn let_run(victim: &mut Child, time: Duration) {
    wait_for(victim, "opened");
    std::thread::sleep(time);
    victim.kill().unwrap();
}

/// Reads what the victim says up to the line `wanted`, byte by byte: the rest is for [`collect`].
fn wait_for(victim: &mut Child, wanted: &str) {
    let output = victim.stdout.as_mut().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte).unwrap() > 0 {
        if byte != *b"\n" {
            line.push(byte[0]);
        } else if line == wanted.as_bytes() {
            return;
        } else {
            line.clear();
        }
    }
}

fn pair(number: u64, size: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(MAIN, number.to_be_bytes(), value(number, size));
    batch.put(TWIN, number.to_be_bytes(), value(number, 40));
    batch
}

/// One line at once, past the test harness's capture.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
