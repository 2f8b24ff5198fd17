//! Which agent of a group refreshes the tokens of a connection: one at a time, under a fence.
//!
//! ```text
//! nobody ─claim─► agent a, fence f ─(a gone longer than its lease, its tokens known)─ claim of b ─► agent b, fence f+1
//!                     └─ publish(f, generation n+1): only under the current fence, only upwards
//! ```
//!
//! Where refresh tokens rotate, two agents that use the same one are taken for a thief and all tokens of the family are
//! revoked. So a refresh is announced before it is made, whoever takes over learns whether one was under way, and
//! nobody takes over tokens that it cannot know.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{fence::Fence, id::AgentId, lease::LeaseTerms, time::Timestamp};

/// Tells the present owner of a connection from every earlier one: `restore generation << 32 | count`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerFence(Fence);

impl OwnerFence {
    /// Before the first owner.
    pub const NONE: Self = Self(Fence::unused(0));

    /// The fence with these 64 bits, as read from the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(Fence::from_bits(bits))
    }

    /// The 64 bits to put on the wire.
    pub const fn bits(self) -> u64 {
        self.0.bits()
    }
}

impl fmt::Display for OwnerFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for OwnerFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is stored of the ownership of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The owner, if there is one.
    #[serde(default)]
    pub owner: Option<AgentId>,
    /// Of the present owner, or of the last one.
    pub fence: OwnerFence,
    /// Number of the newest tokens; 0 for none. Only grows.
    pub generation: u64,
    /// Whether a copy of these tokens is there that other agents of the group can open.
    #[serde(default)]
    pub copied: bool,
    /// A refresh that was announced and of which nothing was heard yet.
    #[serde(default)]
    pub announced: Option<Announced>,
}

/// A refresh that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// By this agent.
    pub agent: AgentId,
    /// The owner under this fence.
    pub fence: OwnerFence,
    /// Of the tokens with this number.
    pub generation: u64,
}

/// What is known of the present owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, or silent for less than its lease.
    Here,
    /// It is silent for longer than its lease, or locked out.
    Gone,
    /// It was removed for good.
    Removed,
}

/// Why an agent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To know whether it is the owner, and the newest tokens.
    Look,
    /// It is about to use the refresh token.
    Refresh,
}

/// A claim of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Who asks.
    pub agent: AgentId,
    /// Number of the tokens that it has itself; 0 for none.
    pub have: u64,
    /// Why.
    pub intent: Intent,
    /// What is known of the present owner.
    pub standing: Standing,
}

/// What a claim was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Whether who asked is the owner now.
    pub owner: bool,
    /// An earlier owner announced a refresh of the newest tokens and never told what came of it.
    pub in_doubt: bool,
    /// Whether something changed that must be durable before the answer is seen.
    pub changed: bool,
}

/// Why tokens were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Somebody else is the owner now.
    Fence,
    /// Newer or equally new tokens are there.
    Generation,
}

/// The ownership of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    stored: Stored,
    /// When the present owner was last told that it may refresh.
    granted: Timestamp,
}

impl Owner {
    /// Of a connection that nobody has asked about.
    pub const fn none(now: Timestamp) -> Self {
        let stored = Stored { owner: None, fence: OwnerFence::NONE, generation: 0, copied: false, announced: None };
        Self { stored, granted: now }
    }

    /// Read back after a restart: the owner counts as told just now.
    pub const fn restored(stored: Stored, now: Timestamp) -> Self {
        Self { stored, granted: now }
    }

    /// What is to be stored.
    pub const fn stored(&self) -> Stored {
        self.stored
    }

    /// The owner, if there is one.
    pub const fn agent(&self) -> Option<AgentId> {
        self.stored.owner
    }

    /// Until when the present owner may be refreshing, as the controller must assume.
    pub fn bound_until(&self, terms: LeaseTerms) -> Timestamp {
        terms.lost_at(self.granted, core::time::Duration::ZERO)
    }

    /// An agent wants to refresh, or to know whether it may. `generation` is the controller's restore generation.
    pub fn claim(&mut self, claim: Claim, generation: u32, terms: LeaseTerms, now: Timestamp) -> Claimed {
        let before = self.stored;
        let owner = self.stored.owner == Some(claim.agent)
            || (self.may_pass(&claim, terms, now) && self.pass_to(claim.agent, generation));
        // Tokens of a controller that was restored from a copy: the agent has newer ones than are known here.
        let newest = self.stored.generation.max(claim.have);
        let in_doubt = self
            .stored
            .announced
            .is_some_and(|announced| announced.generation == newest && announced.fence != self.stored.fence);
        if owner {
            self.granted = now;
            match claim.intent {
                Intent::Look => {}
                Intent::Refresh if in_doubt => {}
                Intent::Refresh => {
                    let (agent, fence) = (claim.agent, self.stored.fence);
                    self.stored.announced = Some(Announced { agent, fence, generation: newest });
                }
            }
        }
        Claimed { owner, in_doubt: owner && in_doubt, changed: self.stored != before }
    }

