//! What the box around a connector costs, against the same messages between native tasks.

use std::{
    fs,
    future::ready,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use http::{HeaderName, Request};
use serde_json::{Map, Value, json};
use tokio::{runtime::Handle, sync::mpsc};
use wherry_host::{
    Batch, Blobs, Body, Call, Connector, Egress, EgressError, EgressFuture, FromConnector, Host, HostSettings, Task,
    ToConnector,
};
use wherry_worker::{Apart, Code, Pool, PoolSettings, Runner};

use crate::{
    bed::component,
    process::{own_pss_kib, program, pss_kib},
};

const CALLS: usize = 5_000;
const LOADS: usize = 50;
const WAITING: usize = 200;
/// Workers started one after another.
const STARTS: usize = 20;

/// Measures loading, starting, calling and keeping instances.
///
/// # Errors
/// If the connector cannot be built, loaded or run.
pub(crate) async fn measure() -> anyhow::Result<Map<String, Value>> {
    let host = Host::new(HostSettings { instances: 2 * WAITING, ..HostSettings::default() })?;
    let dir = tempfile::tempdir()?;
    let compiled = dir.path().join("synthetic.cwasm");
    fs::write(&compiled, host.compile(&fs::read(component("synthetic")?)?)?)?;
    let load = median(LOADS, || {
        let loaded = host.load(&compiled);
        ready(loaded.map(drop).map_err(Into::into))
    });
    let load = load.await?;
    let connector = host.load(&compiled)?;
    let first = median(CALLS, || first_call(connector.clone())).await?;
    let native = round_trips(native_target).await?;
    let warm = round_trips(|inbox, outbox| boxed_target(connector.clone(), inbox, outbox)).await?;
    let mut figures = Map::new();
    let mut figure = |name: &str, value: f64| figures.insert(name.to_owned(), json!((value * 10.0).round() / 10.0));
    figure("load_us", micros(load));
    figure("instantiate_and_first_call_us", micros(first));
    figure("native_call_us", micros(native));
    figure("warm_call_us", micros(warm));
    figure("warm_call_above_native_us", micros(warm) - micros(native));
    figure("waiting_instance_kib", waiting(&connector).await?);
    let through = workers(&compiled).await?;
    figures.extend(through.into_iter().map(|(name, value)| (name.to_owned(), json!((value * 10.0).round() / 10.0))));
    Ok(figures)
}

/// The same through a worker process.
async fn workers(compiled: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let settings = PoolSettings {
        program: program("wherry-agent")?,
        arguments: vec!["worker".to_owned()],
        host: HostSettings { instances: 144, ..HostSettings::default() },
        idle: Duration::from_secs(60),
        kept: STARTS,
    };
    let pool = Pool::new(settings, Handle::current())?;
    let code = Code::Apart(Apart::open(&pool, compiled)?);
    let mut number = 0;
    let start = median(STARTS, || {
        number += 1;
        first_in_worker(code.of(&number.to_string()))
    });
    let start = start.await?;
    let runner = code.of("1");
    let first = median(CALLS, || first_in_worker(runner.clone())).await?;
    let warm = round_trips(|inbox, outbox| target_in_worker(runner.clone(), inbox, outbox)).await?;
    let mut figures = vec![
        ("worker_start_and_first_call_us", micros(start)),
        ("worker_instantiate_and_first_call_us", micros(first)),
        ("worker_warm_call_us", micros(warm)),
    ];
    let processes = pool.processes();
    let memory: anyhow::Result<Vec<u64>> = processes.iter().map(|process| pss_kib(*process)).collect();
    match memory {
        Ok(memory) => figures.push(("worker_kib", memory.iter().sum::<u64>() as f64 / processes.len().max(1) as f64)),
        Err(_) => eprintln!("skipped: the memory of workers, which only root may see"),
    }
    Ok(figures)
}

async fn first_in_worker(runner: Runner) -> anyhow::Result<()> {
    let (_to, inbox) = mpsc::channel(2);
    let (outbox, _from) = mpsc::channel(2);
    let task = Task { call: Call::Test, ..task() };
    let ran = runner.run_with(task, Arc::new(Locked), inbox, outbox, Blobs::new(0)).await;
    ran.map(drop).map_err(|fault| anyhow!("{fault}"))
}

async fn target_in_worker(
    runner: Runner,
    inbox: mpsc::Receiver<ToConnector>,
    outbox: mpsc::Sender<FromConnector>,
) -> anyhow::Result<()> {
    let task = Task { activity: "discard".to_owned(), has_input: true, ..task() };
    let ran = runner.run_with(task, Arc::new(Locked), inbox, outbox, Blobs::new(0)).await;
    ran.map(drop).map_err(|fault| anyhow!("{fault}"))
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

async fn median<F>(times: usize, mut work: impl FnMut() -> F) -> anyhow::Result<Duration>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        work().await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took.get(times / 2).copied().context("nothing was measured")
}

/// A whole invocation that does nothing: an instance is made, called and dropped.
async fn first_call(connector: Connector) -> anyhow::Result<()> {
    let (_to, inbox) = mpsc::channel(2);
    let (outbox, _from) = mpsc::channel(2);
    let task = Task { call: Call::Test, ..task() };
    connector.run(task, Arc::new(Locked), inbox, outbox).await.map_err(|fault| anyhow!("{fault}"))?;
    Ok(())
}

/// Median time from a batch of one record to its acknowledgement, on a target that waits for it.
async fn round_trips<F>(
    target: impl FnOnce(mpsc::Receiver<ToConnector>, mpsc::Sender<FromConnector>) -> F,
) -> anyhow::Result<Duration>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (to, inbox) = mpsc::channel(2);
    let (outbox, mut from) = mpsc::channel(2);
    let target = tokio::spawn(target(inbox, outbox));
    let record = Batch { count: 1, data: r#"{"id":1}"#.to_owned().into_bytes().into() };
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        to.send(ToConnector::Batch(record.clone())).await?;
        from.recv().await.context("the target ended")?;
        took.push(begun.elapsed());
    }
    to.send(ToConnector::End).await?;
    target.await??;
    took.sort_unstable();
    took.get(CALLS / 2).copied().context("nothing was measured")
}

