//! How spaces and keys become the keys of one ordered tree.

use std::ops::Bound;

use super::{Direction, Space};

/// The bounds of a range of full keys.
pub(super) type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The key inside the tree: the space, then the key.
pub(super) fn full(space: Space, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(space.0);
    full.extend_from_slice(key);
    full
}

/// The full keys that start with `prefix` and come strictly after `after` in `direction`; `None`
/// if there can be none.
pub(super) fn range(space: Space, prefix: &[u8], after: Option<&[u8]>, direction: Direction) -> Option<Range> {
    let low = full(space, prefix);
    let high = successor(low.clone());
    let mut from = Bound::Included(low);
    let mut to = high.map_or(Bound::Unbounded, Bound::Excluded);
    if let Some(after) = after.map(|after| full(space, after)) {
        match direction {
            Direction::Ascending if starts_after(&after, &from) => from = Bound::Excluded(after),
            Direction::Descending if ends_before(&after, &to) => to = Bound::Excluded(after),
            Direction::Ascending | Direction::Descending => {}
        }
    }
    (!is_empty(&from, &to)).then_some((from, to))
}

/// The lowest key above every key that starts with `prefix`; `None` if there is none.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

fn starts_after(key: &[u8], from: &Bound<Vec<u8>>) -> bool {
    match from {
        Bound::Included(low) | Bound::Excluded(low) => key >= low.as_slice(),
        Bound::Unbounded => true,
    }
}

fn ends_before(key: &[u8], to: &Bound<Vec<u8>>) -> bool {
    match to {
        Bound::Included(high) | Bound::Excluded(high) => key < high.as_slice(),
        Bound::Unbounded => true,
    }
}

/// Whether the bounds enclose nothing; ordered maps panic when asked for some such ranges.
fn is_empty(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_all_ones_has_no_upper_end_in_the_last_space() {
        let (_, to) = range(Space(255), &[255, 255], None, Direction::Ascending).unwrap();
        assert_eq!(to, Bound::Unbounded);
        let (_, to) = range(Space(1), &[255, 255], None, Direction::Ascending).unwrap();
        assert_eq!(to, Bound::Excluded(vec![2]));
    }

    #[test]
    fn a_start_outside_the_prefix_never_widens_the_range() {
        let whole = range(Space(1), b"m", None, Direction::Ascending);
        assert_eq!(range(Space(1), b"m", Some(b"a"), Direction::Ascending), whole);
        assert_eq!(range(Space(1), b"m", Some(b"z"), Direction::Descending), whole);
        assert_eq!(range(Space(1), b"m", Some(b"z"), Direction::Ascending), None);
        assert_eq!(range(Space(1), b"m", Some(b"a"), Direction::Descending), None);
        assert_eq!(range(Space(1), b"m", Some(b"m"), Direction::Descending), None);
    }
}
