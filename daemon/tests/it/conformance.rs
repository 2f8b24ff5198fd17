//! What every store promises, run on each of them.

use std::sync::Arc;

use wherry_daemon::store::{
    Batch,
    Direction::{Ascending, Descending},
    MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Space, Store,
};

use crate::support::{on_each_store, put, value};

const A: Space = Space(1);
const B: Space = Space(2);

#[test]
fn a_committed_value_is_read_back_and_a_deleted_one_is_gone() {
    on_each_store(async |store| {
        assert_eq!(store.get(A, b"k").unwrap(), None);
        store.commit(put(A, b"k", b"v")).await.unwrap();
        assert_eq!(store.get(A, b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        store.commit(put(A, b"k", b"")).await.unwrap();
        assert_eq!(store.get(A, b"k").unwrap().as_deref(), Some(b"".as_slice()), "empty is not absent");
        let mut batch = Batch::new();
        batch.delete(A, b"k".as_slice());
        batch.delete(A, b"never there".as_slice());
        store.commit(batch).await.unwrap();
        assert_eq!(store.get(A, b"k").unwrap(), None);
    });
}

#[test]
fn spaces_do_not_see_each_other_and_one_batch_covers_them_all() {
    on_each_store(async |store| {
        let mut batch = put(A, b"k", b"a");
        batch.append(put(B, b"k", b"b"));
        batch.put(Space(0), b"".as_slice(), b"zero".as_slice());
        batch.put(Space(255), b"\xff\xff".as_slice(), b"last".as_slice());
        assert_eq!(batch.len(), 4);
        store.commit(batch).await.unwrap();
        assert_eq!(store.get(B, b"k").unwrap().as_deref(), Some(b"b".as_slice()));
        for (space, key, value) in
            [(A, &b"k"[..], &b"a"[..]), (Space(0), b"", b"zero"), (Space(255), b"\xff\xff", b"last")]
        {
            assert_eq!(store.scan(space, b"", None, Ascending, 9).unwrap(), [(key.to_vec(), value.to_vec())]);
            assert_eq!(store.scan(space, b"", None, Descending, 9).unwrap().len(), 1);
        }
        assert!(store.scan(Space(3), b"", None, Ascending, 9).unwrap().is_empty());
    });
}

#[test]
fn the_last_change_of_a_key_in_a_batch_wins() {
    on_each_store(async |store| {
        let mut batch = put(A, b"k", b"1");
        batch.delete(A, b"k".as_slice());
        batch.put(A, b"k".as_slice(), b"2".as_slice());
        batch.put(A, b"gone".as_slice(), b"1".as_slice());
        batch.delete(A, b"gone".as_slice());
        store.commit(batch).await.unwrap();
        assert_eq!(store.scan(A, b"", None, Ascending, 9).unwrap(), [(b"k".to_vec(), b"2".to_vec())]);
    });
}

#[test]
fn batches_take_effect_in_the_order_of_the_calls_even_if_nobody_waits() {
    on_each_store(async |store| {
        for number in 0..500_u64 {
            drop(store.commit(put(A, b"k", &number.to_be_bytes())));
        }
        store.commit(Batch::new()).await.unwrap();
        assert_eq!(store.get(A, b"k").unwrap(), Some(499_u64.to_be_bytes().to_vec()));
    });
}

#[test]
fn a_scan_pages_through_a_prefix_in_both_directions() {
    on_each_store(async |store| {
        let mut batch = Batch::new();
        for key in ["a", "b", "b1", "b2", "b3", "c"] {
            batch.put(A, key, key);
        }
        store.commit(batch).await.unwrap();
        let keys = |prefix: &str, after: Option<&str>, direction, limit| -> Vec<String> {
            let found = store.scan(A, prefix.as_bytes(), after.map(str::as_bytes), direction, limit).unwrap();
            found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
        };
        assert_eq!(keys("b", None, Ascending, 2), ["b", "b1"]);
        assert_eq!(keys("b", Some("b1"), Ascending, 9), ["b2", "b3"]);
        assert_eq!(keys("b", None, Descending, 2), ["b3", "b2"]);
        assert_eq!(keys("b", Some("b2"), Descending, 9), ["b1", "b"]);
        assert_eq!(keys("", None, Ascending, 0), [""; 0]);
        assert_eq!(keys("b", Some("b25"), Ascending, 9), ["b3"], "the place to go on from need not exist");
        assert_eq!(keys("b", Some("c"), Ascending, 9), [""; 0]);
        assert_eq!(keys("b", Some("a"), Ascending, 1), ["b"]);
    });
}

#[test]
fn limits_are_refused_whole_and_the_largest_allowed_is_kept() {
    on_each_store(async |store| {
        let key = vec![7; MAX_KEY_BYTES];
        let large = value(1, MAX_VALUE_BYTES);
        store.commit(put(A, &key, &large)).await.unwrap();
        assert_eq!(store.get(A, &key).unwrap(), Some(large));
        let mut batch = put(A, b"innocent", b"v");
        batch.put(A, vec![7; MAX_KEY_BYTES + 1], b"v".as_slice());
        assert_eq!(store.commit(batch).await.unwrap_err().code(), "store.too_large");
        let mut batch = put(A, b"innocent", b"v");
        batch.put(A, b"k".as_slice(), vec![0; MAX_VALUE_BYTES + 1]);
        assert_eq!(store.commit(batch).await.unwrap_err().code(), "store.too_large");
        assert_eq!(store.get(A, b"innocent").unwrap(), None);
    });
}

#[test]
fn the_largest_batch_is_applied_and_a_larger_one_refused() {
    on_each_store(async |store| {
        let mut batch = Batch::new();
        let mut left = MAX_BATCH_BYTES;
        for number in 0_u64.. {
            let length = (MAX_VALUE_BYTES).min(left.saturating_sub(9));
            if length < 9 {
                break;
            }
            batch.put(A, number.to_be_bytes(), value(number, length));
            left -= length + 9;
        }
        let mut larger = batch.clone();
        larger.put(A, b"one more".as_slice(), vec![0; MAX_VALUE_BYTES]);
        let count = batch.len();
        store.commit(batch).await.unwrap();
        assert_eq!(store.commit(larger).await.unwrap_err().code(), "store.too_large");
        assert_eq!(store.scan(A, b"", None, Ascending, 1_000).unwrap().len(), count);
    });
}

#[test]
fn stats_count_what_became_durable() {
    on_each_store(async |store| {
        let mut batch = put(A, b"k", b"value");
        batch.delete(A, b"j".as_slice());
        store.commit(batch).await.unwrap();
        let stats = store.stats();
        assert_eq!((stats.commits, stats.records, stats.bytes), (1, 2, 2 + 5 + 2));
        assert_eq!(stats.syncs, 1);
    });
}

#[test]
fn a_snapshot_taken_between_commits_restores_to_the_same_content() {
    on_each_store(async |store| {
        for number in 0..700_u64 {
            drop(store.commit(put(Space((number % 5) as u8), &number.to_be_bytes(), &value(number, 100))));
        }
        store.commit(Batch::new()).await.unwrap();
        let mut stream = Vec::new();
        let written = store.snapshot(&mut stream).unwrap();
        assert_eq!((written.records, written.bytes), (700, stream.len() as u64));
        let dir = tempfile::tempdir().unwrap();
        let read = wherry_daemon::store::restore(dir.path(), &mut stream.as_slice()).unwrap();
        assert_eq!(read, written);
        let (restored, report) = crate::support::open(dir.path());
        assert_eq!((report.emptied, report.lost_changes), (false, 0));
        for space in (0..6).map(Space) {
            let whole = |store: &dyn Store| store.scan(space, b"", None, Ascending, 1_000).unwrap();
            assert_eq!(whole(&restored), whole(store.as_ref()));
        }
    });
}

#[test]
fn a_scan_sees_every_batch_whole_while_others_commit() {
    on_each_store(async |store| {
        let writer = {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for round in 0..200_u64 {
                        let mut batch = Batch::new();
                        for key in 0..20_u8 {
                            batch.put(A, [key], round.to_be_bytes());
                        }
                        store.commit(batch).await.unwrap();
                    }
                });
            })
        };
        while !writer.is_finished() {
            let seen = store.scan(A, b"", None, Ascending, 100).unwrap();
            assert!(seen.iter().all(|(_, round)| *round == seen[0].1), "half a batch was seen");
        }
        writer.join().unwrap();
    });
}
