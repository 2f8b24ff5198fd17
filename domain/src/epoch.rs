//! Epochs: numbers that only grow and tell an agent's newest stream from every older one.

use core::fmt;

use serde::{Deserialize, Serialize};

/// `restore_generation << 32 | count`, for the same reason as in [`crate::fence::Fence`]: a number
/// handed out after a backup was taken must not be handed out again by the restored controller.
/// Count 0 means "never connected".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of an agent that never connected, under this restore generation.
    pub const fn unused(generation: u32) -> Self {
        Self((generation as u64) << 32)
    }

    /// The epoch with these 64 bits, as read from the wire or the store.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The restore generation.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which stream of the agent this is, from 1; 0 before the first.
    pub const fn count(self) -> u32 {
        self.0 as u32
    }

    /// The next epoch under `generation`; `None` when they are used up, or if the generation went
    /// back.
    pub fn next(self, generation: u32) -> Option<Self> {
        if generation < self.generation() {
            return None;
        }
        let count = self.count().checked_add(1)?;
        Some(Self((u64::from(generation) << 32) | u64::from(count)))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation(), self.count())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_grows_with_each_stream_and_with_each_restore_and_never_goes_back() {
        let first = Epoch::unused(0).next(0).unwrap();
        let restored = first.next(1).unwrap();
        assert!(Epoch::unused(0) < first && first < first.next(0).unwrap() && first.next(0).unwrap() < restored);
        assert_eq!(restored.next(0), None);
        assert_eq!(Epoch::from_bits(u64::from(u32::MAX)).next(0), None);
    }
}
