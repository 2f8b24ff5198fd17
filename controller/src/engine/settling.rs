//! Turns that are seen outside before the disk has them.
//!
//! A read that a caller waits for changes nothing, and its answer is kept nowhere: a controller that dies with it loses
//! what nobody would look for. So a turn that changed such runs alone waits for no sync. Only the acknowledgement of a
//! result waits, because its agent forgets it then. Whoever reads the store waits until everything has settled.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use wherry_daemon::store::{Batch, Commit, StoreError};
use wherry_domain::{epoch::Epoch, id::AgentId};

use super::Engine;

/// Turns that may be on their way to the disk; a slow one slows the callers down then.
const MOST: usize = 256;

/// What is on its way to the disk, oldest first.
#[derive(Default)]
pub(super) struct Settling(VecDeque<Unsettled>);

struct Unsettled {
    commits: VecDeque<Commit>,
    acks: Acks,
}

/// The highest number of a result that each session may be told is durable.
pub(super) type Acks = BTreeMap<(AgentId, Epoch), u64>;

impl Settling {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The acknowledgements of the oldest turn, once it is durable; never resolves if there is none. Nothing is lost if
    /// this is dropped before.
    ///
    /// # Errors
    /// If the store failed.
    pub(super) async fn next(&mut self) -> Result<Acks, StoreError> {
        let Some(oldest) = self.0.front_mut() else { return std::future::pending().await };
        while let Some(commit) = oldest.commits.front_mut() {
            commit.await?;
            oldest.commits.pop_front();
        }
        Ok(self.0.pop_front().map(|settled| settled.acks).unwrap_or_default())
    }
}

impl Engine {
    /// Hands commits to the store, which keeps their order.
    pub(super) fn settle_later(&mut self, commits: Vec<Batch>, acks: Acks) {
        if commits.is_empty() && acks.is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        let commits = commits.into_iter().map(|batch| store.commit(batch.essential())).collect();
        self.settling.0.push_back(Unsettled { commits, acks });
    }

    /// Waits until everything is durable, or at least no more is on its way than may be.
    ///
    /// # Errors
    /// If the store failed.
    pub(super) async fn settle(&mut self, everything: bool) -> Result<(), StoreError> {
        while !self.settling.is_empty() && (everything || self.settling.0.len() >= MOST) {
            let acks = self.settling.next().await?;
            self.state.acknowledge(acks);
        }
        Ok(())
    }
}
