//! The backup format, written and read as a stream.
//!
//! `header | record* | trailer`, integers little-endian:
//! - header: `WHERRYSS`, version u16, creation in unix milliseconds u64, CRC-32 of these;
//! - record: kind u8 (1 put, 2 delete), key length u16, value length u32, key (space first), value,
//!   CRC-32 of these. Later records win over earlier ones;
//! - trailer: kind 0, number of records u64, SHA-256 of everything before it.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};
use wherry_domain::digest::Digest;

use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError, files};
use crate::clock;

const MAGIC: &[u8; 8] = b"WHERRYSS";
const VERSION: u16 = 1;
const END: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// Records in the stream; a key changed while the snapshot was taken counts more than once.
    pub records: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Creation, in unix milliseconds by the wall clock of the machine.
    pub created_unix_ms: u64,
    /// SHA-256 of everything before the trailer.
    pub digest: Digest,
}

/// One record read back; the key is full.
pub(super) enum Record {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

/// Writes a snapshot of `store` to `path`: a new file beside it first, synced, then renamed, so
/// that the name never stands for half a snapshot.
pub fn snapshot_to_file(store: &dyn Store, path: &Path) -> Result<SnapshotSummary, StoreError> {
    let partial = path.with_extension("partial");
    let file = File::create(&partial).map_err(StoreError::io("create", &partial))?;
    let mut out = BufWriter::with_capacity(256 * 1024, file);
    let summary = store.snapshot(&mut out)?;
    out.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("write", &partial))?;
    std::fs::rename(&partial, path).map_err(StoreError::io("rename", &partial))?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", parent))?;
    }
    Ok(summary)
}

/// Writes the stream.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    digest: Context,
    records: u64,
    bytes: u64,
    created_unix_ms: u64,
    scratch: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn start(out: &'a mut dyn Write) -> Result<Self, StoreError> {
        let created_unix_ms = clock::wall_millis();
        let scratch = Vec::with_capacity(1024);
        let mut writer = Self { out, digest: Context::new(&SHA256), records: 0, bytes: 0, created_unix_ms, scratch };
        writer.scratch.extend_from_slice(MAGIC);
        writer.scratch.extend_from_slice(&VERSION.to_le_bytes());
        writer.scratch.extend_from_slice(&created_unix_ms.to_le_bytes());
        writer.flush_with_crc()?;
        Ok(writer)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.record(PUT, key, value)
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.record(DELETE, key, &[])
    }

    pub(super) fn finish(mut self) -> Result<SnapshotSummary, StoreError> {
        let digest = files::finish(self.digest.clone());
        self.scratch.push(END);
        self.scratch.extend_from_slice(&self.records.to_le_bytes());
        self.scratch.extend_from_slice(digest.as_bytes());
        self.flush()?;
        self.out.flush().map_err(write_failed)?;
        let Self { records, bytes, created_unix_ms, .. } = self;
        Ok(SnapshotSummary { records, bytes, created_unix_ms, digest })
    }

    fn record(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.scratch.push(kind);
        // Both lengths are within the store's limits, far below what the fields hold.
        self.scratch.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.scratch.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.scratch.extend_from_slice(key);
        self.scratch.extend_from_slice(value);
        self.records += 1;
        self.flush_with_crc()
    }

    fn flush_with_crc(&mut self) -> Result<(), StoreError> {
        let crc = crc32fast::hash(&self.scratch);
        self.scratch.extend_from_slice(&crc.to_le_bytes());
        self.flush()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.digest.update(&self.scratch);
        self.bytes += self.scratch.len() as u64;
        self.out.write_all(&self.scratch).map_err(write_failed)?;
        self.scratch.clear();
        Ok(())
    }
}

/// Reads a whole stream, handing on each record as soon as its own checksum is right. Only the
/// result says whether the stream was complete.
pub(super) fn read(
    input: &mut dyn Read,
    mut each: impl FnMut(Record) -> Result<(), StoreError>,
) -> Result<SnapshotSummary, StoreError> {
    let mut source = Source { input, digest: Context::new(&SHA256), bytes: 0 };
    let created_unix_ms = source.header()?;
    let mut records = 0;
    loop {
        let before = source.digest.clone();
        match source.record()? {
            Some(record) => {
                records += 1;
                each(record)?;
            }
            None => {
                let digest = source.trailer(files::finish(before), records)?;
                return Ok(SnapshotSummary { records, bytes: source.bytes, created_unix_ms, digest });
            }
        }
    }
}

struct Source<'a> {
    input: &'a mut dyn Read,
    digest: Context,
    bytes: u64,
}

impl Source<'_> {
    fn header(&mut self) -> Result<u64, StoreError> {
        let magic = self.take::<8>()?;
        let version = self.take::<2>()?;
        let created = self.take::<8>()?;
        let crc = self.take::<4>()?;
        if magic != *MAGIC {
            return Err(invalid("it is not a snapshot of a store"));
        }
        if u32::from_le_bytes(crc) != crc_of(&[&magic, &version, &created]) {
            return Err(invalid("its header is damaged"));
        }
        if u16::from_le_bytes(version) != VERSION {
            return Err(invalid("it was written by a newer version"));
        }
        Ok(u64::from_le_bytes(created))
    }

    fn record(&mut self) -> Result<Option<Record>, StoreError> {
        let kind = self.take::<1>()?;
        if kind == [END] {
            return Ok(None);
        }
        let key_length = self.take::<2>()?;
        let value_length = self.take::<4>()?;
        let key = self.take_vec(u16::from_le_bytes(key_length).into(), MAX_KEY_BYTES + 1)?;
        let value = self.take_vec(u32::from_le_bytes(value_length) as usize, MAX_VALUE_BYTES)?;
        let crc = self.take::<4>()?;
        if u32::from_le_bytes(crc) != crc_of(&[&kind, &key_length, &value_length, &key, &value]) {
            return Err(invalid("a record is damaged"));
        }
        match kind {
            [PUT] => Ok(Some(Record::Put(key, value))),
            [DELETE] => Ok(Some(Record::Delete(key))),
            _ => Err(invalid("a record is of an unknown kind")),
        }
    }

    fn trailer(&mut self, digest: Digest, records: u64) -> Result<Digest, StoreError> {
        let count = u64::from_le_bytes(self.take::<8>()?);
        let expected = Digest::from_bytes(self.take::<32>()?);
        if count != records || expected != digest {
            return Err(invalid("its records are not the ones its trailer counts"));
        }
        Ok(digest)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn take_vec(&mut self, length: usize, limit: usize) -> Result<Vec<u8>, StoreError> {
        if length > limit {
            return Err(invalid("a record is larger than the store allows"));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.input.read_exact(bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                return invalid("it ends too early");
            }
            invalid(&format!("reading it failed: {error}"))
        })?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

fn invalid(reason: &str) -> StoreError {
    StoreError::Snapshot { reason: reason.into() }
}

fn write_failed(error: std::io::Error) -> StoreError {
    StoreError::io("write", "the snapshot")(error)
}
