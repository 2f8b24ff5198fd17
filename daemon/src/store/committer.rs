//! Group commit: one thread applies what many callers queued and syncs once for all of them.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::{
    Batch, Commit, StoreError,
    batch::Operation,
    pace::{GATHER, Pace},
    stats::Counters,
};
use crate::clock;

/// Most batches that share one sync.
pub(super) const MAX_GROUP: usize = 256;
/// Bytes after which a group takes no further batch: together with the largest batch it stays
/// below one log segment.
const MAX_GROUP_BYTES: usize = 3 * 1024 * 1024;
/// Most batches that may wait: about a second of work for an ordinary disk.
const MAX_QUEUED: usize = 8_192;
/// Most bytes that may wait; bounds the memory of a stalled disk.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// The disk side of group commit.
pub(super) trait Engine: Send + 'static {
    /// Makes all operations visible, atomically and in order.
    fn apply(&mut self, operations: Vec<Operation>) -> Result<(), String>;
    /// Makes everything applied so far durable.
    fn sync(&mut self) -> Result<(), String>;
    /// What is left on the disk.
    fn room(&mut self) -> Room;
}

/// How much may still be written.
#[derive(Debug, Clone)]
pub(super) enum Room {
    /// Anything.
    Free,
    /// Only what may use the reserve; the error says so to everybody else.
    Reserve(StoreError),
    /// Nothing.
    None(StoreError),
}

/// The handle callers submit to; closing it drains the queue.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    counters: Arc<Counters>,
    path: PathBuf,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    bytes: usize,
    /// The committer sleeps until this many batches wait.
    wake_at: usize,
    closed: bool,
    failed: Option<StoreError>,
}

