//! What the whole store adds up to, kept with every batch.
//!
//! sled skips what it cannot read in the middle of its log, so a damaged bit can bring back an old
//! value or lose a key without an error. The tally is a sum over all records that each batch
//! carries on; whoever walks the store and adds up anew finds any record that is missing, stale or
//! back from the dead. A sum of well-mixed 64-bit weights: wrong by chance once in 2^32 damages,
//! and no defence against somebody who forges records.

/// Count and sum of all records, and the number of changes that led there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Changes since the store was created.
    pub(super) sequence: u64,
    /// Records.
    pub(super) records: u64,
    sum: u64,
}

impl Tally {
    /// Counts in a record with this checksum.
    pub(super) fn add(&mut self, checksum: u32) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight(checksum));
    }

    /// Replaces one record by another; `None` stands for no record.
    pub(super) fn replace(&mut self, old: Option<u32>, new: Option<u32>) {
        if let Some(old) = old {
            self.records = self.records.wrapping_sub(1);
            self.sum = self.sum.wrapping_sub(weight(old));
        }
        if let Some(new) = new {
            self.add(new);
        }
    }

    /// Counts in what another tally counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.records = self.records.wrapping_add(other.records);
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Whether both count the same records, however they came about.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        (self.records, self.sum) == (other.records, other.sum)
    }

    /// These changes, those records.
    pub(super) fn with_content_of(self, other: Self) -> Self {
        Self { sequence: self.sequence, ..other }
    }

    /// As stored.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.sequence, self.records, self.sum].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// As [`Self::to_bytes`] wrote it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (sum, _) = rest.split_first_chunk()?;
        let [sequence, records, sum] = [sequence, records, sum].map(|number| u64::from_le_bytes(*number));
        Some(Self { sequence, records, sum })
    }
}

/// Spreads a checksum over 64 bits (the finaliser of `SplitMix64`), so that sums of different sets
/// differ.
fn weight(checksum: u32) -> u64 {
    let mut mixed = u64::from(checksum).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_depends_on_the_records_and_not_on_the_way_to_them() {
        let mut straight = Tally::default();
        [1, 2, 3].into_iter().for_each(|checksum| straight.add(checksum));
        let mut detour = Tally { sequence: 9, ..Tally::default() };
        for (old, new) in [(None, Some(3)), (None, Some(7)), (Some(7), Some(1)), (None, Some(4)), (Some(4), None)] {
            detour.replace(old, new);
        }
        assert!(!detour.agrees(&straight));
        let mut rest = Tally::default();
        rest.add(2);
        detour.merge(rest);
        assert!(detour.agrees(&straight));
        assert_eq!(Tally::from_bytes(&detour.to_bytes()), Some(detour));
        detour.replace(Some(2), Some(5));
        assert!(!detour.agrees(&straight), "as many records, another one");
    }
}
