//! `kill -9` at any moment loses nothing that was acknowledged and leaves nothing half-applied.
//!
//! The test binary starts itself as the victim. `WHERRY_KILLS` sets the number of kills.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use wherry_daemon::{
    clock::Clock,
    store::{Batch, Direction, OpenReport, Space, Store},
};

use crate::support::{Random, open, pause, setting, value};

const DIR: &str = "WHERRY_VICTIM_DIR";
const START: &str = "WHERRY_VICTIM_START";
const SIZE: &str = "WHERRY_VICTIM_SIZE";
/// Set for a victim that removes nothing, so that it fills its disk.
const KEEPS: &str = "WHERRY_VICTIM_KEEPS";
/// Each number is written to both spaces in one batch, which also removes an older number from
/// both and overwrites its writer's entry in the third.
const MAIN: Space = Space(1);
const TWIN: Space = Space(2);
const LATEST: Space = Space(3);
/// Writers inside the victim; each has its own numbers.
const WRITERS: u64 = 8;
/// How much older the number is that a batch removes.
const LAG: u64 = 8 * WRITERS;

#[test]
fn killing_the_process_at_any_moment_loses_nothing_acknowledged() {
    let kills = setting("WHERRY_KILLS", 20);
    let mut random = Random(setting("WHERRY_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let mut opening = Duration::from_millis(20);
    for kill in 0..kills {
        let size = [30, 600, 20_000][random.below(3) as usize];
        let mut victim = victim(dir.path(), history.next_start(), size, &[]);
        kill_sometime(&mut victim, kill % 3 == 2, &mut opening, &mut random);
        history.add(victim);
        if kill % 5 == 4 || kill + 1 == kills {
            let report = history.verify(dir.path());
            assert!(report.quarantined.is_empty(), "{report:?}");
            history.guard_hits += report.guard_hits;
        }
    }
    println!(
        "{kills} kills ({} before the store was open), {} acknowledged, {} guard hits, opening takes {opening:?}",
        history.unopened,
        history.acknowledged.len(),
        history.guard_hits,
    );
    assert!(history.acknowledged.len() as u64 > kills, "the victims hardly wrote anything");
    assert!(kills < 20 || history.unopened > 0, "no kill fell into the opening of the store");
}

/// Not a test: what the crash suites start as another process.
#[test]
#[ignore = "the victim of the crash suites, started by them"]
fn victim_writes_until_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (start, size, keeps) = (setting(START, 0), setting(SIZE, 600) as usize, setting(KEEPS, 0) == 1);
    say("\nopening");
    let (store, report) = open(Path::new(&dir));
    let store = Arc::new(store);
    say("opened");
    say(&format!("guard {}", report.guard_hits));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                for number in (start + writer..).step_by(WRITERS as usize) {
                    match store.commit(batch(number, size, keeps)).await {
                        Ok(()) => say(&format!("ack {number}")),
                        Err(error) => return say(&format!("refused {} {error}", error.code())),
                    }
                }
            });
        }
        writers.join_all().await;
    });
    std::process::exit(74);
}

/// What all victims so far said.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) acknowledged: BTreeSet<u64>,
    /// Acknowledged or on the way when the victim died.
    attempted: BTreeSet<u64>,
    pub(crate) guard_hits: u64,
    unopened: u64,
    /// Why the victims that gave up did.
    pub(crate) refusals: Vec<String>,
    starts: u64,
    /// No number removes an older one.
    pub(crate) keeps: bool,
}

impl History {
    /// Where the next victim may begin without meeting an earlier number.
    pub(crate) fn next_start(&mut self) -> u64 {
        self.starts = self.attempted.last().map_or(0, |last| (last / WRITERS + 1) * WRITERS);
        self.starts
    }

