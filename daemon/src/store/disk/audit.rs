//! Walking the whole store to find what no single read can show: records that are missing, stale or
//! back from the dead.

use std::ops::Bound;

use super::{StoreError, TALLY_KEY, envelope, tally::Tally, tree::Tree};
use crate::store::Direction;

/// Entries looked at while commits are held up.
const PAGE: usize = 256;

/// Whether the store holds exactly what was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Integrity {
    /// Nobody looked: the store is too large to do so when opening.
    #[default]
    Unchecked,
    /// It holds what was committed.
    Sound {
        /// How many records that are.
        records: u64,
    },
    /// It does not. The text says how that was noticed.
    Differs(String),
}

/// Walks everything while commits go on, one at a time; also returns what was counted, if
/// everything could be read.
pub(super) fn audit(tree: &Tree) -> (Integrity, Option<Tally>) {
    tree.watch().audit = Some((TALLY_KEY.to_vec(), Tally::default()));
    let outcome = walk(tree);
    let counted = tree.watch().audit.take().map(|(_, counted)| counted);
    match outcome {
        Ok(integrity) => (integrity, counted),
        Err(error) => (Integrity::Differs(error.to_string()), None),
    }
}

fn walk(tree: &Tree) -> Result<Integrity, StoreError> {
    loop {
        let still = tree.hold_still();
        let Some(after) = tree.watch().audit.as_ref().map(|(upto, _)| upto.clone()) else {
            return Ok(Integrity::Unchecked);
        };
        let (mut page, mut last) = (Tally::default(), None);
        let range = (Bound::Excluded(after), Bound::Unbounded);
        tree.walk(&still, range, Direction::Ascending, PAGE, |key, stored| {
            tree.body(key, stored)?;
            envelope::checksum_in(stored).into_iter().for_each(|checksum| page.add(checksum));
            last = Some(key.to_vec());
            Ok(())
        })?;
        let mut watch = tree.watch();
        let expected = watch.tally;
        let Some((upto, counted)) = watch.audit.as_mut() else { return Ok(Integrity::Unchecked) };
        let Some(last) = last else { return Ok(compare(*counted, expected)) };
        *upto = last;
        counted.merge(page);
    }
}

fn compare(counted: Tally, expected: Tally) -> Integrity {
    if counted.agrees(&expected) {
        return Integrity::Sound { records: counted.records };
    }
    let (found, wanted) = (counted.records, expected.records);
    Integrity::Differs(if found == wanted {
        format!("some of the {found} records are not the ones last committed")
    } else {
        format!("{found} records are there and {wanted} should be")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{
        Space,
        batch::{Batch, Operation},
        keys,
        stats::Counters,
    };

    const SPACE: Space = Space(1);

    /// A tree with 600 records, and sled beneath it for meddling.
    fn tree(dir: &std::path::Path) -> (Tree, ::sled::Db) {
        let db = ::sled::Config::new().path(dir).flush_every_ms(None).open().unwrap();
        let tree = Tree::new(db.clone(), dir.to_owned(), Tally::default(), Arc::new(Counters::default()));
        for number in 0..600_u32 {
            apply(&tree, number, b"first");
        }
        (tree, db)
    }

    fn apply(tree: &Tree, number: u32, value: &[u8]) {
        let mut batch = Batch::new();
        batch.put(SPACE, number.to_be_bytes(), value);
        tree.apply(sealed(batch)).unwrap();
    }

    fn sealed(batch: Batch) -> Vec<Operation> {
        batch.map_values(envelope::seal).into_operations()
    }

    #[test]
    fn a_stale_a_missing_and_a_returned_record_are_each_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, db) = tree(dir.path());
        let key = keys::full(SPACE, &300_u32.to_be_bytes());
        let first = db.get(&key).unwrap().unwrap();
        apply(&tree, 300, b"second");
        assert_eq!(audit(&tree).0, Integrity::Sound { records: 600 });
        let second = db.insert(&key, first).unwrap().unwrap();
        assert!(matches!(audit(&tree).0, Integrity::Differs(_)), "stale");
        db.remove(&key).unwrap();
        assert_eq!(audit(&tree).0, Integrity::Differs("599 records are there and 600 should be".to_owned()));
        db.insert(&key, second).unwrap();
        assert_eq!(audit(&tree).0, Integrity::Sound { records: 600 });
        let mut batch = Batch::new();
        batch.delete(SPACE, 7_u32.to_be_bytes());
        let old = keys::full(SPACE, &7_u32.to_be_bytes());
        let removed = db.get(&old).unwrap().unwrap();
        tree.apply(sealed(batch)).unwrap();
        assert_eq!(audit(&tree).0, Integrity::Sound { records: 599 });
        db.insert(&old, removed).unwrap();
        assert!(matches!(audit(&tree).0, Integrity::Differs(_)), "back");
        db.insert(&old, b"no envelope".as_slice()).unwrap();
        let (integrity, counted) = audit(&tree);
        assert!(matches!(integrity, Integrity::Differs(text) if text.contains("damaged")));
        assert_eq!(counted, None);
    }

    #[test]
    fn commits_in_front_of_and_behind_the_audit_do_not_disturb_it() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, _) = tree(dir.path());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..2_000_u32 {
                    apply(&tree, round.wrapping_mul(7_919) % 1_200, &round.to_be_bytes());
                    let mut batch = Batch::new();
                    batch.delete(SPACE, (round.wrapping_mul(104_729) % 1_200).to_be_bytes());
                    tree.apply(sealed(batch)).unwrap();
                }
            });
            while !writer.is_finished() {
                let (integrity, _) = audit(&tree);
                assert!(matches!(integrity, Integrity::Sound { .. }), "{integrity:?}");
            }
        });
    }
}
