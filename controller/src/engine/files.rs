//! Files by digest: snapshots of deployments and components of connectors.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use wherry_daemon::store::{StoreError, files::FileStore};
use wherry_domain::digest::Digest;

use super::{Kind, Ledger, Refusal};

impl Ledger {
    /// Stores a file; it is durable when this answers.
    pub(super) async fn write_file(&self, bytes: Vec<u8>) -> Result<Digest, Refusal> {
        let writing = Arc::clone(&self.writing);
        self.with_files(move |files| {
            // The same bytes twice at once would go through the same temporary file.
            let _one_at_a_time = writing.lock().unwrap_or_else(PoisonError::into_inner);
            files.put(&bytes)
        })
        .await
        .map_err(|error| unwritable(&error))
    }

    pub(super) async fn read_file(&self, digest: Digest) -> Result<Vec<u8>, Refusal> {
        let missing = || Refusal::new(Kind::Busy, "store.unreadable", format!("the file {digest} is missing"));
        let found = self.with_files(move |files| files.read(&digest)).await;
        found.map_err(|error| Refusal::read(&error))?.ok_or_else(missing)
    }

    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FileStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = Arc::clone(&self.files);
        tokio::task::spawn_blocking(move || work(&files)).await.unwrap_or(Err(StoreError::Closed))
    }
}

fn unwritable(error: &StoreError) -> Refusal {
    if let StoreError::Io { source, .. } = error
        && matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    {
        return Refusal::full();
    }
    tracing::error!(%error, "could not store a file");
    Refusal::new(Kind::Busy, "store.unwritable", "the controller could not store a file: look into its log")
}
