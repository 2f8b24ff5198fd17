//! Deployments by digest: immutable, fetched once, verified, kept in memory and on disk.

use std::sync::{Arc, Mutex, PoisonError};

use wherry_daemon::store::{
    StoreError,
    files::{FileStore, digest_of},
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    project::{MAX_DOCUMENT, Snapshot},
};

use crate::{controller::Controller, paths::DataDir, recent::Recent};

/// Parsed deployments kept in memory.
const KEPT: usize = 32;
/// Documents kept on disk; the ones unused for longest go first.
const MAX_FILES: usize = 256;
/// What arrived is not what was asked for.
const ALTERED: Code = Code::new("deployment.altered");
/// The document cannot be read by this version.
const UNREADABLE: Code = Code::new("deployment.unreadable");

/// The agent's deployments.
pub struct Deployments {
    files: FileStore,
    controller: Controller,
    parsed: Mutex<Recent<Digest, Arc<Snapshot>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Deployments {
    /// Opens the folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(data: &DataDir, controller: Controller) -> Result<Self, StoreError> {
        Ok(Self {
            files: FileStore::open(data.deployments())?,
            controller,
            parsed: Mutex::new(Recent::new(KEPT)),
            one_at_a_time: tokio::sync::Mutex::default(),
        })
    }

    /// The snapshot of that digest.
    ///
    /// # Errors
    /// If it cannot be fetched, or is not what its digest says.
    pub async fn get(&self, digest: Digest) -> Result<Arc<Snapshot>, Failure> {
        if let Some(snapshot) = self.recall(digest) {
            return Ok(snapshot);
        }
        let _turn = self.one_at_a_time.lock().await;
        if let Some(snapshot) = self.recall(digest) {
            return Ok(snapshot);
        }
        let document = match self.stored(digest).await {
            Some(document) => document,
            None => self.fetch(digest).await?,
        };
        let snapshot: Snapshot = serde_json::from_slice(&document).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Failure::permanent(
                UNREADABLE,
                format!("the deployment cannot be read ({place}), this agent may be too old"),
            )
        })?;
        let snapshot = Arc::new(snapshot.bound());
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::clone(&snapshot));
        Ok(snapshot)
    }

    fn recall(&self, digest: Digest) -> Option<Arc<Snapshot>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(&digest)
    }

    async fn stored(&self, digest: Digest) -> Option<Vec<u8>> {
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || files.read(&digest)).await;
        match read {
            Ok(Ok(document)) => document,
            Ok(Err(error)) => {
                tracing::warn!(%digest, %error, "a deployment on disk is fetched again");
                None
            }
            Err(_) => None,
        }
    }

    async fn fetch(&self, digest: Digest) -> Result<Vec<u8>, Failure> {
        let document = self.controller.deployment(digest).await?;
        if document.len() > MAX_DOCUMENT || digest_of(&document) != digest {
            return Err(Failure::permanent(ALTERED, "the deployment is not what its digest says, deploy it again"));
        }
        let (files, copy) = (self.files.clone(), document.clone());
        let stored = tokio::task::spawn_blocking(move || files.put(&copy).map(|_| sweep(&files))).await;
        if let Ok(Err(error)) = stored {
            // It can be fetched again at any time.
            tracing::warn!(%digest, %error, "a deployment could not be kept on disk");
        }
        Ok(document)
    }
}

/// Removes the oldest files beyond the limit; what is left over is tried again with the next deployment.
fn sweep(files: &FileStore) {
    let Ok(mut all) = files.list() else { return };
    if all.len() <= MAX_FILES {
        return;
    }
    all.sort_by_key(|digest| std::fs::metadata(files.path(digest)).and_then(|found| found.modified()).ok());
    for digest in all.iter().take(all.len() - MAX_FILES) {
        drop(files.remove(digest));
    }
}
