//! Random histories against an ordered map, with restarts in between.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use wherry_daemon::store::{Batch, Direction, MemoryStore, Space, Store};

use crate::support::{open, value};

/// Space, key, and the seed and length of the value; `None` deletes.
type Change = (u8, Vec<u8>, Option<(u64, usize)>);
type Model = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    Scan { space: u8, prefix: Vec<u8>, after: Option<Vec<u8>>, descending: bool, limit: usize },
    Restart,
}

/// Few different keys, so that changes meet; lengths around the engine's own boundaries.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff)], 0..4)
}

fn space() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0_u8), Just(1), Just(255)]
}

fn step() -> impl Strategy<Value = Step> {
    let content = proptest::option::weighted(0.7, (any::<u64>(), prop_oneof![8_usize..200, 3_000_usize..6_000]));
    prop_oneof![
        6 => vec((space(), key(), content), 0..12).prop_map(Step::Commit),
        6 => (space(), key(), proptest::option::of(key()), any::<bool>(), 0_usize..9).prop_map(
            |(space, prefix, after, descending, limit)| Step::Scan { space, prefix, after, descending, limit }
        ),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_behaves_like_an_ordered_map(steps in vec(step(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new();
        let mut disk = open(dir.path()).0;
        let mut model = Model::new();
        for step in &steps {
            match step {
                Step::Commit(changes) => {
                    commit(&memory, changes);
                    commit(&disk, changes);
                    apply(&mut model, changes);
                }
                Step::Scan { .. } => {
                    let expected = expected(&model, step);
                    prop_assert_eq!(&scan(&memory, step), &expected);
                    prop_assert_eq!(&scan(&disk, step), &expected);
                }
                Step::Restart => {
                    memory.crash();
                    drop(disk);
                    disk = open(dir.path()).0;
                }
            }
        }
        for ((space, key), value) in &model {
            prop_assert_eq!(disk.get(Space(*space), key).unwrap(), Some(value.clone()));
            prop_assert_eq!(memory.get(Space(*space), key).unwrap(), Some(value.clone()));
        }
    }
}

fn commit(store: &dyn Store, changes: &[Change]) {
    let mut batch = Batch::new();
    for (space, key, content) in changes {
        match content {
            Some((seed, length)) => batch.put(Space(*space), key.as_slice(), value(*seed, *length)),
            None => batch.delete(Space(*space), key.as_slice()),
        }
    }
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.commit(batch)).unwrap();
}

fn apply(model: &mut Model, changes: &[Change]) {
    for (space, key, content) in changes {
        match content {
            Some((seed, length)) => drop(model.insert((*space, key.clone()), value(*seed, *length))),
            None => drop(model.remove(&(*space, key.clone()))),
        }
    }
}

fn scan(store: &dyn Store, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Step::Scan { space, prefix, after, descending, limit } = step else { return Vec::new() };
    let direction = if *descending { Direction::Descending } else { Direction::Ascending };
    store.scan(Space(*space), prefix, after.as_deref(), direction, *limit).unwrap()
}

fn expected(model: &Model, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Step::Scan { space, prefix, after, descending, limit } = step else { return Vec::new() };
    let beyond = |key: &Vec<u8>| match after {
        Some(after) if *descending => key < after,
        Some(after) => key > after,
        None => true,
    };
    let found = model
        .iter()
        .filter(|((found, key), _)| found == space && key.starts_with(prefix) && beyond(key))
        .map(|((_, key), value)| (key.clone(), value.clone()));
    if *descending { found.rev().take(*limit).collect() } else { found.take(*limit).collect() }
}