    /// Adds what the dead victim said; returns how it died.
    pub(crate) fn add(&mut self, mut victim: Child) -> ExitStatus {
        let mut output = String::new();
        victim.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let ended = victim.wait().unwrap();
        let mut next: BTreeMap<u64, u64> = (0..WRITERS).map(|writer| (writer, self.starts + writer)).collect();
        // The kill may have cut the last line short.
        let lines: Vec<&str> = output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
        for line in &lines {
            let number = |prefix| line.strip_prefix(prefix).and_then(|number: &str| number.parse::<u64>().ok());
            if let Some(number) = number("ack ") {
                self.acknowledged.insert(number);
                self.attempted.insert(number);
                next.insert(number % WRITERS, number + WRITERS);
            }
            self.guard_hits += number("guard ").unwrap_or(0);
            self.refusals.extend(line.strip_prefix("refused ").map(str::to_owned));
        }
        // Said by every victim that came so far as to write.
        if lines.iter().any(|line| line.starts_with("guard ")) {
            self.attempted.extend(next.values());
        } else {
            self.unopened += 1;
        }
        ended
    }

    /// Checks that everything acknowledged is as it was left and every batch whole.
    pub(crate) fn verify(&self, dir: &Path) -> OpenReport {
        let (store, report) = open(dir);
        assert!(!report.emptied && report.lost_changes == 0, "{report:?}");
        let all = |space| -> BTreeMap<u64, Vec<u8>> {
            let entries = store.scan(space, b"", None, Direction::Ascending, usize::MAX).unwrap();
            entries.into_iter().map(|(key, value)| (u64::from_be_bytes(key.try_into().unwrap()), value)).collect()
        };
        let (main, twin, latest) = (all(MAIN), all(TWIN), all(LATEST));
        for number in &self.acknowledged {
            let remover = number + LAG;
            if self.keeps || !self.attempted.contains(&remover) {
                assert!(main.contains_key(number), "{number} was acknowledged and is lost");
            } else if self.acknowledged.contains(&remover) {
                assert!(!main.contains_key(number), "{number} was removed and is back");
            }
            let newest = &latest[&(number % WRITERS)];
            assert!(u64::from_be_bytes(newest[..8].try_into().unwrap()) >= *number, "an older value is back");
        }
        for (number, stored) in &main {
            assert!(self.attempted.contains(number), "{number} was never written");
            assert_eq!(stored, &value(*number, stored.len()), "the value of {number} is wrong");
        }
        for (number, stored) in &twin {
            assert_eq!(stored, &value(*number, 40), "the twin of {number} is wrong");
        }
        assert!(main.keys().eq(twin.keys()), "a batch was half applied");
        report
    }
}

/// Starts this binary as a victim that writes numbers from `start` on.
pub(crate) fn victim(dir: &Path, start: u64, size: usize, environment: &[(&str, &str)]) -> Child {
    let mut command = victim_command(dir, start, size);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

pub(crate) fn victim_command(dir: &Path, start: u64, size: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::victim_writes_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(START, start.to_string())
        .env(SIZE, size.to_string());
    command
}

/// Kills the victim while it opens the store (`early`) or some time later. `opening` is how long
/// that takes, as last seen.
fn kill_sometime(victim: &mut Child, early: bool, opening: &mut Duration, random: &mut Random) {
    wait_for(victim, "opening");
    let clock = Clock::system();
    let started = clock.now();
    let longest = if early {
        *opening
    } else {
        wait_for(victim, "opened");
        *opening = clock.now().since(started);
        Duration::from_millis(150)
    };
    pause(Duration::from_micros(random.below(longest.as_micros() as u64 + 1)));
    victim.kill().unwrap();
}

/// Lets the victim write for a while after it opened the store, then kills it.
pub(crate) fn let_run(victim: &mut Child, time: Duration) {
    wait_for(victim, "opened");
    pause(time);
    victim.kill().unwrap();
}

/// Reads what the victim says up to the line `wanted`, byte by byte: the rest is for
/// [`History::add`].
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

fn batch(number: u64, size: usize, keeps: bool) -> Batch {
    let mut batch = Batch::new();
    batch.put(MAIN, number.to_be_bytes(), value(number, size));
    batch.put(TWIN, number.to_be_bytes(), value(number, 40));
    batch.put(LATEST, (number % WRITERS).to_be_bytes(), value(number, size));
    if let Some(old) = number.checked_sub(LAG).filter(|_| !keeps) {
        batch.delete(MAIN, old.to_be_bytes());
        batch.delete(TWIN, old.to_be_bytes());
    }
    batch
}

/// One line at once, past the test harness's capture.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}
