//! Looking through the whole store once a day: damage that nobody reads is damage that nobody notices.
//!
//! It costs about a second of reading for each 100 MB; commits go on meanwhile. A store that was looked through when
//! it was opened has a day, a larger one is looked through soon after the start.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    clock::Clock,
    store::{Integrity, SledStore},
};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(24 * 3_600);
/// From the start to the first look, if nobody looked when the store was opened.
const SOON: Duration = Duration::from_secs(60);

/// The last look through a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What was found.
    pub integrity: Integrity,
}

/// A store's audits. Clones share them.
#[derive(Clone)]
pub struct Audits {
    look: Arc<dyn Fn() -> Integrity + Send + Sync>,
    clock: Clock,
    last: Arc<Mutex<Option<Audited>>>,
}

impl Audits {
    /// Audits of a store, in which `at_opening` was found when it was opened.
    pub fn of(store: Arc<SledStore>, at_opening: Integrity, clock: Clock) -> Self {
        Self::by(Arc::new(move || store.verify()), at_opening, clock)
    }

    /// Audits that look by other means.
    pub fn by(look: Arc<dyn Fn() -> Integrity + Send + Sync>, at_opening: Integrity, clock: Clock) -> Self {
        let at_ms = clock.wall_unix_millis();
        let last = (at_opening != Integrity::Unchecked).then_some(Audited { at_ms, integrity: at_opening });
        Self { look, clock, last: Arc::new(Mutex::new(last)) }
    }

    /// The last one.
    pub fn last(&self) -> Option<Audited> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks once a day, for as long as it is polled.
    ///
    /// # Errors
    /// If no thread can be had.
    pub async fn keep(self) -> io::Result<Infallible> {
        let mut wait = if self.last().is_some() { EVERY } else { SOON };
        loop {
            self.clock.sleep(wait).await;
            wait = EVERY;
            let started = self.clock.now();
            let integrity = self.look().await?;
            let took = self.clock.now().since(started);
            report(&integrity, took);
            if integrity == Integrity::Unchecked {
                continue;
            }
            let audited = Audited { at_ms: self.clock.wall_unix_millis(), integrity };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(audited);
        }
    }

    /// On a thread that nothing waits for when the process ends.
    async fn look(&self) -> io::Result<Integrity> {
        let (done, found) = oneshot::channel();
        let look = Arc::clone(&self.look);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            // Nobody listens any more if the process stops.
            drop(done.send(look()));
        })?;
        found.await.map_err(io::Error::other)
    }
}

fn report(integrity: &Integrity, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match integrity {
        Integrity::Sound { records } => tracing::info!(records, took_ms, "looked through the store: it is sound"),
        Integrity::Differs(how) => {
            tracing::error!(code = "store.damaged", how, took_ms, "the store is damaged: restore a backup");
        }
        Integrity::Unchecked => tracing::debug!("another look through the store is under way"),
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, sync::mpsc, task::Poll};

    use super::*;
    use wherry_domain::time::Timestamp;

    /// What is found, told from outside; a look waits until it is told.
    fn audits(at_opening: Integrity) -> (Audits, crate::clock::Hand, mpsc::SyncSender<Integrity>) {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        let (tell, told) = mpsc::sync_channel(4);
        let told = Mutex::new(told);
        let look = move || told.lock().unwrap().recv().unwrap();
        (Audits::by(Arc::new(look), at_opening, clock), hand, tell)
    }

    /// Polls `keep` until this was found.
    async fn until(
        keeping: &mut (impl Future<Output = io::Result<Infallible>> + Unpin),
        audits: &Audits,
        wanted: Integrity,
    ) {
        let found = async {
            while audits.last().is_none_or(|last| last.integrity != wanted) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = keeping => panic!("{ended:?}"),
            found = tokio::time::timeout(Duration::from_secs(20), found) => found.unwrap(),
        }
    }

    /// Polls `keep` once, so that it notices the time.
    async fn notice(keeping: &mut (impl Future<Output = io::Result<Infallible>> + Unpin)) {
        let poll = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *keeping).poll(context).is_pending()));
        assert!(poll.await);
    }

    #[tokio::test]
    async fn a_store_is_looked_through_soon_if_nobody_did_and_then_once_a_day() {
        let (audits, hand, tell) = audits(Integrity::Unchecked);
        let mut keeping = std::pin::pin!(audits.clone().keep());
        assert_eq!(audits.last(), None);
        let damaged = Integrity::Differs("1 records are there and 2 should be".to_owned());
        for (wait, found) in [(SOON, Integrity::Sound { records: 2 }), (EVERY, damaged)] {
            notice(&mut keeping).await;
            tell.send(found.clone()).unwrap();
            hand.advance(wait);
            until(&mut keeping, &audits, found).await;
        }
    }

    #[tokio::test]
    async fn a_store_that_was_looked_through_when_it_was_opened_has_a_day() {
        let (opened, looked) = (Integrity::Sound { records: 7 }, Integrity::Sound { records: 8 });
        let (audits, hand, tell) = audits(opened.clone());
        let mut keeping = std::pin::pin!(audits.clone().keep());
        notice(&mut keeping).await;
        tell.send(looked.clone()).unwrap();
        hand.advance(EVERY.saturating_sub(Duration::from_millis(1)));
        notice(&mut keeping).await;
        assert_eq!(audits.last().unwrap().integrity, opened);
        hand.advance(Duration::from_millis(1));
        until(&mut keeping, &audits, looked).await;
    }
}
