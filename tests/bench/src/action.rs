//! Latency of a synchronous action, from an application's request to its answer, against two floors: one with the
//! durable points that a run has, and one without any.

use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::{
    bed::{Api, Bed},
    floor::Floor,
    measure::{Measured, load},
    target,
};

const ACTION: &str = "/v1/environments/bench/actions/target/query";

/// Measures both floors and the product, alone and with 16 in flight.
///
/// # Errors
/// If a call fails.
pub(crate) async fn measure(seconds: Duration) -> anyhow::Result<Map<String, Value>> {
    let dir = tempfile::tempdir()?;
    let durable = floor(Floor::start(dir.path()).await?, seconds).await?;
    let bare = floor(Floor::bare().await?, seconds).await?;
    let (bed, _) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    let target = target::start().await?;
    bed.deploy(&format!("http://{target}"))?;
    let allowed = json!({ "value": true });
    let (status, set) = bed.api.call(Method::PUT, "/v1/policies/allow_answers", Some(&allowed)).await?;
    ensure!(status == 200, "the policy was not set: {status} {set}");
    let (agent, _) = bed.agent_with("agent-1", &[], "[answers]\nactions = true\n").await?;
    product(&bed.api, 16, Duration::from_secs(2)).await?;
    let one = product(&bed.api, 1, seconds).await?;
    let sixteen = product(&bed.api, 16, seconds).await?;
    agent.stop()?;
    let micros = |measured: &Measured, share: f64| measured.quantile(share).as_micros() as f64;
    let mut figures = Map::new();
    let mut figure =
        |name: &str, value: f64| figures.insert(name.to_owned(), json!((value * 1_000.0).round() / 1_000.0));
    figure("floor_p50_us", micros(&durable, 0.5));
    figure("bare_floor_p50_us", micros(&bare, 0.5));
    figure("p50_us", micros(&one, 0.5));
    figure("p99_us", micros(&one, 0.99));
    figure("p50_ratio", micros(&one, 0.5) / micros(&durable, 0.5));
    figure("p50_bare_ratio", micros(&one, 0.5) / micros(&bare, 0.5));
    figure("p50_us_16", micros(&sixteen, 0.5));
    figure("rps_16", sixteen.rate);
    Ok(figures)
}

async fn floor(floor: Floor, seconds: Duration) -> anyhow::Result<Measured> {
    let mut last = None;
    // The first is to warm up.
    for time in [Duration::from_secs(2), seconds] {
        let floor = floor.clone();
        let run = move || {
            let floor = floor.clone();
            async move { floor.run().await }
        };
        last = Some(load(1, time, run).await?);
    }
    last.context("two measurements")
}

async fn product(api: &Api, in_flight: usize, seconds: Duration) -> anyhow::Result<Measured> {
    let api = api.clone();
    let run = move || {
        let api = api.clone();
        async move {
            let body = json!({ "with": { "path": "/" } });
            let (status, done) = api.call(Method::POST, ACTION, Some(&body)).await?;
            ensure!(status == 200 && done["answer"]["records"].is_array(), "an action failed: {status} {done}");
            Ok(())
        }
    };
    load(in_flight, seconds, run).await
}
