//! Deployments by digest: immutable, fetched once, verified, kept in memory and on disk.

mod signed;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use wherry_daemon::store::{
    StoreError,
    files::{FileStore, digest_of},
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    project::{MAX_DOCUMENT, Snapshot},
};
use wherry_trust::deployment::MAX_ENVELOPE;

pub use self::signed::Demand;
use self::signed::Signed;
use crate::{
    controller::Controller,
    paths::DataDir,
    private_file::{self, FileError},
    recent::Recent,
};

/// Parsed deployments kept in memory.
const KEPT: usize = 32;
/// Documents kept on disk; the ones unused for longest go first.
const MAX_FILES: usize = 256;
/// What arrived is not what was asked for.
const ALTERED: Code = Code::new("deployment.altered");
/// The document cannot be read by this version.
const UNREADABLE: Code = Code::new("deployment.unreadable");

/// A deployment as it came.
struct Kept {
    snapshot: Arc<Snapshot>,
    signed: Signed,
}

/// The agent's deployments.
pub struct Deployments {
    files: FileStore,
    controller: Controller,
    /// The envelopes in which operators signed them.
    signatures: PathBuf,
    demand: Demand,
    kept: Mutex<Recent<Digest, Arc<Kept>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Deployments {
    /// Opens the folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(data: &DataDir, controller: Controller, demand: Demand) -> Result<Self, StoreError> {
        Ok(Self {
            files: FileStore::open(data.deployments())?,
            controller,
            signatures: data.deployment_signatures(),
            demand,
            kept: Mutex::new(Recent::new(KEPT)),
            one_at_a_time: tokio::sync::Mutex::default(),
        })
    }

    /// The snapshot of that digest.
    ///
    /// # Errors
    /// If it cannot be fetched, is not what its digest says, or lacks a signature that the owner demands.
    pub async fn get(&self, digest: Digest) -> Result<Arc<Snapshot>, Failure> {
        let demanded = (self.demand)();
        let kept = self.kept(digest, demanded.is_some()).await?;
        if let Some(operators) = demanded {
            kept.signed.admit(&kept.snapshot, digest, &operators)?;
        }
        Ok(Arc::clone(&kept.snapshot))
    }

    async fn kept(&self, digest: Digest, signed: bool) -> Result<Arc<Kept>, Failure> {
        // What came before a signature was demanded may have come without one.
        let recall = || self.recall(digest).filter(|kept| !signed || !kept.signed.is_missing());
        if let Some(kept) = recall() {
            return Ok(kept);
        }
        let _turn = self.one_at_a_time.lock().await;
        if let Some(kept) = recall() {
            return Ok(kept);
        }
        let (document, envelope) = match self.stored(digest).await {
            // What an agent of before stored came without its envelope.
            Some((document, envelope)) if !signed || !envelope.is_empty() => (document, envelope),
            Some(_) | None => self.fetch(digest).await?,
        };
        let kept = Arc::new(Kept { snapshot: Arc::new(read(&document)?), signed: Signed::new(envelope) });
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::clone(&kept));
        Ok(kept)
    }

    fn recall(&self, digest: Digest) -> Option<Arc<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&digest)
    }

    async fn stored(&self, digest: Digest) -> Option<(Vec<u8>, Vec<u8>)> {
        let (files, signature) = (self.files.clone(), self.signature(digest));
        let read = tokio::task::spawn_blocking(move || {
            let envelope = private_file::read(&signature, MAX_ENVELOPE as u64).map(|envelope| envelope.to_vec());
            (files.read(&digest), envelope.unwrap_or_default())
        });
        match read.await {
            Ok((Ok(document), envelope)) => document.map(|document| (document, envelope)),
            Ok((Err(error), _)) => {
                tracing::warn!(%digest, %error, "a deployment on disk is fetched again");
                None
            }
            Err(_) => None,
        }
    }

    async fn fetch(&self, digest: Digest) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let (document, envelope) = self.controller.deployment(digest).await?;
        if document.len() > MAX_DOCUMENT || envelope.len() > MAX_ENVELOPE || digest_of(&document) != digest {
            return Err(Failure::permanent(ALTERED, "the deployment is not what its digest says, deploy it again"));
        }
        let (files, signatures, copy) = (self.files.clone(), self.signatures.clone(), document.clone());
        let (signature, signed) = (self.signature(digest), envelope.clone());
        let stored = tokio::task::spawn_blocking(move || {
            keep_signature(&signature, &signed).map_err(|error| error.to_string())?;
            files.put(&copy).map_err(|error| error.to_string())?;
            sweep(&files, &signatures);
            Ok::<_, String>(())
        });
        if let Ok(Err(error)) = stored.await {
            // It can be fetched again at any time.
            tracing::warn!(%digest, %error, "a deployment could not be kept on disk");
        }
        Ok((document, envelope))
    }

    fn signature(&self, digest: Digest) -> PathBuf {
        self.signatures.join(signature_name(&digest))
    }
}

fn signature_name(digest: &Digest) -> String {
    format!("{}.json", digest.to_string().replace(':', "-"))
}

fn read(document: &[u8]) -> Result<Snapshot, Failure> {
    let snapshot: Snapshot = serde_json::from_slice(document).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Failure::permanent(UNREADABLE, format!("the deployment cannot be read ({place}), this agent may be too old"))
    })?;
    Ok(snapshot.bound())
}

fn keep_signature(path: &Path, envelope: &[u8]) -> Result<(), FileError> {
    if envelope.is_empty() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), private_file::create_folder)?;
    private_file::write(path, envelope)
}

/// Removes the oldest files beyond the limit; what is left over is tried again with the next deployment.
fn sweep(files: &FileStore, signatures: &Path) {
    let Ok(mut all) = files.list() else { return };
    if all.len() <= MAX_FILES {
        return;
    }
    all.sort_by_key(|digest| std::fs::metadata(files.path(digest)).and_then(|found| found.modified()).ok());
    for digest in all.iter().take(all.len() - MAX_FILES) {
        drop(files.remove(digest));
        drop(std::fs::remove_file(signatures.join(signature_name(digest))));
    }
}
