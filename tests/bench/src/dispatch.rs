//! Runs per second, latency, processor time and syncs, against the floor.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::{
    bed::{Api, Bed},
    floor::Floor,
    measure::{Measured, load},
    process::Process,
    target,
};

const RUNS: &str = "/v1/environments/bench/operations/get/runs?wait_ms=30000";

/// Measures floor and product, alone, with 16 and with 64 in flight.
///
/// # Errors
/// If a run fails.
pub(crate) async fn measure(seconds: Duration) -> anyhow::Result<Map<String, Value>> {
    let floor = floor(seconds).await?;
    let (bed, _) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    let target = target::start().await?;
    bed.deploy(&format!("http://{target}"))?;
    let (agent, _) = bed.agent("agent-1").await?;
    product(&bed.api, 16, Duration::from_secs(2)).await?;
    let before = stats(&bed.api).await?;
    let one = product(&bed.api, 1, seconds).await?;
    let after = stats(&bed.api).await?;
    let sixteen = product(&bed.api, 16, seconds).await?;
    let (loaded, used) = (stats(&bed.api).await?, used(&bed.controller, &agent)?);
    let many = product(&bed.api, 64, seconds).await?;
    let (end, used) = (stats(&bed.api).await?, used_since(&bed.controller, &agent, used)?);
    let agent_log = agent.stop()?;
    let [floor_one, floor_sixteen, floor_many] = &floor;
    let micros = |time: Duration| time.as_micros() as f64;
    let mut figures = Map::new();
    let mut figure =
        |name: &str, value: f64| figures.insert(name.to_owned(), json!((value * 1_000.0).round() / 1_000.0));
    figure("floor_rps_1", floor_one.rate);
    figure("floor_rps_16", floor_sixteen.rate);
    figure("floor_rps_64", floor_many.rate);
    figure("rps_1", one.rate);
    figure("rps_16", sixteen.rate);
    figure("rps_64", many.rate);
    figure("ratio_16", sixteen.rate / floor_sixteen.rate);
    figure("ratio_64", many.rate / floor_many.rate);
    figure("floor_p50_us_1", micros(floor_one.quantile(0.5)));
    figure("p50_us_1", micros(one.quantile(0.5)));
    figure("p50_ratio_1", micros(one.quantile(0.5)) / micros(floor_one.quantile(0.5)));
    figure("p99_ratio_64", micros(many.quantile(0.99)) / micros(floor_many.quantile(0.99)));
    figure("cpu_ms_per_run_64", used.as_secs_f64() * 1_000.0 / many.calls as f64);
    figure("syncs_per_run_1", (after.syncs - before.syncs) / one.calls as f64);
    figure("records_per_sync_64", (end.records - loaded.records) / (end.syncs - loaded.syncs));
    if let Some(counts) = agent_counts(&agent_log) {
        figures.insert("agent_store".to_owned(), counts);
    }
    Ok(figures)
}

async fn floor(seconds: Duration) -> anyhow::Result<[Measured; 3]> {
    let dir = tempfile::tempdir()?;
    let floor = Floor::start(dir.path()).await?;
    let mut measured = Vec::new();
    for in_flight in [16, 1, 16, 64] {
        let floor = floor.clone();
        let run = move || {
            let floor = floor.clone();
            async move { floor.run().await }
        };
        measured.push(load(in_flight, seconds, run).await?);
    }
    // The first was to warm up.
    let [_, one, sixteen, many] = <[Measured; 4]>::try_from(measured).ok().context("four measurements")?;
    Ok([one, sixteen, many])
}

async fn product(api: &Api, in_flight: usize, seconds: Duration) -> anyhow::Result<Measured> {
    let api = api.clone();
    let run = move || {
        let api = api.clone();
        async move {
            let (status, run) = api.call(Method::POST, RUNS, Some(&json!({}))).await?;
            ensure!(status == 200 && run["state"] == "succeeded", "a run did not succeed: {status} {run}");
            Ok(())
        }
    };
    load(in_flight, seconds, run).await
}

/// Counters of the controller's store.
struct Stats {
    records: f64,
    syncs: f64,
}

async fn stats(api: &Api) -> anyhow::Result<Stats> {
    let (_, status) = api.call(Method::GET, "/v1/status", None).await?;
    let count = |name: &str| status["store"][name].as_f64().with_context(|| format!("no {name} in {status}"));
    Ok(Stats { records: count("records")?, syncs: count("syncs")? })
}

fn used(controller: &Process, agent: &Process) -> anyhow::Result<Duration> {
    Ok(controller.processor_time()? + agent.processor_time()?)
}

fn used_since(controller: &Process, agent: &Process, before: Duration) -> anyhow::Result<Duration> {
    Ok(used(controller, agent)?.saturating_sub(before))
}

/// What the agent says of its store when it stops.
fn agent_counts(log: &str) -> Option<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().find(|line| line.get("syncs").is_some())
}