    /// Whether somebody else than the present owner may become it.
    fn may_pass(&self, claim: &Claim, terms: LeaseTerms, now: Timestamp) -> bool {
        if self.stored.owner.is_none() {
            return true;
        }
        let known = self.stored.copied || claim.have >= self.stored.generation;
        match claim.standing {
            Standing::Here => false,
            Standing::Gone => known && now >= self.bound_until(terms),
            Standing::Removed => now >= self.bound_until(terms),
        }
    }

    /// A person connects the account anew, through this agent: whatever tokens there were will not be used again.
    /// `false` if the present owner may still be refreshing, or the fences are used up.
    pub fn assign(
        &mut self,
        agent: AgentId,
        standing: Standing,
        generation: u32,
        terms: LeaseTerms,
        now: Timestamp,
    ) -> bool {
        let free = match (self.stored.owner, standing) {
            (None, _) => true,
            (Some(owner), _) if owner == agent => true,
            (Some(_), Standing::Here) => false,
            (Some(_), Standing::Gone | Standing::Removed) => now >= self.bound_until(terms),
        };
        let assigned = free && (self.stored.owner == Some(agent) || self.pass_to(agent, generation));
        if assigned {
            self.granted = now;
        }
        assigned
    }

    fn pass_to(&mut self, agent: AgentId, generation: u32) -> bool {
        let Some(fence) = self.stored.fence.0.next(generation) else { return false };
        self.stored.fence = OwnerFence(fence);
        self.stored.owner = Some(agent);
        true
    }

    /// The owner has new tokens. `copied`: with a copy for the group. Whoever announced a refresh and lost the
    /// ownership on the way may still hand in what came of it, as long as nobody has newer tokens.
    ///
    /// # Errors
    /// If it is the owner no longer, or the tokens are not newer than those known.
    pub fn publish(&mut self, agent: AgentId, fence: OwnerFence, generation: u64, copied: bool) -> Result<(), Stale> {
        let owns = self.stored.owner == Some(agent) && self.stored.fence == fence;
        let announced = self.stored.announced.filter(|one| one.agent == agent && one.fence == fence);
        let late = announced.is_some_and(|one| one.generation.checked_add(1) == Some(generation) && copied);
        if !owns && !late {
            return Err(Stale::Fence);
        }
        let first_copy = generation == self.stored.generation && copied && !self.stored.copied;
        if generation <= self.stored.generation && !first_copy {
            return Err(Stale::Generation);
        }
        self.stored = Stored { generation, copied, announced: None, ..self.stored };
        Ok(())
    }

