//! Callers that submit runs under idempotency keys, however often the controller dies meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Result, anyhow};
use serde_json::json;
use tokio::{
    sync::{Mutex, RwLock},
    task::JoinSet,
};
use wherry_tests::world::{Api, Operation, Project, Run, World, desk::copy};

use super::verdict::{self, Found};

/// What callers ask for, in turn. A success of `chain` starts `after`.
const OPERATIONS: [&str; 4] = ["chain", "copy-keyed", "chain", "copy-unsafe"];
/// Longest time a caller waits for the end of a run before it asks for the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was acknowledged: by run, how it ended, if the caller saw it.
pub(super) type Book = BTreeMap<String, Option<Run>>;

/// The callers; they end when this is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: Mutex<JoinSet<Result<()>>>,
    /// The newest run that was looked at.
    checked: Mutex<Option<String>>,
}

struct Shared {
    /// Held by each caller while it is busy, and as a whole by whoever wants silence.
    busy: RwLock<()>,
    book: Mutex<Book>,
    orders: AtomicU64,
}

/// The desk's project with operations whose every double would show.
pub(super) fn project(world: &World) -> Project {
    let count = Operation::from("tracker", "query", json!({ "path": "/json/1k" }));
    world
        .desk()
        .operation("chain", copy("send.keyed").class("keyed").set("on_success", "after"))
        .operation("after", count)
}

impl Load {
    /// Lets callers loose. Runs that are there already are not theirs.
    pub(crate) async fn start(world: &World, callers: usize) -> Result<Self> {
        let checked = verdict::since(world, None).await?.first().map(|run| run.id.clone());
        let shared = Arc::new(Shared { busy: RwLock::default(), book: Mutex::default(), orders: AtomicU64::new(0) });
        let mut all = JoinSet::new();
        for _ in 0..callers {
            all.spawn(call(world.api.clone(), Arc::clone(&shared)));
        }
        Ok(Self { shared, callers: Mutex::new(all), checked: Mutex::new(checked) })
    }

    /// Waits until every caller pauses, looks at everything that was acknowledged since the last time, and lets them
    /// go on.
    pub(crate) async fn settle(&self, world: &World) -> Result<Found> {
        let silence = self.shared.busy.write().await;
        if let Some(ended) = self.callers.lock().await.try_join_next() {
            ended??;
            return Err(anyhow!("a caller gave up"));
        }
        let book = std::mem::take(&mut *self.shared.book.lock().await);
        let mut checked = self.checked.lock().await;
        let found = verdict::examine(world, &book, &mut checked).await?;
        drop(silence);
        Ok(found)
    }
}

async fn call(api: Api, shared: Arc<Shared>) -> Result<()> {
    loop {
        let _busy = shared.busy.read().await;
        let order = shared.orders.fetch_add(1, SeqCst);
        let operation = OPERATIONS[usize::try_from(order)? % OPERATIONS.len()];
        let run = World::ask(&api, operation).under(format!("order-{order}")).until_heard().await?;
        shared.book.lock().await.insert(run.id.clone(), None);
        let end = tokio::time::timeout(PATIENCE, end(&api, &run.id)).await.ok();
        shared.book.lock().await.insert(run.id, end);
    }
}

/// The run once it is over, asked for again and again.
async fn end(api: &Api, run: &str) -> Run {
    loop {
        let answer = api.get(&format!("/v1/runs/{run}?wait_ms=2000")).await;
        let run = answer.and_then(|answer| answer.accepted()).and_then(Run::read);
        match run {
            Ok(run) if run.is_over() => return run,
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
