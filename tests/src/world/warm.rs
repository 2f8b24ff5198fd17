//! Compiled connectors that outlive a test: an agent takes seconds to compile one, and there are many agents.
//!
//! The agents of all tests share one machine key, without which compiled code of another agent is worth nothing.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use wherry_trust::seal_local::LocalKey;

use super::agent::copy_folder;

const KEY: &str = "local-key";
const COMPILED: &str = "compiled";

/// What earlier tests compiled with the same build of the agent: the key, and a folder for each component.
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
            fs::write(fresh.path().join(KEY), key.reveal())?;
            fs::set_permissions(fresh.path().join(KEY), fs::Permissions::from_mode(0o600))?;
            keep(fresh, &folder);
        }
        Ok(Self { folder })
    }

    /// Gives it all to an agent that has not run yet.
    pub(super) fn give(&self, data: &Path) -> Result<()> {
        fs::copy(self.folder.join(KEY), data.join(KEY))?;
        let compiled = data.join(COMPILED);
        fs::create_dir(&compiled)?;
        fs::set_permissions(&compiled, fs::Permissions::from_mode(0o700))?;
        for component in fs::read_dir(&self.folder)?.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
            copy_folder(&component.path(), &compiled)?;
        }
        Ok(())
    }

    /// Keeps what the agent compiled.
    pub(super) fn take(&self, data: &Path) -> Result<()> {
        let Ok(entries) = fs::read_dir(data.join(COMPILED)) else { return Ok(()) };
        for code in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let (Some(stem), true) = (code.file_stem(), code.extension().is_some_and(|end| end == "cwasm")) else {
                continue;
            };
            let target = self.folder.join(stem);
            if target.exists() {
                continue;
            }
            // Code and its seal belong together: two compilations of one component need not be equal.
            let fresh = tempfile::tempdir_in(self.folder.parent().context("the scratch folder is gone")?)?;
            for file in [code.clone(), code.with_extension("mac")] {
                fs::copy(&file, fresh.path().join(file.file_name().context("a file without a name")?))?;
            }
            keep(fresh, &target);
        }
        Ok(())
    }
}

/// Moves a finished folder to its place. Whoever comes first wins; the others use that one.
fn keep(fresh: TempDir, place: &Path) {
    if fs::rename(fresh.path(), place).is_ok() {
        let _moved = fresh.keep();
    }
}
