//! Fences: numbers that only grow and tell the current attempt of a run from every older one.

use core::fmt;

use serde::{Deserialize, Serialize};

/// `restore_generation << 32 | attempt`.
///
/// The attempt rises by one at each dispatch; the generation rises when the controller is
/// restored from a backup, so that a fence handed out after the backup was taken can never be
/// handed out again. Attempt 0 means "never dispatched".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(u64);

impl Fence {
    /// The fence of a run that was never dispatched, under this restore generation.
    pub const fn unused(generation: u32) -> Self {
        Self((generation as u64) << 32)
    }

    /// The fence with these 64 bits, as read from the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits to put on the wire.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The restore generation.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which dispatch of the run this is, from 1; 0 before the first.
    pub const fn attempt(self) -> u32 {
        self.0 as u32
    }

    /// The next fence under `generation`; `None` when the attempts are used up, or if the
    /// generation went back: a fence never repeats.
    pub fn next(self, generation: u32) -> Option<Self> {
        if generation < self.generation() {
            return None;
        }
        let attempt = self.attempt().checked_add(1)?;
        Some(Self((u64::from(generation) << 32) | u64::from(attempt)))
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation(), self.attempt())
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_grows_with_each_attempt_and_with_each_restore() {
        let first = Fence::unused(0).next(0).unwrap();
        let second = first.next(0).unwrap();
        let restored = first.next(1).unwrap();
        assert!(Fence::unused(0) < first && first < second && second < restored);
        assert_eq!((restored.generation(), restored.attempt()), (1, 2));
    }

    #[test]
    fn a_fence_never_wraps_and_never_goes_back() {
        assert_eq!(Fence::from_bits(u64::from(u32::MAX)).next(0), None);
        assert_eq!(Fence::unused(2).next(1), None);
    }
}
