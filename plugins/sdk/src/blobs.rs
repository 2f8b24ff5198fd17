//! Files and attachments that travel beside the records. A record carries the handle.

use crate::error::Result;
use crate::host::{BlobSink, BlobSource, Host};

/// Bytes moved by one call.
pub(crate) const CHUNK: usize = 1 << 20;

/// The files of a run, at most 64 MiB together.
#[derive(Clone, Copy)]
pub struct Blobs<'h>(&'h dyn Host);

impl<'h> Blobs<'h> {
    pub(crate) const fn new(host: &'h dyn Host) -> Self {
        Self(host)
    }

    /// Opens a file by the handle that a record carries.
    pub fn open(&self, handle: &str) -> Result<Blob> {
        Ok(Blob { source: self.0.blob_open(handle)?, at: 0 })
    }

    /// Begins a file.
    pub fn create(&self) -> BlobWriter {
        BlobWriter(self.0.blob_create())
    }
}

/// A file to be read from its start to its end.
pub struct Blob {
    source: Box<dyn BlobSource>,
    at: u64,
}

impl Blob {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Hands the bytes that are left to `take`, in order, and leaves the file where it is.
    pub(crate) fn write_to(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut at = self.at;
        loop {
            let chunk = self.source.read(at, CHUNK as u32)?;
            if chunk.is_empty() {
                return Ok(());
            }
            at += chunk.len() as u64;
            take(&chunk)?;
        }
    }

    /// The next bytes, at most 1 MiB; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let chunk = self.source.read(self.at, CHUNK as u32)?;
        self.at += chunk.len() as u64;
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// A file that is being written. Dropped unfinished, it is forgotten.
pub struct BlobWriter(Box<dyn BlobSink>);

impl BlobWriter {
    /// Appends.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        data.chunks(CHUNK).try_for_each(|chunk| self.0.write(chunk))
    }

    /// Completes the file; gives the handle to put into a record.
    pub fn finish(self) -> Result<String> {
        self.0.finish()
    }
}
