//! Permits for runs: without one the agent takes no work.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use wherry_daemon::clock::Clock;

use crate::policy::{Policy, Refusal};

/// How many runs this agent holds at once: as many as its configuration says, or fewer where its owner's policy does.
#[derive(Clone, Debug)]
pub struct Slots {
    total: u32,
    free: Arc<Semaphore>,
    policy: Policy,
    clock: Clock,
}

/// The right to hold one run; gives its slot back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _slot: OwnedSemaphorePermit,
}

impl Slots {
    /// All of them free.
    pub fn new(total: u32, policy: Policy, clock: Clock) -> Self {
        Self { total, free: Arc::new(Semaphore::new(total as usize)), policy, clock }
    }

    /// A slot, if one is free.
    pub fn take(&self) -> Option<Permit> {
        if self.taken() >= self.total() {
            return None;
        }
        Arc::clone(&self.free).try_acquire_owned().ok().map(|slot| Permit { _slot: slot })
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        self.policy.rules().slots().map_or(self.total, |most| most.min(self.total))
    }

    /// How many are offered: none while the owner allows no work.
    pub fn free(&self) -> u32 {
        match self.open() {
            Ok(()) => self.total().saturating_sub(self.taken()),
            Err(_) => 0,
        }
    }

    /// Whether the owner allows work now.
    ///
    /// # Errors
    /// If not, with when to try again.
    pub fn open(&self) -> Result<(), Refusal> {
        self.policy.rules().work(self.clock.wall_unix_millis())
    }

    /// Moves when the owner's policy changes, and with it perhaps how many are offered.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.policy.changes()
    }

    fn taken(&self) -> u32 {
        self.total.saturating_sub(u32::try_from(self.free.available_permits()).unwrap_or(self.total))
    }
}

#[cfg(test)]
mod tests {
    use wherry_domain::time::Timestamp;

    use super::*;
    use crate::policy::RawPolicy;

    fn slots(total: u32, policy: &str) -> (Slots, wherry_daemon::clock::Hand) {
        let raw: RawPolicy =
            wherry_daemon::config::parse(policy.to_owned(), std::path::Path::new("policy.toml")).unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        (Slots::new(total, Policy::of(raw).unwrap(), clock), hand)
    }

    #[test]
    fn a_slot_comes_back_when_its_permit_is_dropped() {
        let (slots, _hand) = slots(1, "");
        let permit = slots.take().unwrap();
        assert!(slots.take().is_none());
        assert_eq!((slots.total(), slots.free()), (1, 0));
        drop(permit);
        assert!(slots.take().is_some());
    }

    #[test]
    fn there_are_never_more_than_the_policy_allows() {
        let (slots, _hand) = slots(8, "[work]\nslots = 2\n");
        let (one, _other) = (slots.take().unwrap(), slots.take().unwrap());
        assert!(slots.take().is_none());
        assert_eq!((slots.total(), slots.free()), (2, 0));
        drop(one);
        assert_eq!(slots.free(), 1);
        assert_eq!(self::slots(1, "[work]\nslots = 2\n").0.total(), 1, "it never widens");
    }

    #[test]
    fn outside_of_the_hours_none_is_offered() {
        let text = "[work]\nhours = [{ from = \"08:00\", to = \"18:00\" }]\ntimezone = \"UTC\"\n";
        let (slots, hand) = slots(4, text);
        hand.set_wall_unix_millis(9 * 3_600_000);
        assert!(slots.open().is_ok() && slots.free() == 4);
        hand.set_wall_unix_millis(20 * 3_600_000);
        assert_eq!((slots.open().unwrap_err().code().as_str(), slots.free()), ("agent_policy.hours", 0));
        assert_eq!(slots.total(), 4, "they are there all the same");
    }
}
