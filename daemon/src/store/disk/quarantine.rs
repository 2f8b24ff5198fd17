//! Moving aside what will not open. Nothing is ever deleted here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{StoreError, filesystem};
use crate::clock;

/// Something that was moved to the quarantine folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it is now.
    pub to: PathBuf,
    /// Why it was moved.
    pub reason: String,
}

/// A new folder below `<dir>/quarantine`, named by time.
pub(super) fn folder(dir: &Path) -> Result<PathBuf, StoreError> {
    let base = dir.join("quarantine");
    filesystem::create_private(&base)?;
    let now = clock::wall_millis();
    // Two quarantines in one millisecond must not share a folder.
    for attempt in 0..1_000 {
        let folder = base.join(format!("{now}-{attempt}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("create", folder)(error)),
        }
    }
    Err(StoreError::io("create a folder in", base)(std::io::ErrorKind::AlreadyExists.into()))
}

/// Moves `paths` into one new quarantine folder, durably.
pub(super) fn take(dir: &Path, paths: &[PathBuf], reason: &str) -> Result<Quarantined, StoreError> {
    let folder = folder(dir)?;
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, folder.join(name)).map_err(StoreError::io("move to quarantine", path))?;
        if let Some(parent) = path.parent() {
            filesystem::sync_folder(parent)?;
        }
    }
    filesystem::sync_folder(&folder)?;
    if let Some(base) = folder.parent() {
        filesystem::sync_folder(base)?;
    }
    tracing::warn!(to = %folder.display(), reason, "moved damaged store files to quarantine");
    Ok(Quarantined { to: folder, reason: reason.to_owned() })
}
