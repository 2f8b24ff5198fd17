//! Two hundred runs a second while their connector is swapped fifty times: whether one of them fails, and how long they
//! take, against the same load without swaps.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};

use crate::{
    bed::{Api, Bed, component, descriptor},
    target,
};

const RUNS: &str = "/v1/environments/bench/operations/get/runs";
const MOVE: &str = "/v1/environments/bench/connectors/http/move";
/// Between two submissions: 200 a second.
const PACE: Duration = Duration::from_millis(5);
/// Submissions that are on their way to the controller at once.
const SUBMITTING: usize = 32;
const SWAPS: usize = 50;
/// The load without swaps.
const QUIET: Duration = Duration::from_secs(10);
/// Longest time until an agent has a new version, and until the last run has ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of the load.
#[derive(Default)]
struct Ended {
    submitted: usize,
    took: Vec<Duration>,
    failures: Vec<Value>,
}

/// Measures the load alone and during the swaps.
///
/// # Errors
/// If a swap or a submission fails. Runs that fail are counted.
pub(crate) async fn measure() -> anyhow::Result<Map<String, Value>> {
    let (bed, _) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    let target = target::start().await?;
    bed.deploy(&format!("http://{target}"))?;
    let (_agent, _) = bed.agent("agent-1").await?;
    bed.run("get").await?;
    let packages = packages(&bed)?;
    let quiet = async {
        tokio::time::sleep(QUIET).await;
        Ok(())
    };
    let (alone, ()) = under_load(&bed.api, quiet).await?;
    let (during, swaps) = under_load(&bed.api, swap(&bed, &packages)).await?;
    figures(alone, during, swaps)
}

fn figures(mut alone: Ended, mut during: Ended, mut swaps: Vec<Duration>) -> anyhow::Result<Map<String, Value>> {
    for load in [&alone, &during] {
        ensure!(load.submitted == load.took.len(), "{} of {} runs ended", load.took.len(), load.submitted);
    }
    let millis = |time: Duration| json!((time.as_secs_f64() * 100_000.0).round() / 100.0);
    let mut figures = Map::new();
    figures.insert("swaps".to_owned(), json!(swaps.len()));
    figures.insert("runs".to_owned(), json!(during.took.len()));
    figures.insert("failed".to_owned(), json!(during.failures.len()));
    figures.insert("failed_quiet".to_owned(), json!(alone.failures.len()));
    if let Some(failure) = during.failures.first() {
        figures.insert("first_failure".to_owned(), failure["failure"].clone());
    }
    for (name, times) in [("quiet", &mut alone.took), ("during", &mut during.took), ("swap", &mut swaps)] {
        times.sort();
        for (mark, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            figures.insert(format!("{name}_{mark}_ms"), millis(quantile(times, share)));
        }
    }
    Ok(figures)
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round();
    sorted.get(at as usize).copied().unwrap_or_default()
}

/// Submits runs at the pace until `work` is done, and sees how all of them ended.
async fn under_load<T>(api: &Api, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Ended, T)> {
    let over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(api.clone(), Arc::clone(&over)));
    let done = work.await;
    over.store(true, Relaxed);
    let submitted = load.await??;
    Ok((ended(api, submitted).await?, done?))
}

/// Ids of the runs.
async fn load(api: Api, over: Arc<AtomicBool>) -> anyhow::Result<HashSet<String>> {
    let mut ticks = tokio::time::interval(PACE);
    // What a pause held back is submitted at once: the pace is the customer's.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut submissions, room) = (JoinSet::new(), Arc::new(Semaphore::new(SUBMITTING)));
    let mut submitted = HashSet::new();
    while !over.load(Relaxed) {
        ticks.tick().await;
        let (api, room) = (api.clone(), Arc::clone(&room).acquire_owned().await?);
        submissions.spawn(async move {
            let _room = room;
            let (status, run) = api.call(Method::POST, RUNS, Some(&json!({}))).await?;
            run["id"].as_str().map(str::to_owned).with_context(|| format!("not submitted: {status} {run}"))
        });
        while let Some(run) = submissions.try_join_next() {
            submitted.insert(run??);
        }
    }
    while let Some(run) = submissions.join_next().await {
        submitted.insert(run??);
    }
    Ok(submitted)
}

