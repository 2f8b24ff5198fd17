//! Fetching a component and its release, resumed where an earlier attempt stopped.

use std::path::{Path, PathBuf};

use tonic::Streaming;
use wherry_daemon::store::{
    StoreError,
    files::{FileStore, Partial},
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    project::ConnectorPin,
};
use wherry_proto::wire::{FetchConnectorResponse, fetch_connector_response::Part};
use wherry_trust::release::{VerifiedRelease, WASM_LIMIT};

use crate::{
    controller::{self, Controller},
    private_file,
};

/// What arrived is not what the deployment names.
const ALTERED: Code = Code::new("connector.altered");
/// Largest release kept.
const MAX_RELEASE: u64 = 512 << 10;

/// The release that was stored with a component.
pub(super) fn stored_release(folder: &Path, digest: Digest) -> Option<Vec<u8>> {
    private_file::read(&release_path(folder, digest), MAX_RELEASE).ok().map(|content| content.to_vec())
}

/// Fetches both. The release is believed before a byte of the component is taken.
pub(super) async fn fetch(
    controller: &Controller,
    files: &FileStore,
    releases: &Path,
    pin: &ConnectorPin,
    believe: impl Fn(&[u8]) -> Result<VerifiedRelease, Failure>,
) -> Result<VerifiedRelease, Failure> {
    let partial = files.begin(pin.digest, pin.length, WASM_LIMIT).map_err(|error| kept(&error))?;
    let mut parts = controller.connector(pin.digest, partial.offset()).await?;
    let envelope = match next(&mut parts).await? {
        Some(Part::Release(envelope)) => envelope,
        Some(Part::Data(_)) | None => return Err(altered("no release came before it")),
    };
    let verified = believe(&envelope)?;
    let complete = receive(&mut parts, partial).await?;
    tokio::task::spawn_blocking(move || complete.finish())
        .await
        .map_err(|error| defect(&error))?
        .map_err(|error| kept(&error))?;
    private_file::create_folder(releases)
        .and_then(|()| private_file::write(&release_path(releases, pin.digest), &envelope))
        .map_err(|error| Failure::retry(Code::new("store.io"), error.to_string()))?;
    Ok(verified)
}

async fn receive(parts: &mut Streaming<FetchConnectorResponse>, mut partial: Partial) -> Result<Partial, Failure> {
    while let Some(part) = next(parts).await? {
        match part {
            // Pieces of a quarter of a megabyte: written to the page cache, not to the disk.
            Part::Data(data) => partial.append(&data).map_err(|error| kept(&error))?,
            Part::Release(_) => return Err(altered("two releases came with it")),
        }
    }
    Ok(partial)
}

async fn next(parts: &mut Streaming<FetchConnectorResponse>) -> Result<Option<Part>, Failure> {
    let message = parts.message().await.map_err(|status| controller::failure(&status))?;
    message.map(|message| message.part.ok_or_else(|| altered("an empty piece came"))).transpose()
}

fn release_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.json", digest.to_string().replace(':', "-")))
}

fn altered(what: &str) -> Failure {
    Failure::permanent(ALTERED, format!("the connector was altered on the way: {what}"))
}

fn kept(error: &StoreError) -> Failure {
    match error {
        StoreError::Content { .. } => altered(&error.to_string()),
        StoreError::KeyTooLong { .. }
        | StoreError::ValueTooLarge { .. }
        | StoreError::BatchTooLarge { .. }
        | StoreError::Full { .. }
        | StoreError::Busy { .. }
        | StoreError::Fatal { .. }
        | StoreError::Closed
        | StoreError::Damaged { .. }
        | StoreError::Record { .. }
        | StoreError::Newer { .. }
        | StoreError::InUse { .. }
        | StoreError::Filesystem { .. }
        | StoreError::Open { .. }
        | StoreError::Snapshot { .. }
        | StoreError::Io { .. } => Failure::retry(Code::new(error.code()), error.to_string()),
    }
}

fn defect(error: &tokio::task::JoinError) -> Failure {
    Failure::retry(Code::new("agent.defect"), error.to_string())
}
