//! Idempotency keys: one key and body, one run.

use std::{collections::BTreeSet, time::Duration};

use tokio::task::JoinSet;
use wherry_controller::engine::{Idempotency, Kind, Settings, Submission};
use wherry_domain::id::RunId;
use wherry_trust::keys::sha256;

use crate::support::{Bench, Disk, on_each_store, settings, soon, submission};

on_each_store!(
    the_same_key_gives_the_same_run_and_another_body_is_refused,
    the_same_key_fifty_times_at_once_gives_one_run,
    a_key_is_forgotten_after_a_day_however_many_there_are,
);

async fn the_same_key_gives_the_same_run_and_another_body_is_refused(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let run = bench.try_submit(keyed(1, b"body")).await.unwrap().record.spec.id;
    assert_eq!(bench.try_submit(keyed(1, b"body")).await.unwrap().record.spec.id, run);
    let bench = bench.restart().await;
    assert_eq!(bench.try_submit(keyed(1, b"body")).await.unwrap().record.spec.id, run);
    let other = bench.try_submit(keyed(1, b"another")).await.err().unwrap();
    assert_eq!((other.kind, other.code.as_str()), (Kind::Conflict, "request.idempotency_mismatch"));
    assert_ne!(bench.try_submit(keyed(2, b"body")).await.unwrap().record.spec.id, run);
    assert_eq!(bench.ledger.totals().await.unwrap().1["queued"], 2);
}

async fn the_same_key_fifty_times_at_once_gives_one_run(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut tries = JoinSet::new();
    for n in 0..50 {
        let ledger = bench.ledger.clone();
        let body: &[u8] = if n < 49 { b"body" } else { b"another" };
        tries.spawn(async move { ledger.submit(keyed(1, body)).await.map(|done| done.record.spec.id) });
    }
    let mut runs = BTreeSet::new();
    while let Some(tried) = soon(tries.join_next()).await {
        match tried.unwrap() {
            Ok(run) => drop(runs.insert(run)),
            Err(refusal) => assert_eq!(refusal.code.as_str(), "request.idempotency_mismatch"),
        }
    }
    assert_eq!(runs.len(), 1);
    assert_eq!(bench.ledger.totals().await.unwrap().1["queued"], 1);
}

async fn a_key_is_forgotten_after_a_day_however_many_there_are(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { max_active: 10_000, ..settings() }).await;
    let old = submitted(&bench, 0..500).await;
    bench.pass(Duration::from_secs(23 * 3_600)).await;
    // Enough of them to fill whatever a sweep looks at, and they stay.
    let young = submitted(&bench, 500..3_000).await;
    assert!(old.contains(&bench.try_submit(keyed(7, b"body")).await.unwrap().record.spec.id));
    for _ in 0..12 {
        bench.pass(Duration::from_secs(601)).await;
    }
    for n in 0..500 {
        let fresh = bench.try_submit(keyed(n, b"another")).await.map(|done| done.record.spec.id);
        assert!(!old.contains(&fresh.unwrap()), "key {n} is still known");
    }
    assert!(young.contains(&bench.try_submit(keyed(700, b"body")).await.unwrap().record.spec.id));
}

async fn submitted(bench: &Bench, keys: std::ops::Range<u32>) -> BTreeSet<RunId> {
    let mut tries = JoinSet::new();
    for n in keys {
        let ledger = bench.ledger.clone();
        tries.spawn(async move { ledger.submit(keyed(n, b"body")).await.map(|done| done.record.spec.id) });
    }
    let mut runs = BTreeSet::new();
    while let Some(tried) = soon(tries.join_next()).await {
        runs.insert(tried.unwrap().unwrap());
    }
    runs
}

fn keyed(key: u32, body: &[u8]) -> Submission {
    Submission {
        idempotency: Some(Idempotency { key: sha256(&key.to_be_bytes()), body: sha256(body) }),
        ..submission("look")
    }
}
