//! Opens the journal and says what was found in its store.

use std::sync::Arc;

use wherry_daemon::{
    audits::Audits,
    clock::Clock,
    store::{OpenReport, SharedStore, SledStore, StoreError},
    tasks::{OnError, OnStop, Tasks},
};

use crate::{config::Config, journal::Journal};

pub(super) async fn open_journal(config: &Config, clock: &Clock, tasks: &Tasks) -> Result<Journal, StoreError> {
    let options = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || SledStore::open(options)).await;
    let (store, report) = opened.map_err(|_| StoreError::Closed)??;
    tell(&report);
    // A store that lost some of its past must not hand out a number twice; no agent has had so many results.
    let lost = report.emptied || report.lost_changes > 0;
    let least_seq = if lost { clock.wall_unix_millis() } else { 1 };
    let store = Arc::new(store);
    let audits = Audits::of(Arc::clone(&store), report.integrity.clone(), clock.clone());
    tasks.service("audits", OnError::Restart, OnStop::Cancel, move || keep(audits.clone()));
    let (journal, found) = Journal::open(store as SharedStore, least_seq).await?;
    tracing::info!(
        finished = found.finished,
        interrupted = found.interrupted,
        unreadable = found.unreadable,
        took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "journal opened"
    );
    Ok(journal)
}

async fn keep(audits: Audits) -> Result<(), std::io::Error> {
    audits.keep().await.map(|never| match never {})
}

fn tell(report: &OpenReport) {
    for warning in &report.warnings {
        tracing::warn!(warning, "store");
    }
    for quarantined in &report.quarantined {
        tracing::error!(?quarantined, "a damaged part of the store was moved aside");
    }
    if report.emptied || report.lost_changes > 0 {
        tracing::error!(emptied = report.emptied, lost = report.lost_changes, "the store lost some of its past");
    }
}