    /// The tokens are given back: nobody is the owner, and what was copied counts no more.
    pub const fn released(&mut self) {
        let generation = self.stored.generation.saturating_add(1);
        self.stored = Stored { owner: None, generation, copied: false, announced: None, ..self.stored };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    const TERMS: LeaseTerms =
        LeaseTerms { term: Duration::from_secs(60), grace: Duration::from_secs(15), margin: Duration::from_secs(10) };
    const A: AgentId = AgentId::from_u128(1);
    const B: AgentId = AgentId::from_u128(2);
    const START: Timestamp = Timestamp::from_millis(0);
    const LATER: Timestamp = Timestamp::from_millis(75_000);

    fn claim(owner: &mut Owner, agent: AgentId, have: u64, standing: Standing, now: Timestamp) -> Claimed {
        owner.claim(Claim { agent, have, intent: Intent::Refresh, standing }, 0, TERMS, now)
    }

    #[test]
    fn the_first_who_asks_becomes_the_owner_and_the_second_does_not() {
        let mut owner = Owner::none(START);
        assert_eq!(
            claim(&mut owner, A, 0, Standing::Removed, START),
            Claimed { owner: true, in_doubt: false, changed: true }
        );
        assert!(!claim(&mut owner, B, 0, Standing::Here, LATER).owner);
        assert_eq!(owner.agent(), Some(A));
    }

    #[test]
    fn a_lost_owner_is_followed_only_after_its_lease_and_only_by_who_can_know_its_tokens() {
        let mut owner = Owner::none(START);
        claim(&mut owner, A, 0, Standing::Removed, START);
        owner.publish(A, owner.stored().fence, 1, false).unwrap();
        assert!(!claim(&mut owner, B, 0, Standing::Gone, LATER).owner, "it has not got the tokens");
        owner.publish(A, owner.stored().fence, 2, true).unwrap();
        assert!(!claim(&mut owner, B, 0, Standing::Gone, Timestamp::from_millis(74_999)).owner);
        assert!(claim(&mut owner, B, 0, Standing::Gone, LATER).owner);
        assert_eq!(owner.publish(A, OwnerFence::from_bits(1), 3, true), Err(Stale::Fence));
        assert_eq!(owner.publish(B, owner.stored().fence, 2, true), Err(Stale::Generation));
    }

    #[test]
    fn whoever_follows_learns_of_a_refresh_that_was_under_way() {
        let mut owner = Owner::none(START);
        claim(&mut owner, A, 0, Standing::Removed, START);
        owner.publish(A, owner.stored().fence, 1, true).unwrap();
        assert!(!claim(&mut owner, A, 1, Standing::Here, START).in_doubt, "it knows itself what it did");
        assert!(claim(&mut owner, B, 1, Standing::Gone, LATER).in_doubt);
        assert!(claim(&mut owner, B, 1, Standing::Here, LATER).in_doubt, "until something comes of it");
        owner.publish(B, owner.stored().fence, 2, true).unwrap();
        assert!(!claim(&mut owner, B, 2, Standing::Here, LATER).in_doubt);
    }

    #[test]
    fn what_came_of_an_announced_refresh_is_taken_late_unless_somebody_has_newer_tokens() {
        let mut owner = Owner::none(START);
        claim(&mut owner, A, 0, Standing::Removed, START);
        let first = owner.stored().fence;
        owner.publish(A, first, 1, true).unwrap();
        claim(&mut owner, A, 1, Standing::Here, START);
        claim(&mut owner, B, 1, Standing::Gone, LATER);
        let mut overtaken = owner.clone();
        assert_eq!(owner.publish(A, first, 2, true), Ok(()));
        assert_eq!(owner.publish(B, owner.stored().fence, 2, true), Err(Stale::Generation), "it reads the newer ones");
        overtaken.publish(B, overtaken.stored().fence, 2, true).unwrap();
        assert_eq!(overtaken.publish(A, first, 2, true), Err(Stale::Fence));
        assert_eq!(overtaken.publish(A, first, 3, true), Err(Stale::Fence));
    }

    #[test]
    fn given_back_tokens_can_be_had_anew_and_never_under_an_old_number() {
        let mut owner = Owner::none(START);
        claim(&mut owner, A, 0, Standing::Removed, START);
        owner.publish(A, owner.stored().fence, 5, true).unwrap();
        owner.released();
        assert_eq!((owner.agent(), owner.stored().generation, owner.stored().copied), (None, 6, false));
        assert!(owner.assign(B, Standing::Removed, 0, TERMS, START));
        assert_eq!(owner.publish(B, owner.stored().fence, 6, true), Ok(()));
    }

    #[test]
    fn connecting_anew_moves_the_ownership_unless_the_owner_is_there() {
        let mut owner = Owner::none(START);
        claim(&mut owner, A, 0, Standing::Removed, START);
        owner.publish(A, owner.stored().fence, 1, false).unwrap();
        assert!(!owner.assign(B, Standing::Here, 0, TERMS, LATER));
        assert!(!owner.assign(B, Standing::Gone, 0, TERMS, START), "it may be refreshing");
        assert!(owner.assign(B, Standing::Gone, 0, TERMS, LATER));
        assert_eq!(owner.agent(), Some(B));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Claim(u128, Standing),
        Publish(u128, u64, bool),
        Wait(u64),
        Restore,
    }

    fn acts() -> impl Strategy<Value = Act> {
        let standing = prop_oneof![Just(Standing::Here), Just(Standing::Gone), Just(Standing::Removed)];
        prop_oneof![
            (1..4_u128, standing).prop_map(|(agent, standing)| Act::Claim(agent, standing)),
            (1..4_u128, 0..6_u64, any::<bool>()).prop_map(|(agent, n, copied)| Act::Publish(agent, n, copied)),
            (0..100_000_u64).prop_map(Act::Wait),
            Just(Act::Restore),
        ]
    }

    proptest! {
        /// Two agents never hold the right to refresh at the same time: whoever held it before was told so longer ago
        /// than its lease. Fence and generation never go back.
        #[test]
        fn the_right_to_refresh_is_never_held_twice(acts in prop::collection::vec(acts(), 1..60)) {
            let (mut owner, mut now, mut restores) = (Owner::none(START), START, 0);
            let mut rights: std::collections::BTreeMap<AgentId, Timestamp> = std::collections::BTreeMap::new();
            for act in acts {
                let before = owner.stored();
                match act {
                    Act::Claim(id, standing) => {
                        let agent = AgentId::from_u128(id);
                        let claim = Claim { agent, have: 0, intent: Intent::Refresh, standing };
                        if owner.claim(claim, restores, TERMS, now).owner {
                            let others = rights.iter().filter(|(other, _)| **other != agent);
                            for (other, told) in others {
                                prop_assert!(now.since(*told) >= TERMS.term + TERMS.grace, "{other} {told:?} {now:?}");
                            }
                            rights.insert(agent, now);
                        }
                    }
                    Act::Publish(id, generation, copied) => {
                        let _ = owner.publish(AgentId::from_u128(id), before.fence, generation, copied);
                    }
                    Act::Wait(millis) => now = now.plus(Duration::from_millis(millis)),
                    Act::Restore => {
                        restores += 1;
                        owner = Owner::restored(owner.stored(), now);
                    }
                }
                let after = owner.stored();
                prop_assert!(after.fence >= before.fence && after.generation >= before.generation);
                prop_assert!(after.owner == before.owner || after.fence > before.fence);
            }
        }
    }
}
