//! Runs from submission to outcome.

use anyhow::Result;
use serde_json::json;
use wherry_tests::world::{Connection, Counts, Operation, Project, Run, World, desk::copy};

#[tokio::test]
async fn every_record_is_copied_once_and_counted() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let run = world.run("copy-keyed").end().await?.succeeded()?;
    assert_eq!(run.counts, Counts { read: 25, written: 25, rejected: 0, batches: 3 });
    assert_eq!((run.attempt, run.agent.as_deref()), (1, Some("eu-1")));
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.replayed, ledger.duplicates.len()), (25, 0, 0));
    assert!(ledger.entries.iter().all(|entry| entry.idempotency_key.is_some()));
    world.close().await
}
