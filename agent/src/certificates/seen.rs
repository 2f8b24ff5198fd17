//! What settings were made of, to notice that it changed.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use secrecy::SecretString;

/// Secrets and files as they were at one moment.
#[derive(Default)]
pub struct Seen {
    secrets: Vec<Arc<SecretString>>,
    files: Vec<Option<Stamp>>,
}

/// Tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// Notes a secret.
    pub fn secret(&mut self, value: Arc<SecretString>) {
        self.secrets.push(value);
    }

    /// Notes a file, also one that is not there.
    pub fn file(&mut self, path: &str) {
        self.files.push(stamp(Path::new(path)));
    }

    /// Whether nothing changed between two moments.
    pub fn is_same(&self, other: &Self) -> bool {
        // The same `Arc` means the same value, see `Secrets::get`.
        self.files == other.files
            && self.secrets.len() == other.secrets.len()
            && self.secrets.iter().zip(&other.secrets).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: found.ino(),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
