//! Cutting a batch so that every instance of a team gets a share.

use std::collections::VecDeque;

use wherry_host::Batch;

/// Shares per instance and batch: more of them even out slow records, fewer cost less.
const SHARES: usize = 2;

/// The records of a batch in pieces, in order.
pub(super) fn of(batch: Batch, members: usize) -> VecDeque<Batch> {
    let count = usize::try_from(batch.count).unwrap_or(usize::MAX);
    let size = count.div_ceil(members.saturating_mul(SHARES).max(1)).max(1);
    if size >= count {
        return VecDeque::from([batch]);
    }
    let (mut pieces, mut from, mut lines) = (VecDeque::with_capacity(count.div_ceil(size)), 0, 0_u32);
    for end in batch.data.iter().enumerate().filter_map(|(at, byte)| (*byte == b'\n').then_some(at + 1)) {
        lines += 1;
        if usize::try_from(lines).unwrap_or(usize::MAX) == size || end == batch.data.len() {
            pieces.push_back(Batch { count: lines, data: batch.data.slice(from..end) });
            (from, lines) = (end, 0);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: u32) -> Batch {
        let data: String = (0..count).map(|number| format!("{{\"id\":{number}}}\n")).collect();
        Batch { count, data: data.into() }
    }

    #[test]
    fn all_records_are_there_once_and_in_order() {
        for (count, members) in [(1, 16), (2, 16), (31, 16), (100, 16), (1_000, 3), (5, 1)] {
            let pieces = of(batch(count), members);
            assert_eq!(pieces.iter().map(|piece| piece.count).sum::<u32>(), count);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.data.clone()).collect();
            assert_eq!(joined, batch(count).data, "{count} for {members}");
            let lines = |piece: &Batch| piece.data.iter().filter(|byte| **byte == b'\n').count();
            assert!(pieces.iter().all(|piece| lines(piece) == piece.count as usize && piece.count > 0));
        }
    }

    #[test]
    fn a_page_is_enough_work_for_everybody() {
        assert!(of(batch(100), 16).len() >= 16);
        assert_eq!(of(batch(3), 16).len(), 3);
    }
}
