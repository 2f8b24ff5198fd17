//! Permits for runs: without one the agent takes no work.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many runs this agent holds at once.
#[derive(Clone, Debug)]
pub struct Slots {
    total: u32,
    free: Arc<Semaphore>,
}

/// The right to hold one run; gives its slot back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _slot: OwnedSemaphorePermit,
}

impl Slots {
    /// All of them free.
    pub fn new(total: u32) -> Self {
        Self { total, free: Arc::new(Semaphore::new(total as usize)) }
    }

    /// A slot, if one is free.
    pub fn take(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|slot| Permit { _slot: slot })
    }

    /// How many there are.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// How many are free.
    pub fn free(&self) -> u32 {
        u32::try_from(self.free.available_permits()).unwrap_or(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_when_its_permit_is_dropped() {
        let slots = Slots::new(1);
        let permit = slots.take().unwrap();
        assert!(slots.take().is_none());
        assert_eq!((slots.total(), slots.free()), (1, 0));
        drop(permit);
        assert!(slots.take().is_some());
    }
}
