//! The authority's files: made once, together, readable by the owner alone.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustls_pki_types::CertificateDer;
use wherry_daemon::tls::certificates_from_pem;

use super::CaError;

/// The four files as text.
pub(super) struct Stored {
    pub(super) root: String,
    pub(super) root_key: String,
    pub(super) issuing: String,
    pub(super) issuing_key: String,
}

const NAMES: [&str; 4] = ["root.pem", "root.key", "issuing.pem", "issuing.key"];

/// Reads the files, or makes them if there are none. They are written into a folder beside and
/// renamed into place, so that they exist all together or not at all.
pub(super) fn read_or_make(dir: &Path, make: impl FnOnce() -> Result<Stored, CaError>) -> Result<Stored, CaError> {
    if !dir.exists() {
        let stored = make()?;
        write(dir, &stored)?;
    }
    read(dir)
}

/// Reads the files.
pub(super) fn read(dir: &Path) -> Result<Stored, CaError> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path).map_err(|error| at(&path, error))
    };
    let [root, root_key, issuing, issuing_key] = NAMES;
    Ok(Stored {
        root: read(root)?,
        root_key: read(root_key)?,
        issuing: read(issuing)?,
        issuing_key: read(issuing_key)?,
    })
}

/// Replaces one file, so that it is the old one or the new one whatever happens.
pub(super) fn replace(dir: &Path, name: &str, text: &str) -> Result<(), CaError> {
    let fresh = dir.join(format!("{name}.new"));
    if fresh.exists() {
        fs::remove_file(&fresh).map_err(|error| at(&fresh, error))?;
    }
    create(&fresh, text)?;
    fs::rename(&fresh, dir.join(name)).map_err(|error| at(&fresh, error))?;
    sync(dir)
}

fn create(path: &Path, text: &str) -> Result<(), CaError> {
    let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = created.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| at(path, error))
}

fn sync(folder: &Path) -> Result<(), CaError> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at(folder, error))
}

fn write(dir: &Path, stored: &Stored) -> Result<(), CaError> {
    let fresh = dir.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(|error| at(&fresh, error))?;
    }
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&fresh).map_err(|error| at(&fresh, error))?;
    let texts = [&stored.root, &stored.root_key, &stored.issuing, &stored.issuing_key];
    for (name, text) in NAMES.into_iter().zip(texts) {
        create(&fresh.join(name), text)?;
    }
    sync(&fresh)?;
    fs::rename(&fresh, dir).map_err(|error| at(dir, error))?;
    sync(dir.parent().unwrap_or(dir))
}

/// The one certificate in a PEM text.
pub(super) fn certificate(dir: &Path, name: &str, pem: &str) -> Result<CertificateDer<'static>, CaError> {
    let bad = |reason: String| at(&dir.join(name), io::Error::new(io::ErrorKind::InvalidData, reason));
    let found = certificates_from_pem(pem.as_bytes()).map_err(bad)?;
    found.into_iter().next().ok_or_else(|| bad("it holds no certificate".to_owned()))
}

fn at(path: &Path, error: io::Error) -> CaError {
    CaError::File { path: path.display().to_string(), error }
}
