//! A download in progress, which survives a restart.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{FlockOperation, flock};
use wherry_domain::digest::Digest;

use super::{FileStore, PARTIAL, StoreError, finish, hash_rest, mismatch};

/// A download in progress. Dropping it keeps what has arrived, for a later
/// [`FileStore::begin`]; nothing is durable before [`Self::finish`].
pub struct Partial {
    store: FileStore,
    expected: Digest,
    length: u64,
    offset: u64,
    context: Context,
    file: File,
    path: PathBuf,
}

impl Partial {
    pub(super) fn open(store: FileStore, expected: Digest, length: u64) -> Result<Self, StoreError> {
        let path = store.named(&expected, PARTIAL);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| StoreError::io("lock the download", &path)(errno.into()))?;
        let mut context = Context::new(&SHA256);
        let mut offset = hash_rest(&mut file, &mut context).map_err(StoreError::io("read", &path))?;
        if offset > length {
            file.set_len(0).and_then(|()| file.rewind()).map_err(StoreError::io("truncate", &path))?;
            (context, offset) = (Context::new(&SHA256), 0);
        }
        Ok(Self { store, expected, length, offset, context, file, path })
    }

    /// Bytes that have arrived; the next ones to ask for begin here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds the next bytes; refuses more than were announced.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let offset = self.offset.saturating_add(bytes.len() as u64);
        if offset > self.length {
            return Err(mismatch(&self.expected, format!("more than the {} bytes announced arrived", self.length)));
        }
        if let Err(error) = self.file.write_all(bytes) {
            // Part of it may have been written: go back to where the digest stands.
            drop(self.file.set_len(self.offset).and_then(|()| self.file.seek(SeekFrom::Start(self.offset))));
            return Err(StoreError::io("write", &self.path)(error));
        }
        self.context.update(bytes);
        self.offset = offset;
        Ok(())
    }

    /// Verifies length and digest and gives the file its name, durably. A mismatch deletes what
    /// arrived, since no continuation could heal it; a shorter file too.
    pub fn finish(self) -> Result<PathBuf, StoreError> {
        let found = finish(self.context);
        if self.offset != self.length || found != self.expected {
            std::fs::remove_file(&self.path).map_err(StoreError::io("remove", &self.path))?;
            let reason = format!("{} of {} bytes arrived, their digest is {found}", self.offset, self.length);
            return Err(mismatch(&self.expected, reason));
        }
        self.file.sync_all().map_err(StoreError::io("sync", &self.path))?;
        self.store.publish(&self.path, &self.expected)?;
        Ok(self.store.path(&self.expected))
    }
}

impl std::fmt::Debug for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partial")
            .field("expected", &self.expected)
            .field("offset", &self.offset)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
