//! Group commit: many callers, few syncs.

use std::sync::Arc;

use wherry_daemon::{
    clock::Clock,
    store::{Batch, Space, Store},
};

use crate::support::{open, put, setting, value};

const WRITERS: usize = 64;

#[test]
fn sixty_four_committers_share_their_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()).0);
    let each = setting("WHERRY_BENCH_COMMITS", 60);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let clock = Clock::system();
    let started = clock.now();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS as u64 {
            let store = Arc::clone(&store);
            writers.spawn(async move {
                for number in 0..each {
                    let key = (writer * each + number).to_be_bytes();
                    store.commit(put(Space(1), &key, &value(number, 300))).await.unwrap();
                }
            });
        }
        writers.join_all().await;
    });
    let (stats, took) = (store.stats(), clock.now().since(started));
    let per_sync = stats.records / stats.syncs;
    println!(
        "{} commits in {took:?}: {:.0}/s, {per_sync} per sync, sync {} us on average, {} us at most",
        stats.commits,
        stats.commits as f64 / took.as_secs_f64(),
        stats.sync_micros / stats.syncs,
        stats.sync_micros_max,
    );
    assert_eq!(stats.commits, WRITERS as u64 * each);
    assert!(per_sync >= 16, "only {per_sync} records share a sync");
}

#[test]
fn a_flood_is_answered_busy_and_nothing_refused_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut refused = Vec::new();
    let mut accepted = Vec::new();
    for number in 0..40_u64 {
        let mut batch = Batch::new();
        for part in 0..60_u64 {
            batch.put(Space(1), [number.to_be_bytes(), part.to_be_bytes()].concat(), vec![1; 60_000]);
        }
        let mut commit = store.commit(batch);
        match runtime.block_on(async { tokio::time::timeout(std::time::Duration::ZERO, &mut commit).await }) {
            Ok(outcome) => match outcome {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.code(), "store.busy");
                    assert!(error.is_retryable());
                    refused.push(number);
                }
            },
            Err(_) => accepted.push(commit),
        }
    }
    for commit in accepted {
        runtime.block_on(commit).unwrap();
    }
    assert!(!refused.is_empty());
    assert_eq!(store.stats().refused_busy, refused.len() as u64);
    for number in refused {
        let key = [number.to_be_bytes(), 0_u64.to_be_bytes()].concat();
        assert_eq!(store.get(Space(1), &key).unwrap(), None);
    }
}
