//! Opening, locking, backing up and restoring.

use std::{fs, io::Write, sync::Arc};

use wherry_daemon::store::{
    Batch, Direction, MemoryStore, SledStore, Space, Store, StoreError, StoreOptions, restore, snapshot_to_file,
};

use crate::support::{open, put, value};

const SPACE: Space = Space(1);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_store_in_use_is_refused_and_free_again_once_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let error = SledStore::open(StoreOptions::new(dir.path())).map(drop).unwrap_err();
    assert_eq!(error.code(), "store.in_use");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(store);
    open(dir.path());
}

#[test]
fn closing_finishes_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let commits: Vec<_> =
        (0..300_u64).map(|number| store.commit(put(SPACE, &number.to_be_bytes(), &value(number, 200)))).collect();
    drop(store);
    for commit in commits {
        block_on(commit).unwrap();
    }
    let (store, report) = open(dir.path());
    assert_eq!(store.scan(SPACE, b"", None, Direction::Ascending, 1_000).unwrap().len(), 300);
    assert_eq!((report.lost_changes, report.guard_hits, report.quarantined.len()), (0, 0, 0));
}

#[test]
fn a_half_written_engine_snapshot_is_removed_before_opening() {
    let dir = tempfile::tempdir().unwrap();
    block_on(open(dir.path()).0.commit(put(SPACE, b"k", b"v"))).unwrap();
    let half = dir.path().join("engine/snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&half, b"half").unwrap();
    let (store, report) = open(dir.path());
    assert_eq!((report.guard_hits, report.quarantined.len()), (1, 0));
    assert_eq!(store.stats().guard_hits, 1);
    assert!(!half.exists());
    assert!(store.get(SPACE, b"k").unwrap().is_some());
}

#[test]
fn a_snapshot_taken_under_load_is_the_state_of_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()).0);
    let writer = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for round in 0..150_u64 {
                let mut batch = Batch::new();
                // Both ends of the key range carry the round, and the middle is in motion.
                batch.put(SPACE, [0; 8], round.to_be_bytes());
                batch.put(SPACE, [255; 8], round.to_be_bytes());
                for part in 0..20_u64 {
                    batch.put(SPACE, (1 + round * 20 + part).to_be_bytes(), value(round, 400));
                }
                block_on(store.commit(batch)).unwrap();
            }
        })
    };
    let mut taken = 0;
    while !writer.is_finished() {
        let file = dir.path().join("backup");
        snapshot_to_file(store.as_ref(), &file).unwrap();
        let target = tempfile::tempdir().unwrap();
        restore(target.path(), &mut fs::File::open(&file).unwrap()).unwrap();
        let (restored, _) = open(target.path());
        let (low, high) = (restored.get(SPACE, &[0; 8]).unwrap(), restored.get(SPACE, &[255; 8]).unwrap());
        assert_eq!(low, high);
        let round = low.map_or(0, |round| u64::from_be_bytes(round.try_into().unwrap()) + 1);
        let numbered = restored.scan(SPACE, b"", None, Direction::Ascending, usize::MAX).unwrap().len();
        assert_eq!(numbered as u64, round * 20 + 2 * u64::from(round > 0));
        taken += 1;
    }
    writer.join().unwrap();
    assert!(taken > 0);
}

#[test]
fn a_damaged_or_cut_snapshot_is_refused_and_leaves_nothing_behind() {
    let store = MemoryStore::new();
    for number in 0..50_u64 {
        block_on(store.commit(put(SPACE, &number.to_be_bytes(), &value(number, 100)))).unwrap();
    }
    let mut stream = Vec::new();
    store.snapshot(&mut stream).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for step in (0..stream.len()).step_by(97) {
        let mut flipped = stream.clone();
        flipped[step] ^= 0x10;
        for bad in [&flipped[..], &stream[..step]] {
            let error = restore(dir.path(), &mut &*bad).unwrap_err();
            assert_eq!(error.code(), "store.snapshot_invalid", "{error}");
        }
        assert!(!dir.path().join("engine").exists() && !dir.path().join("restoring").exists());
        if step > 2_000 {
            break;
        }
    }
    restore(dir.path(), &mut stream.as_slice()).unwrap();
    let again = restore(dir.path(), &mut stream.as_slice()).unwrap_err();
    assert!(again.to_string().contains("already holds a store"), "{again}");
}

#[test]
fn a_snapshot_that_cannot_be_written_is_an_error_and_the_store_goes_on() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(matches!(store.snapshot(&mut Full), Err(StoreError::Io { .. })));
    block_on(store.commit(put(SPACE, b"k", b"v"))).unwrap();
    store.snapshot(&mut Vec::new()).unwrap();
}
