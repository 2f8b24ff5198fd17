//! Damaged files: never a wrong value, never a loss that nobody is told of.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use wherry_daemon::{
    clock::Clock,
    store::{Batch, Direction, OpenReport, SledStore, Space, Store, StoreOptions},
};

use crate::{
    power::copy_folder,
    support::{Random, open, put, setting, value},
};

const SPACE: Space = Space(7);
/// Enough to fill more than one segment of the log.
const RECORDS: u64 = 450;
/// A damaged store must not keep a process from starting for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the records of a damaged store.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    #[default]
    Intact,
    /// Reads said that something is damaged.
    ReadError,
    /// Records are missing and the report of opening says so.
    ToldLoss,
    /// Records are missing and nobody said so.
    SilentLoss,
    /// A read returned something else than was written.
    WrongValue,
    /// It would not open, and said why.
    Refused,
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let original = original();
    let trials = setting("WHERRY_FLIPS", 20);
    let mut random = Random(setting("WHERRY_SEED", 1));
    let mut outcomes = BTreeMap::new();
    for _ in 0..trials {
        let dir = copy_of(&original);
        let files = files(dir.path());
        let path = &files[random.below(files.len() as u64) as usize];
        // Most of the bits that matter are in the log.
        let path = if random.below(4) > 0 { dir.path().join("engine/db") } else { path.clone() };
        let mut bytes = fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bit = random.below((used as u64 * 8).max(1));
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        *outcomes.entry(examine(dir.path())).or_insert(0) += 1;
    }
    println!("{trials} flipped bits: {outcomes:?}");
    assert!(!outcomes.contains_key(&Outcome::WrongValue), "{outcomes:?}");
    assert!(!outcomes.contains_key(&Outcome::SilentLoss), "{outcomes:?}");
}

#[test]
fn a_missing_cut_or_overwritten_file_is_noticed_or_harmless() {
    let original = original();
    let mut random = Random(setting("WHERRY_SEED", 1));
    let mut outcomes = BTreeMap::new();
    for index in 0..files(original.path()).len() {
        for injury in 0..4 {
            let dir = copy_of(&original);
            let path = &files(dir.path())[index];
            let bytes = fs::read(path).unwrap();
            match injury {
                0 => fs::remove_file(path).unwrap(),
                1 => fs::write(path, &bytes[..random.below(bytes.len() as u64 + 1) as usize]).unwrap(),
                2 => fs::write(path, []).unwrap(),
                _ => fs::write(path, vec![0xA5; bytes.len()]).unwrap(),
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let outcome = examine(dir.path());
            let noticed = !matches!(outcome, Outcome::WrongValue | Outcome::SilentLoss);
            assert!(noticed, "{name}, injury {injury}: {outcome:?}");
            outcomes.insert((name, injury), outcome);
        }
    }
    println!("missing, cut, emptied, overwritten: {outcomes:?}");
}

#[test]
fn a_log_that_is_noise_opens_empty_and_says_how_much_is_lost_until_somebody_writes() {
    let dir = copy_of(&original());
    let log = dir.path().join("engine/db");
    let noise = value(99, fs::metadata(&log).unwrap().len() as usize);
    fs::write(&log, &noise).unwrap();
    for _ in 0..2 {
        // The first process told may not have survived it.
        let (store, report) = open(dir.path());
        assert_eq!((report.emptied, report.lost_changes), (true, RECORDS));
        assert!(store.scan(SPACE, b"", None, Direction::Ascending, 1).unwrap().is_empty());
    }
    let (store, _) = open(dir.path());
    block_on(store.commit(put(SPACE, b"k", b"v"))).unwrap();
    drop(store);
    let (_, report) = open(dir.path());
    assert_eq!((report.emptied, report.lost_changes), (false, 0));
}

#[test]
fn a_damaged_snapshot_of_the_engine_is_set_aside_and_nothing_is_lost() {
    let original = original();
    // sled writes its snapshot when it opens a log that grew since the last one.
    drop(open(original.path()));
    let snapshot = files(original.path()).into_iter().find(|path| path.to_string_lossy().contains("/snap."));
    let snapshot = snapshot.unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[20] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let (store, report) = open(original.path());
    assert_eq!((report.emptied, report.lost_changes, report.quarantined.len()), (false, 0, 1), "{report:?}");
    assert!(report.quarantined[0].to.join(snapshot.file_name().unwrap()).exists());
    assert_eq!(check(&store, &report), Outcome::Intact);
    assert_eq!(store.stats().quarantined, 1);
}

fn original() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let store = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 0..RECORDS {
        let mut batch = Batch::new();
        batch.put(SPACE, number.to_be_bytes(), content(number));
        let commit = store.commit(batch);
        if number % 16 == 15 {
            runtime.block_on(commit).unwrap();
        }
        if number == RECORDS / 2 {
            runtime.block_on(store.commit(Batch::new())).unwrap();
        }
    }
    drop(store);
    dir
}

fn content(number: u64) -> Vec<u8> {
    value(number, if number.is_multiple_of(3) { 60_000 } else { 300 })
}

/// Opens a damaged store and looks at every record.
fn examine(dir: &Path) -> Outcome {
    let clock = Clock::system();
    let started = clock.now();
    let opened = SledStore::open(StoreOptions { reserve_bytes: 0, ..StoreOptions::new(dir) });
    let took = clock.now().since(started);
    assert!(took < PATIENCE, "opening took {took:?}");
    let Ok((store, report)) = opened else { return Outcome::Refused };
    check(&store, &report)
}

fn check(store: &SledStore, report: &OpenReport) -> Outcome {
    let mut worst = Outcome::Intact;
    for number in 0..RECORDS {
        let outcome = match store.get(SPACE, &number.to_be_bytes()) {
            Ok(Some(found)) if found == content(number) => Outcome::Intact,
            // An older value cannot turn up here: every record is written once.
            Ok(Some(_)) => Outcome::WrongValue,
            Ok(None) if report.lost_something() => Outcome::ToldLoss,
            Ok(None) => Outcome::SilentLoss,
            Err(_) => Outcome::ReadError,
        };
        worst = worst.max(outcome);
    }
    worst
}

fn copy_of(original: &tempfile::TempDir) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(original.path(), dir.path());
    dir
}

/// The engine's files, in a fixed order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.join("engine")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
