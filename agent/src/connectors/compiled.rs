//! Compiled code on disk: keyed by component and engine, believed only with a MAC of this machine.

use std::{path::PathBuf, sync::Arc};

use tokio::task::spawn_blocking;
use wherry_daemon::store::files::FileStore;
use wherry_domain::digest::Digest;
use wherry_trust::seal_local::{LocalKey, MAC_LENGTH, mac, verify};

use super::compiler::{CompileError, run};
use crate::private_file;

/// Largest compiled file: about three times the largest component.
const MAX_COMPILED: u64 = 128 << 20;
/// First part of what the MAC covers, so that it is good for nothing else.
const PURPOSE: &[u8] = b"wherry/compiled/v1";

/// The folder of compiled code.
pub(crate) struct Compiled {
    dir: PathBuf,
    compiler: PathBuf,
    key: Arc<LocalKey>,
    compatibility: String,
}

impl Compiled {
    pub(crate) fn new(dir: PathBuf, compiler: PathBuf, key: LocalKey, compatibility: String) -> Self {
        Self { dir, compiler, key: Arc::new(key), compatibility }
    }

    /// The compiled file of a component, if there is one that this machine made and nobody changed since.
    pub(crate) async fn find(&self, digest: Digest) -> Option<PathBuf> {
        let path = self.path(digest);
        let (file, tag) = (path.clone(), self.tag_path(digest));
        let (key, compatibility) = (Arc::clone(&self.key), self.compatibility.clone());
        let checked = spawn_blocking(move || {
            let tag = private_file::read(&tag, MAC_LENGTH as u64).ok()?;
            let code = private_file::read(&file, MAX_COMPILED).ok()?;
            Some(verify(&key, &parts(&digest, &compatibility, &code), &tag))
        });
        match checked.await.ok().flatten() {
            Some(true) => Some(path),
            Some(false) => {
                tracing::warn!(%digest, "compiled code was altered or is foreign, it is compiled again");
                None
            }
            None => None,
        }
    }

    /// Compiles a component of `files` in a child process and keeps the result.
    pub(crate) async fn compile(&self, files: &FileStore, digest: Digest) -> Result<PathBuf, CompileError> {
        private_file::create_folder(&self.dir)?;
        let (files, input) = (files.clone(), files.path(&digest));
        let whole = spawn_blocking(move || files.read(&digest)).await.map_err(|_| CompileError::Broke)??;
        // Only its digest mattered; the child reads the file itself.
        drop(whole.ok_or(CompileError::Gone)?);
        let output = self.dir.join(format!("{}.new", self.file_name(digest)));
        run(&self.compiler, &input, &output).await?;
        let (path, tag) = (self.path(digest), self.tag_path(digest));
        let (key, compatibility) = (Arc::clone(&self.key), self.compatibility.clone());
        let kept = spawn_blocking(move || {
            let code = private_file::read(&output, MAX_COMPILED)?;
            let made = mac(&key, &parts(&digest, &compatibility, &code));
            private_file::write(&tag, &made)?;
            private_file::rename(&output, &path)?;
            Ok(path)
        });
        kept.await.map_err(|_| CompileError::Broke)?
    }

    /// Of which components there is compiled code, for this engine or an earlier one.
    pub(super) fn digests(&self) -> Vec<Digest> {
        private_file::names(&self.dir).iter().filter_map(|name| digest_in(name)).collect()
    }

    /// Removes what was compiled of a component, for whichever engine.
    pub(super) fn remove(&self, digest: Digest) {
        for name in private_file::names(&self.dir).into_iter().filter(|name| digest_in(name) == Some(digest)) {
            if let Err(error) = private_file::remove(&self.dir.join(name)) {
                tracing::warn!(%digest, %error, "compiled code stays behind");
            }
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.cwasm", self.file_name(digest)))
    }

    fn tag_path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.mac", self.file_name(digest)))
    }

    fn file_name(&self, digest: Digest) -> String {
        let text = digest.to_string();
        format!("{}-{}", text.strip_prefix("sha256:").unwrap_or(&text), self.compatibility)
    }
}

/// The component of which a file is compiled code.
fn digest_in(name: &str) -> Option<Digest> {
    let (hex, _) = name.split_once('-')?;
    format!("sha256:{hex}").parse().ok()
}

fn parts<'a>(digest: &'a Digest, compatibility: &'a str, code: &'a [u8]) -> [&'a [u8]; 4] {
    [PURPOSE, digest.as_bytes(), compatibility.as_bytes(), code]
}