/// Waits until none of the runs is under way, and reads what the controller says of each.
async fn ended(api: &Api, submitted: HashSet<String>) -> anyhow::Result<Ended> {
    let began = Instant::now();
    for state in ["queued", "leased"] {
        while !page(api, &format!("state={state}&limit=1")).await?.0.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "there are still runs that are {state}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut ended = Ended { submitted: submitted.len(), ..Ended::default() };
    let mut query = "limit=200".to_owned();
    loop {
        let (runs, next) = page(api, &query).await?;
        for run in runs.into_iter().filter(|run| run["id"].as_str().is_some_and(|id| submitted.contains(id))) {
            let between = time(&run["finished_at"])?.saturating_sub(time(&run["submitted_at"])?);
            ended.took.push(between);
            if run["state"] != "succeeded" {
                ended.failures.push(run);
            }
        }
        match next {
            Some(next) => query = format!("limit=200&cursor={next}"),
            None => return Ok(ended),
        }
    }
}

async fn page(api: &Api, query: &str) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let (status, mut page) = api.call(Method::GET, &format!("/v1/runs?{query}"), None).await?;
    let Value::Array(items) = page["items"].take() else { bail!("no list of runs: {status} {page}") };
    Ok((items, page["next_cursor"].as_str().map(str::to_owned)))
}

/// A time of the API, since the Unix epoch.
fn time(text: &Value) -> anyhow::Result<Duration> {
    let text = text.as_str().context("a run without a time")?;
    let time: jiff::Timestamp = text.parse()?;
    Ok(Duration::from_millis(u64::try_from(time.as_millisecond())?))
}

/// Publishes version after version and waits each time until the agent has it.
async fn swap(bed: &Bed, packages: &[(String, PathBuf)]) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for (version, package) in packages {
        bed.wherry(&["connector", "publish", &package.display().to_string()])?;
        let began = Instant::now();
        let (status, moved) = bed.api.call(Method::POST, MOVE, Some(&json!({"action": "upgrade"}))).await?;
        ensure!(moved["to"] == **version, "not upgraded to {version}: {status} {moved}");
        while !has(&bed.api, version).await? {
            ensure!(began.elapsed() < PATIENCE, "the agent does not get version {version}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.push(began.elapsed());
    }
    Ok(took)
}

async fn has(api: &Api, version: &str) -> anyhow::Result<bool> {
    let (_, versions) = api.call(Method::GET, "/v1/connectors/http/versions", None).await?;
    let mut all = versions["items"].as_array().into_iter().flatten();
    let one = all.find(|one| one["version"] == version).context("the version is not listed")?;
    Ok(one["environments"][0]["ready"] == 1)
}

/// The connector under the next fifty versions, each under its own digest.
fn packages(bed: &Bed) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let (wasm, described) = (fs::read(component("http")?)?, fs::read_to_string(descriptor("http"))?);
    let now: Value = serde_json::from_str(&described)?;
    let now = now["version"].as_str().context("no version")?;
    let key = bed.dir().join("publisher.key").display().to_string();
    let package = |number: usize| {
        let version = format!("1.{}.{}", number / 10, number % 10);
        ensure!(version.len() == now.len(), "{version} is longer than {now}");
        let file = |name: &str| bed.dir().join(format!("{version}.{name}"));
        fs::write(file("wasm"), renamed(&wasm, now.as_bytes(), version.as_bytes()))?;
        fs::write(file("json"), described.replacen(now, &version, 1))?;
        let [wasm, described, out] = ["wasm", "json", "wherry"].map(|name| file(name).display().to_string());
        let packed = ["connector", "package", &wasm, "--key", &key, "--descriptor", &described, "--out", &out];
        bed.wherry(&packed)?;
        Ok((version, PathBuf::from(out)))
    };
    (1..=SWAPS).map(package).collect()
}

/// The same component with another version in its text about itself, of as many characters.
fn renamed(component: &[u8], was: &[u8], now: &[u8]) -> Vec<u8> {
    let mut renamed = component.to_vec();
    for (at, part) in component.windows(was.len()).enumerate() {
        // The contract's own version stands behind an @, those of crates behind a hyphen.
        let before = at.checked_sub(1).and_then(|before| component.get(before));
        if part == was
            && !before.is_some_and(|byte| b"@-".contains(byte))
            && let Some(place) = renamed.get_mut(at..at + now.len())
        {
            place.copy_from_slice(now);
        }
    }
    renamed
}
