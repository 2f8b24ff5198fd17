//! Turns that are seen outside before the disk has them.
//!
//! A read that a caller waits for changes nothing, and its answer is kept nowhere: a controller that dies with it loses
//! what nobody would look for. So a turn that changed such runs alone waits for no sync, and what it changed is kept back
//! for a moment to share one with others. Only the acknowledgement of a result waits, because its agent forgets it then.
//! Whoever reads the store, or changes anything else, has all of it settled first.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    time::Duration,
};

use tokio::time::Sleep;
use wherry_daemon::store::{Batch, Commit, Store, StoreError};
use wherry_domain::{epoch::Epoch, id::AgentId};

use super::Engine;

/// For how long changes are kept back. A sync costs as much for one call as for all of twenty milliseconds, and takes the
/// time away from the next one.
const HELD: Duration = Duration::from_millis(20);
/// Changes that are kept back at most.
const MOST: usize = 256;

/// What the store does not have yet.
#[derive(Default)]
pub(super) struct Settling {
    held: Option<Held>,
    /// On their way to the disk, oldest first.
    under_way: VecDeque<UnderWay>,
}

/// Kept back until the timer ends, or somebody wants to see it.
struct Held {
    commits: Vec<Batch>,
    acks: Acks,
    timer: Pin<Box<Sleep>>,
}

struct UnderWay {
    commits: VecDeque<Commit>,
    acks: Acks,
}

/// The highest number of a result that each session may be told is durable.
pub(super) type Acks = BTreeMap<(AgentId, Epoch), u64>;

impl Settling {
    /// Keeps back what a turn changed.
    pub(super) fn hold(&mut self, commits: Vec<Batch>, acks: Acks) {
        if commits.is_empty() && acks.is_empty() {
            return;
        }
        let held = self.held.get_or_insert_with(|| {
            let timer = Box::pin(tokio::time::sleep(HELD));
            Held { commits: Vec::new(), acks: Acks::new(), timer }
        });
        held.commits.extend(commits);
        for (session, up_to) in acks {
            let known = held.acks.entry(session).or_default();
            *known = up_to.max(*known);
        }
    }

    /// Hands the store what was kept back; it keeps the order.
    pub(super) fn let_go(&mut self, store: &dyn Store) {
        let Some(Held { commits, acks, .. }) = self.held.take() else { return };
        let commits = commits.into_iter().map(|batch| store.commit(batch.essential())).collect();
        self.under_way.push_back(UnderWay { commits, acks });
    }

    /// Acknowledgements of what has become durable; never resolves while nothing is to settle. Nothing is lost if this is
    /// dropped before.
    ///
    /// # Errors
    /// If the store failed.
    pub(super) async fn next(&mut self, store: &dyn Store) -> Result<Acks, StoreError> {
        if self.under_way.is_empty() {
            let Some(held) = &mut self.held else { return std::future::pending().await };
            if held.commits.len() < MOST {
                held.timer.as_mut().await;
            }
            self.let_go(store);
        }
        let Some(oldest) = self.under_way.front_mut() else { return Ok(Acks::new()) };
        while let Some(commit) = oldest.commits.front_mut() {
            commit.await?;
            oldest.commits.pop_front();
        }
        Ok(self.under_way.pop_front().map(|settled| settled.acks).unwrap_or_default())
    }

    /// As [`Settling::next`], at once; nothing, if there is nothing.
    ///
    /// # Errors
    /// If the store failed.
    pub(super) async fn rest(&mut self, store: &dyn Store) -> Result<Option<Acks>, StoreError> {
        self.let_go(store);
        if self.under_way.is_empty() { Ok(None) } else { self.next(store).await.map(Some) }
    }

    /// Whether more is kept back than may be.
    pub(super) fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.commits.len() >= MOST)
    }
}

impl Engine {
    /// Waits until everything is durable.
    ///
    /// # Errors
    /// If the store failed.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        while let Some(acks) = self.settling.rest(self.store.as_ref()).await? {
            self.state.acknowledge(acks);
        }
        Ok(())
    }
}
