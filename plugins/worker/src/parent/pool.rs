//! All workers of an agent: one for each trust domain and code, as long as somebody uses it and a while longer.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};
use wherry_host::{HostError, HostSettings, WorkerFault};

use super::{
    code::Compiled,
    starter::Starter,
    worker::{NoWorker, Worker},
};
use crate::frame::Walls;

/// What workers are made with.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The agent's own program.
    pub program: PathBuf,
    /// How it becomes a worker.
    pub arguments: Vec<String>,
    /// The limits of the box inside.
    pub host: HostSettings,
    /// How long a worker without work is kept.
    pub idle: Duration,
    /// How many workers without work are kept.
    pub kept: usize,
}

/// All workers. Clones share them; with the last one they end.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    starter: Starter,
    runtime: Handle,
    settings: Arc<HostSettings>,
    idle: Duration,
    kept: usize,
    places: Mutex<BTreeMap<Key, Place>>,
    codes: AtomicU64,
}

type Key = (Arc<str>, u64);
type Start = Arc<tokio::sync::Mutex<()>>;

/// Where the worker of one domain is.
struct Place {
    worker: Option<Arc<Worker>>,
    /// Only one is started at a time.
    start: Start,
    used: Instant,
}

impl Pool {
    /// A pool without workers. Their frames move on `runtime`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(settings: PoolSettings, runtime: Handle) -> std::io::Result<Self> {
        let PoolSettings { program, arguments, host, idle, kept } = settings;
        let inner = Arc::new(Inner {
            starter: Starter::new(program, arguments)?,
            runtime: runtime.clone(),
            settings: Arc::new(host),
            idle,
            kept,
            places: Mutex::default(),
            codes: AtomicU64::new(0),
        });
        runtime.spawn(tidy(Arc::downgrade(&inner), idle));
        Ok(Self(inner))
    }

    /// Starts a worker without code and asks which walls it could put up.
    ///
    /// # Errors
    /// If no worker starts on this machine.
    pub async fn walls(&self) -> Result<Walls, WorkerFault> {
        let Inner { starter, runtime, settings, .. } = &*self.0;
        match Worker::start(starter, runtime, settings, None).await {
            Ok(worker) => Ok(worker.walls),
            Err(NoWorker::Fault(fault)) => Err(fault),
            Err(NoWorker::Host(error)) => Err(WorkerFault::Start { reason: error.to_string() }),
        }
    }

    /// The processes of the workers there are, for those who measure.
    pub fn processes(&self) -> Vec<u32> {
        self.0.places().values().filter_map(|place| place.worker.as_ref()).map(|worker| worker.pid).collect()
    }

    pub(super) fn number(&self) -> u64 {
        self.0.codes.fetch_add(1, Ordering::Relaxed)
    }

    /// The worker of that domain and code; started, if there is none.
    pub(super) async fn worker(&self, domain: &str, code: &Compiled) -> Result<Arc<Worker>, NoWorker> {
        let inner = &self.0;
        let key: Key = (domain.into(), code.id);
        let start = match inner.find(&key) {
            Ok(worker) => return Ok(worker),
            Err(start) => start,
        };
        let _turn: OwnedMutexGuard<()> = start.lock_owned().await;
        if let Ok(worker) = inner.find(&key) {
            return Ok(worker);
        }
        let failed = |error: std::io::Error| HostError::Unreadable {
            path: "compiled code".to_owned(),
            reason: error.to_string(),
        };
        let file = code.file.try_clone().map_err(failed)?;
        let worker = Arc::new(Worker::start(&inner.starter, &inner.runtime, &inner.settings, Some(file)).await?);
        if let Some(place) = inner.places().get_mut(&key) {
            place.worker = Some(Arc::clone(&worker));
        }
        inner.tidy();
        Ok(worker)
    }

    /// Ends the worker of that domain, if nobody else uses it.
    pub(super) fn end(&self, domain: &str, code: &Compiled) {
        let mut places = self.0.places();
        let key: Key = (domain.into(), code.id);
        let idle = places.get(&key).is_some_and(|place| place.is_idle());
        if idle {
            places.remove(&key);
        }
    }
}

impl Inner {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Key, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key) -> Result<Arc<Worker>, Start> {
        let mut places = self.places();
        let place =
            places.entry(key.clone()).or_insert_with(|| Place { worker: None, start: Start::default(), used: now() });
        place.used = now();
        match &place.worker {
            Some(worker) if worker.is_alive() => Ok(Arc::clone(worker)),
            Some(_) | None => {
                place.worker = None;
                Err(Arc::clone(&place.start))
            }
        }
    }

    /// Ends workers that nobody used for long, and the longest unused beyond the number that is kept.
    fn tidy(&self) {
        let now = now();
        let mut ended = Vec::new();
        let mut places = self.places();
        for place in places.values_mut().filter(|place| !place.is_idle()) {
            place.used = now;
        }
        let mut idle: Vec<_> =
            places.iter().filter(|(_, place)| place.is_idle()).map(|(key, place)| (place.used, key.clone())).collect();
        idle.sort();
        let surplus = idle.len().saturating_sub(self.kept);
        for (n, (used, key)) in idle.into_iter().enumerate() {
            if n < surplus || now.saturating_duration_since(used) >= self.idle {
                ended.extend(places.remove(&key));
            }
        }
        drop(places);
        // Ending them takes a moment, which nobody else has to wait for.
        drop(ended);
    }
}

impl Place {
    fn is_idle(&self) -> bool {
        // Whoever holds the worker or its turn to be started uses it.
        let held = self.worker.as_ref().is_some_and(|worker| Arc::strong_count(worker) > 1 || !worker.is_idle());
        !held && Arc::strong_count(&self.start) == 1
    }
}

async fn tidy(pool: Weak<Inner>, idle: Duration) {
    // Twice in that time, so that nothing stays much longer than it should.
    let pause = (idle / 2).max(Duration::from_millis(50));
    loop {
        sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.tidy();
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures how long a process has nothing to do, which no test turns")]
fn now() -> Instant {
    Instant::now()
}