struct Request {
    operations: Vec<Operation>,
    bytes: usize,
    may_use_reserve: bool,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Committer {
    /// Starts the thread. `path` names the store in errors.
    pub(super) fn start(engine: impl Engine, counters: Arc<Counters>, path: PathBuf) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), counters, path });
        let thread = std::thread::Builder::new().name("store-commit".into()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, engine)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues `batch`, whose values are already sealed.
    pub(super) fn submit(&self, batch: Batch) -> Commit {
        let (done, answer) = oneshot::channel();
        if let Err(refusal) = self.shared.enqueue(batch, done) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        Box::pin(async move { answer.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// What stopped the committer, if anything did.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.shared.lock().failed.clone()
    }
}

impl Drop for Committer {
    /// Commits what is queued, then ends the thread.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    /// A panic elsewhere cannot leave the queue half-changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, batch: Batch, done: oneshot::Sender<Result<(), StoreError>>) -> Result<(), StoreError> {
        let bytes = batch.bytes();
        let may_use_reserve = batch.may_use_reserve();
        let mut queue = self.lock();
        if let Some(failure) = &queue.failed {
            return Err(failure.clone());
        }
        if queue.closed {
            return Err(StoreError::Closed);
        }
        let waiting = queue.waiting.len();
        if waiting >= MAX_QUEUED || queue.bytes.saturating_add(bytes) > MAX_QUEUED_BYTES {
            self.counters.refused_busy.fetch_add(1, Relaxed);
            return Err(StoreError::Busy { waiting });
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Request { operations: batch.into_operations(), bytes, may_use_reserve, done });
        let wake = waiting + 1 == queue.wake_at;
        drop(queue);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// The next group, gathered for a moment if more callers are expected; `None` when closed and
    /// drained.
    fn next_group(&self, pace: &mut Pace) -> Option<Vec<Request>> {
        let expected = pace.expected();
        let mut queue = self.lock();
        queue.wake_at = 1;
        queue = self
            .ready
            .wait_while(queue, |queue| queue.waiting.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() < expected && !queue.closed {
            queue.wake_at = expected;
            queue = self
                .ready
                .wait_timeout_while(queue, GATHER, |queue| queue.waiting.len() < expected && !queue.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        queue.wake_at = 0;
        pace.closed(queue.waiting.len(), queue.waiting.len() >= expected);
        let mut group = Vec::with_capacity(queue.waiting.len().min(MAX_GROUP));
        let mut bytes = 0;
        while bytes < MAX_GROUP_BYTES && group.len() < MAX_GROUP {
            let Some(request) = queue.waiting.pop_front() else { break };
            bytes += request.bytes;
            group.push(request);
        }
        queue.bytes -= bytes;
        (!group.is_empty()).then_some(group)
    }

    /// Refuses everything from now on, and everything that waits.
    fn fail(&self, group: Vec<Request>, reason: &str) {
        let failure = StoreError::Fatal { path: self.path.clone(), reason: reason.into() };
        tracing::error!(code = failure.code(), path = %self.path.display(), reason, "the store failed");
        let mut queue = self.lock();
        queue.failed = Some(failure.clone());
        let waiting = std::mem::take(&mut queue.waiting);
        queue.bytes = 0;
        drop(queue);
        for request in group.into_iter().chain(waiting) {
            answer(request.done, Err(failure.clone()));
        }
    }
}

/// A caller who no longer listens has chosen so.
fn answer(done: oneshot::Sender<Result<(), StoreError>>, outcome: Result<(), StoreError>) {
    drop(done.send(outcome));
}

fn run(shared: &Shared, mut engine: impl Engine) {
    let mut pace = Pace::new();
    while let Some(group) = shared.next_group(&mut pace) {
        let mut group = admit(shared, group, engine.room());
        if group.is_empty() {
            continue;
        }
        let bytes: usize = group.iter().map(|request| request.bytes).sum();
        let records: usize = group.iter().map(|request| request.operations.len()).sum();
        let mut operations = Vec::with_capacity(records);
        for request in &mut group {
            operations.append(&mut request.operations);
        }
        let started = clock::monotonic_micros();
        if let Err(reason) = guarded(&mut engine, operations) {
            return shared.fail(group, &reason);
        }
        let micros = clock::monotonic_micros().saturating_sub(started);
        shared.counters.synced(group.len() as u64, records as u64, bytes as u64, micros);
        for request in group {
            answer(request.done, Ok(()));
        }
    }
}

/// Answers those who may not write now and returns the others.
fn admit(shared: &Shared, group: Vec<Request>, room: Room) -> Vec<Request> {
    let (refusal, reserve_open) = match room {
        Room::Free => return group,
        Room::Reserve(refusal) => (refusal, true),
        Room::None(refusal) => (refusal, false),
    };
    let (admitted, refused): (Vec<_>, Vec<_>) =
        group.into_iter().partition(|request| reserve_open && request.may_use_reserve);
    shared.counters.refused_full.fetch_add(refused.len() as u64, Relaxed);
    for request in refused {
        answer(request.done, Err(refusal.clone()));
    }
    admitted
}

/// Applies and syncs; a panic of the engine is a failure like any other.
fn guarded(engine: &mut impl Engine, operations: Vec<Operation>) -> Result<(), String> {
    let work = std::panic::AssertUnwindSafe(|| {
        engine.apply(operations)?;
        engine.sync()
    });
    std::panic::catch_unwind(work).unwrap_or_else(|panic| Err(crate::tasks::panic_text(panic.as_ref())))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::store::Space;

    /// A disk that does what the test tells it at each sync.
    struct Disk {
        applied: Arc<Mutex<Vec<Vec<u8>>>>,
        orders: mpsc::Receiver<Order>,
        room: Arc<Mutex<Room>>,
    }

    enum Order {
        Sync,
        Fail,
        Panic,
    }

    impl Engine for Disk {
        fn apply(&mut self, operations: Vec<Operation>) -> Result<(), String> {
            self.applied.lock().unwrap().extend(operations.into_iter().map(|operation| operation.key));
            Ok(())
        }

        fn sync(&mut self) -> Result<(), String> {
            match self.orders.recv().unwrap() {
                Order::Sync => Ok(()),
                Order::Fail => Err("syncing the log: input/output error".to_owned()),
                Order::Panic => panic!("a defect of the engine"),
            }
        }

        fn room(&mut self) -> Room {
            self.room.lock().unwrap().clone()
        }
    }

    struct Bench {
        committer: Committer,
        orders: mpsc::SyncSender<Order>,
        applied: Arc<Mutex<Vec<Vec<u8>>>>,
        room: Arc<Mutex<Room>>,
        counters: Arc<Counters>,
    }

    fn bench() -> Bench {
        let (orders, received) = mpsc::sync_channel(8);
        let (applied, room) = (Arc::default(), Arc::new(Mutex::new(Room::Free)));
        let counters = Arc::new(Counters::default());
        let disk = Disk { applied: Arc::clone(&applied), orders: received, room: Arc::clone(&room) };
        let committer = Committer::start(disk, Arc::clone(&counters), PathBuf::from("store")).unwrap();
        Bench { committer, orders, applied, room, counters }
    }

    fn batch(key: u8) -> Batch {
        let mut batch = Batch::new();
        batch.put(Space(0), [key], [1]);
        batch
    }

    #[tokio::test]
    async fn nobody_is_answered_before_the_sync_and_all_waiting_share_the_next_one() {
        let bench = bench();
        let mut first = bench.committer.submit(batch(0));
        while bench.applied.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let later: Vec<Commit> = (1..=100).map(|key| bench.committer.submit(batch(key))).collect();
        let waiting = std::future::poll_fn(|context| std::task::Poll::Ready(first.as_mut().poll(context).is_pending()));
        assert!(waiting.await, "applied is not durable");
        bench.orders.send(Order::Sync).unwrap();
        first.await.unwrap();
        bench.orders.send(Order::Sync).unwrap();
        for commit in later {
            commit.await.unwrap();
        }
        assert_eq!(bench.counters.read().syncs, 2);
        let keys: Vec<u8> = bench.applied.lock().unwrap().iter().map(|key| key[1]).collect();
        assert_eq!(keys, (0..=100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn after_a_failed_sync_or_a_panic_nothing_is_acknowledged_any_more() {
        for order in [Order::Fail, Order::Panic] {
            let bench = bench();
            let failing = bench.committer.submit(batch(0));
            while bench.applied.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            let waiting = bench.committer.submit(batch(1));
            bench.orders.send(order).unwrap();
            for commit in [failing, waiting] {
                assert!(commit.await.unwrap_err().is_fatal());
            }
            assert!(bench.committer.submit(batch(2)).await.unwrap_err().is_fatal());
            assert!(bench.committer.failure().is_some());
            assert_eq!(bench.applied.lock().unwrap().len(), 1, "a failed sync is not repeated");
            assert_eq!(bench.counters.read().commits, 0);
        }
    }

    #[tokio::test]
    async fn the_reserve_is_for_those_who_may_use_it_and_the_rest_of_the_disk_for_nobody() {
        let bench = bench();
        let full = StoreError::Full { path: PathBuf::from("store"), free: 1, reserve: 2 };
        *bench.room.lock().unwrap() = Room::Reserve(full.clone());
        bench.orders.send(Order::Sync).unwrap();
        assert_eq!(bench.committer.submit(batch(0)).await.unwrap_err().code(), "store.full");
        bench.committer.submit(batch(1).essential()).await.unwrap();
        *bench.room.lock().unwrap() = Room::None(full);
        assert_eq!(bench.committer.submit(batch(2).essential()).await.unwrap_err().code(), "store.full");
        assert_eq!(bench.counters.read().refused_full, 2);
        *bench.room.lock().unwrap() = Room::Free;
        bench.orders.send(Order::Sync).unwrap();
        bench.committer.submit(batch(3)).await.unwrap();
    }
}