async fn native_target(
    mut inbox: mpsc::Receiver<ToConnector>,
    outbox: mpsc::Sender<FromConnector>,
) -> anyhow::Result<()> {
    let mut up_to = 0;
    while let Some(ToConnector::Batch(batch)) = inbox.recv().await {
        up_to += u64::from(batch.count);
        outbox.send(FromConnector::Acked { up_to }).await?;
    }
    Ok(())
}

async fn boxed_target(
    connector: Connector,
    inbox: mpsc::Receiver<ToConnector>,
    outbox: mpsc::Sender<FromConnector>,
) -> anyhow::Result<()> {
    let task = Task { activity: "discard".to_owned(), has_input: true, ..task() };
    connector.run(task, Arc::new(Locked), inbox, outbox).await.map_err(|fault| anyhow!("{fault}"))?;
    Ok(())
}

/// KiB of this process for each instance that waits for records.
async fn waiting(connector: &Connector) -> anyhow::Result<f64> {
    let before = own_pss_kib()?;
    let mut held = Vec::with_capacity(WAITING);
    for _ in 0..WAITING {
        let (to, inbox) = mpsc::channel(2);
        let (outbox, mut from) = mpsc::channel(2);
        let target = tokio::spawn(boxed_target(connector.clone(), inbox, outbox));
        to.send(ToConnector::Batch(Batch { count: 1, data: "1\n".to_owned().into_bytes().into() })).await?;
        from.recv().await.context("the target ended")?;
        held.push((to, from, target));
    }
    let each = own_pss_kib()?.saturating_sub(before) as f64 / WAITING as f64;
    for (to, _from, target) in held {
        to.send(ToConnector::End).await?;
        target.await??;
    }
    Ok(each)
}

fn task() -> Task {
    Task {
        run: "run_1".to_owned(),
        attempt: 1,
        key: "key".to_owned(),
        connection: r#"{"url":"http://nowhere.invalid","options":{}}"#.to_owned(),
        params: "{}".to_owned(),
        time_limit_ms: 60_000,
        ..Task::default()
    }
}

/// No way out.
struct Locked;

impl Egress for Locked {
    fn send(&self, _: Request<Body>) -> EgressFuture {
        Box::pin(ready(Err(EgressError::Denied { host: "nowhere.invalid".to_owned(), port: 80 })))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}
