//! Compiled connectors that outlive a test: an agent takes seconds to compile one, and there are many agents.
//!
//! The agents of all tests share one machine key, without which compiled code of another agent is worth nothing.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use wherry_trust::seal_local::LocalKey;

use super::agent::copy_folder;

const KEY: &str = "local-key";
const COMPILED: &str = "compiled";

/// What earlier tests compiled with the same build of the agent.
#[derive(Clone, Debug)]
pub(super) struct Warm {
    folder: PathBuf,
}

impl Warm {
    /// Kept in `scratch`, apart for each build of `program`.
    pub(super) fn open(scratch: &Path, program: &Path) -> Result<Self> {
        let built = fs::metadata(program)?;
        let folder = scratch.join(format!("compiled-{}-{}-{}", built.size(), built.mtime(), built.mtime_nsec()));
        if !folder.join(KEY).exists() {
            fs::create_dir_all(scratch)?;
            let fresh = tempfile::tempdir_in(scratch)?;
            let key = LocalKey::generate().context("no chance to be had")?;
            write_private(&fresh.path().join(KEY), key.reveal())?;
            make_private(&fresh.path().join(COMPILED))?;
            // Whoever comes first makes it; the others use that one.
            if fs::rename(fresh.path(), &folder).is_ok() {
                let _renamed = fresh.keep();
            }
        }
        Ok(Self { folder })
    }

    /// Gives it all to an agent that has not run yet.
    pub(super) fn give(&self, data: &Path) -> Result<()> {
        fs::copy(self.folder.join(KEY), data.join(KEY))?;
        copy_folder(&self.folder.join(COMPILED), &data.join(COMPILED))
    }

    /// Keeps what the agent compiled.
    pub(super) fn take(&self, data: &Path) -> Result<()> {
        let Ok(entries) = fs::read_dir(data.join(COMPILED)) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let target = self.folder.join(COMPILED).join(entry.file_name());
            let whole = entry.path().extension().is_some_and(|end| end == "cwasm" || end == "mac");
            if whole && !target.exists() {
                let fresh = tempfile::NamedTempFile::new_in(&self.folder)?;
                fs::copy(entry.path(), fresh.path())?;
                fresh.persist(target)?;
            }
        }
        Ok(())
    }
}

fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

fn make_private(path: &Path) -> Result<()> {
    fs::create_dir(path)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o700))?)
}
