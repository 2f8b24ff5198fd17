//! The controller's part of sharing tokens, in memory: one owner per connection, numbers that only grow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::watch;
use wherry_agent::oauth::copies::{Copies, CopiesError, Copy, GroupKey, Intent, Ownership, PublishError};
use wherry_daemon::clock::Clock;
use wherry_domain::{connection::ConnectionPath, failure::Failure, id::FlowId, owner::OwnerFence};
use wherry_trust::seal_local::LocalKey;
use zeroize::Zeroizing;

#[derive(Clone)]
pub(crate) struct Hub {
    entries: Arc<Mutex<HashMap<ConnectionPath, Entry>>>,
    key: Arc<LocalKey>,
    changed: watch::Sender<u64>,
}

#[derive(Clone, Default)]
struct Entry {
    owner: Option<String>,
    fence: u64,
    generation: u64,
    copy: Option<Copy>,
    announced: Option<(String, u64)>,
    /// The next one that publishes hears that this generation, with this copy, was faster.
    overtaken: Option<(u64, Option<Copy>)>,
}

/// One agent's way to the hub.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) hub: Hub,
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) offline: Arc<std::sync::atomic::AtomicBool>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let key = Arc::new(LocalKey::generate().unwrap());
        Self { entries: Arc::default(), key, changed: watch::Sender::new(0) }
    }

    pub(crate) fn member(&self, name: &str, clock: Clock) -> Member {
        Member { hub: self.clone(), name: name.to_owned(), clock, offline: Arc::default() }
    }

    /// The owner is lost: the next one who asks has the connection.
    /// As a controller seals it to the group.
    pub(crate) fn sealed(&self, content: impl AsRef<[u8]>, flow: FlowId) -> Vec<u8> {
        self.key.seal(flow.to_string().as_bytes(), content.as_ref()).unwrap()
    }

    pub(crate) fn release(&self, connection: &ConnectionPath) {
        self.entries.lock().unwrap().entry(connection.clone()).or_default().owner = None;
    }

    pub(crate) fn copy(&self, connection: &ConnectionPath) -> Option<Copy> {
        self.entries.lock().unwrap().get(connection).and_then(|entry| entry.copy.clone())
    }

    pub(crate) fn overtake(&self, connection: &ConnectionPath, generation: u64, copy: Option<Copy>) {
        self.entries.lock().unwrap().entry(connection.clone()).or_default().overtaken = Some((generation, copy));
    }

    pub(crate) fn overtakes(&self, connection: &ConnectionPath) -> bool {
        self.entries.lock().unwrap().get(connection).is_some_and(|entry| entry.overtaken.is_some())
    }

    pub(crate) fn generation(&self, connection: &ConnectionPath) -> u64 {
        self.entries.lock().unwrap().get(connection).map_or(0, |entry| entry.generation)
    }
}

impl Member {
    fn is_offline(&self) -> bool {
        self.offline.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Copies for Member {
    fn claim<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        have: u64,
        intent: Intent,
    ) -> BoxFuture<'a, Result<Ownership, CopiesError>> {
        Box::pin(async move {
            if self.is_offline() {
                return Err(CopiesError::Offline);
            }
            tokio::task::yield_now().await;
            let mut entries = self.hub.entries.lock().unwrap();
            let entry = entries.entry(connection.clone()).or_default();
            if entry.owner.is_none() {
                entry.owner = Some(self.name.clone());
                entry.fence += 1;
            }
            let owner = entry.owner.as_deref() == Some(&self.name);
            let in_doubt = entry.announced.as_ref().is_some_and(|(by, at)| *by != self.name && *at == have);
            if owner && intent == Intent::Refresh && have == entry.generation {
                entry.announced = Some((self.name.clone(), have));
            }
            Ok(Ownership {
                owner,
                fence: OwnerFence::from_bits(entry.fence),
                until: self.clock.now().plus(Duration::from_secs(60)),
                generation: entry.generation,
                newest: entry.copy.clone().filter(|copy| copy.generation > have),
                in_doubt: owner && in_doubt,
                holder: entry.owner.clone().unwrap_or_default(),
            })
        })
    }

    fn publish<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        _: OwnerFence,
        generation: u64,
        sealed: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            if self.is_offline() {
                return Err(PublishError::Copies(CopiesError::Offline));
            }
            tokio::task::yield_now().await;
            let mut entries = self.hub.entries.lock().unwrap();
            let entry = entries.entry(connection.clone()).or_default();
            if let Some((generation, newest)) = entry.overtaken.take() {
                return Err(PublishError::Conflict { newest, generation });
            }
            if generation <= entry.generation {
                return Err(PublishError::Conflict { newest: entry.copy.clone(), generation: entry.generation });
            }
            entry.generation = generation;
            entry.announced = None;
            entry.copy = (!sealed.is_empty()).then_some(Copy { generation, sealed });
            drop(entries);
            self.hub.changed.send_modify(|changes| *changes += 1);
            Ok(())
        })
    }

    fn wanted<'a>(
        &'a self,
        connection: &'a ConnectionPath,
        generation: u64,
    ) -> BoxFuture<'a, Result<Copy, CopiesError>> {
        Box::pin(async move {
            let mut changed = self.hub.changed.subscribe();
            let newer = async {
                loop {
                    let known = self.hub.entries.lock().unwrap().get(connection).and_then(|entry| entry.copy.clone());
                    if let Some(copy) = known.filter(|copy| copy.generation > generation) {
                        return copy;
                    }
                    changed.changed().await.unwrap();
                }
            };
            tokio::time::timeout(Duration::from_secs(10), newer).await.map_err(|_| CopiesError::Offline)
        })
    }

    fn trouble(&self, _: &ConnectionPath, _: Option<Failure>) {}
}

impl GroupKey for Member {
    fn seal(&self, connection: &ConnectionPath, generation: u64, plain: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(Some(self.hub.key.seal(format!("{connection}/{generation}").as_bytes(), plain).unwrap()))
    }

    fn open(&self, connection: &ConnectionPath, copy: &Copy) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let place = format!("{connection}/{}", copy.generation);
        Ok(self.hub.key.open(place.as_bytes(), &copy.sealed).unwrap())
    }

    fn open_code(&self, flow: FlowId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Ok(self.hub.key.open(flow.to_string().as_bytes(), sealed).unwrap())
    }
}
