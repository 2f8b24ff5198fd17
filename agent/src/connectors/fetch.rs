//! Fetching a component and its release, resumed where an earlier attempt stopped.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

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
/// The stream ended before the component did.
const TORN: Code = Code::new("controller.unavailable");
/// Largest release kept.
const MAX_RELEASE: u64 = 512 << 10;
/// How often a torn download goes on by itself. Beyond that the line is too bad to hold a place in the queue.
const RESUMES: u32 = 5;
/// How long a controller may be silent in the middle. A piece is small: a slow line brings one well within this.
const SILENCE: Duration = Duration::from_secs(30);
/// Before it does.
const PAUSE: Duration = Duration::from_millis(200);

/// From where, and to where.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) controller: &'a Controller,
    pub(super) files: &'a FileStore,
    pub(super) releases: &'a Path,
}

/// Why a download came to nothing.
enum Broken {
    /// It can go on from where it is.
    Torn { failure: Failure, reached: u64 },
    /// What arrived is wrong and was thrown away.
    Wrong(Failure),
    /// Neither would help.
    Refused(Failure),
}

/// The release that was stored with a component.
pub(super) fn stored_release(folder: &Path, digest: Digest) -> Option<Vec<u8>> {
    private_file::read(&release_path(folder, digest), MAX_RELEASE).ok().map(|content| content.to_vec())
}

/// Forgets the release of a component that is gone.
pub(super) fn remove_release(folder: &Path, digest: Digest) {
    if let Err(error) = private_file::remove(&release_path(folder, digest)) {
        tracing::warn!(%digest, %error, "a release stays behind");
    }
}

/// Fetches both. The release is believed before a byte of the component is taken. A download that is torn goes on where
/// it stopped; one whose earlier part turns out to be wrong begins anew, once.
pub(super) async fn fetch(
    from: &Source<'_>,
    pin: &ConnectorPin,
    believe: impl Fn(&[u8]) -> Result<VerifiedRelease, Failure>,
) -> Result<VerifiedRelease, Failure> {
    let (mut resumes, mut anew) = (0, false);
    loop {
        let partial = from.files.begin(pin.digest, pin.length, WASM_LIMIT).map_err(|error| kept(&error))?;
        let began = partial.offset();
        match once(from, pin, partial, &believe).await {
            Ok(verified) => return Ok(verified),
            Err(Broken::Torn { failure, reached }) if reached > began && resumes < RESUMES => {
                resumes += 1;
                tracing::info!(digest = %pin.digest, reached, %failure, "a download was torn and goes on");
                tokio::time::sleep(PAUSE).await;
            }
            Err(Broken::Wrong(failure)) if began > 0 && !anew => {
                anew = true;
                tracing::warn!(digest = %pin.digest, %failure, "a partial download was wrong and begins anew");
            }
            Err(Broken::Torn { failure, .. } | Broken::Wrong(failure) | Broken::Refused(failure)) => {
                return Err(failure);
            }
        }
    }
}

/// Fetches the release alone, of a component that is on disk.
pub(super) async fn fetch_release(
    from: &Source<'_>,
    pin: &ConnectorPin,
    believe: impl Fn(&[u8]) -> Result<VerifiedRelease, Failure>,
) -> Result<VerifiedRelease, Failure> {
    let mut parts = from.controller.connector(pin.digest, pin.length).await?;
    let envelope = release(&mut parts).await?;
    let verified = believe(&envelope)?;
    keep_release(from.releases, pin.digest, &envelope)?;
    Ok(verified)
}

async fn once(
    from: &Source<'_>,
    pin: &ConnectorPin,
    partial: Partial,
    believe: &impl Fn(&[u8]) -> Result<VerifiedRelease, Failure>,
) -> Result<VerifiedRelease, Broken> {
    let mut parts = from.controller.connector(pin.digest, partial.offset()).await.map_err(Broken::Refused)?;
    let envelope = release(&mut parts).await.map_err(Broken::Refused)?;
    let verified = believe(&envelope).map_err(Broken::Refused)?;
    let complete = receive(&mut parts, partial, pin.length).await.inspect_err(|broken| {
        if let Broken::Wrong(_) = broken {
            // If it cannot be removed, the next attempt finds it wrong again.
            drop(from.files.remove(&pin.digest));
        }
    })?;
    let finished = tokio::task::spawn_blocking(move || complete.finish()).await;
    finished.map_err(|error| Broken::Refused(defect(&error)))?.map_err(|error| broken(&error))?;
    keep_release(from.releases, pin.digest, &envelope).map_err(Broken::Refused)?;
    Ok(verified)
}

async fn receive(
    parts: &mut Streaming<FetchConnectorResponse>,
    mut partial: Partial,
    length: u64,
) -> Result<Partial, Broken> {
    loop {
        let torn = |failure| Broken::Torn { failure, reached: partial.offset() };
        let message = next(parts).await.map_err(torn)?;
        match message.map(|message| message.part) {
            // Pieces of a quarter of a megabyte: written to the page cache, not to the disk.
            Some(Some(Part::Data(data))) => partial.append(&data).map_err(|error| broken(&error))?,
            Some(Some(Part::Release(_))) => return Err(Broken::Wrong(altered("two releases came with it"))),
            Some(None) => return Err(Broken::Wrong(altered("an empty piece came"))),
            None if partial.offset() < length => {
                let message = format!("the download ended after {} of {length} bytes", partial.offset());
                return Err(torn(Failure::retry(TORN, message)));
            }
            None => return Ok(partial),
        }
    }
}

/// The next piece, if it comes in time.
pub(super) async fn next(
    parts: &mut Streaming<FetchConnectorResponse>,
) -> Result<Option<FetchConnectorResponse>, Failure> {
    timely(SILENCE, parts.message()).await?.map_err(|status| controller::failure(&status))
}

async fn timely<T>(limit: Duration, coming: impl Future<Output = T>) -> Result<T, Failure> {
    let silent = |_| Failure::retry(TORN, format!("the controller was silent for {} s", limit.as_secs()));
    tokio::time::timeout(limit, coming).await.map_err(silent)
}

/// What comes first.
async fn release(parts: &mut Streaming<FetchConnectorResponse>) -> Result<Vec<u8>, Failure> {
    let message = next(parts).await?;
    match message.and_then(|message| message.part) {
        Some(Part::Release(envelope)) => Ok(envelope.into()),
        Some(Part::Data(_)) | None => Err(altered("no release came before it")),
    }
}

fn keep_release(folder: &Path, digest: Digest, envelope: &[u8]) -> Result<(), Failure> {
    private_file::create_folder(folder)
        .and_then(|()| private_file::write(&release_path(folder, digest), envelope))
        .map_err(|error| Failure::retry(Code::new("store.io"), error.to_string()))
}

fn release_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.json", digest.to_string().replace(':', "-")))
}

fn altered(what: &str) -> Failure {
    Failure::permanent(ALTERED, format!("the connector was altered on the way: {what}"))
}

fn broken(error: &StoreError) -> Broken {
    match error {
        StoreError::Content { .. } => Broken::Wrong(kept(error)),
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
        | StoreError::Io { .. } => Broken::Refused(kept(error)),
    }
}

pub(super) fn kept(error: &StoreError) -> Failure {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_controller_that_falls_silent_is_given_up_as_torn() {
        let failure = timely(PAUSE, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!((failure.code, failure.class), (TORN, wherry_domain::failure::FailureClass::Retry));
        assert_eq!(timely(SILENCE, std::future::ready(7)).await.unwrap(), 7);
    }
}
