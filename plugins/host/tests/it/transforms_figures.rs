//! How fast records pass through the box, and how much memory that takes; run by hand with
//! `cargo test -p wherry-host --test it -- --ignored --nocapture transforms_figures`.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::Instant;

use tokio::sync::mpsc;
use wherry_host::{Batch, Transformed, Transformer};

use crate::support::transforms::{programs, transformer};

/// `WHERRY_RECORDS` says another number.
const RECORDS: u64 = 1_000_000;
const ROWS: u32 = 1_000;

#[tokio::test]
#[ignore = "takes a minute and only prints figures"]
async fn a_million_records_of_200_bytes() {
    let records = std::env::var("WHERRY_RECORDS").map_or(RECORDS, |text| text.parse().unwrap());
    for (when, transform) in [
        (None, Some("{a: .a, b: .b}")),
        (None, Some(".")),
        (Some(".n % 2 == 0"), None),
        (Some(".n % 2 == 0"), Some("{ id: .id, title: \"\\(.a) \\(.b)\", tags: [.a, .b], at: .at }")),
    ] {
        let transformer = transformer();
        let (before, computed, begun) = (resident(), computing(), Instant::now());
        let (results, most) = pass(&transformer, records, when, transform).await;
        let rate = |seconds: f64| (records as f64 / seconds).round();
        println!(
            "when {when:?} transform {transform:?}: {} records/s, {} per CPU second, {results} results, {} MiB more",
            rate(begun.elapsed().as_secs_f64()),
            rate(computing() - computed),
            most.saturating_sub(before) >> 20
        );
    }
}

async fn pass(transformer: &Transformer, records: u64, when: Option<&str>, transform: Option<&str>) -> (u64, u64) {
    let (feed, inbox) = mpsc::channel(1);
    let (outbox, mut out) = mpsc::channel(2);
    let feeding = async move {
        // Made once, so that the figure is about the box.
        let batch = batch(0);
        for _ in (0..records).step_by(1_000) {
            feed.send(batch.clone()).await.unwrap();
        }
    };
    let counting = async move {
        let (mut results, mut most) = (0, 0);
        while let Some(message) = out.recv().await {
            match message {
                Transformed::Batch(batch) => results += u64::from(batch.count),
                Transformed::Used { .. } => most = most.max(resident()),
            }
        }
        (results, most)
    };
    let (ended, (), counted) =
        tokio::join!(transformer.run(programs(when, transform), inbox, outbox), feeding, counting);
    ended.unwrap();
    counted
}

fn batch(first: u64) -> Batch {
    let record = |n: u64| {
        let head = format!(
            r#"{{"id":"REQ-{n:06}","n":{n},"a":"printer","b":"on fire","at":"2026-03-01T10:00:00Z","open":true,"x":"#
        );
        format!("{head}\"{}\"}}\n", "y".repeat(197 - head.len()))
    };
    let data: String = (first..first + u64::from(ROWS)).map(record).collect();
    Batch { count: ROWS, data: data.into() }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Seconds that this thread has computed.
fn computing() -> f64 {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    figures.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}
