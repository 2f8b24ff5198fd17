//! How far the store had come, noted beside the engine's files.
//!
//! sled ends recovery silently at the first log entry it cannot read. The mark tells a recovery
//! that fell short from one that did not: it is written after every sync and never synced itself,
//! so it is never ahead of what is durable, exact after a killed process, and costs a microsecond.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use super::StoreError;

const NAME: &str = "mark";

/// The open mark file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
}

impl Mark {
    /// Opens the mark inside `engine_dir` for writing.
    pub(super) fn open(engine_dir: &Path) -> Result<Self, StoreError> {
        let path = engine_dir.join(NAME);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        Ok(Self { file })
    }

    /// Notes that everything up to `sequence` is durable.
    pub(super) fn write(&self, sequence: u64) -> std::io::Result<()> {
        let number = sequence.to_le_bytes();
        let crc = crc32fast::hash(&number).to_le_bytes();
        let mut bytes = [0; 12];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&number);
        tail.copy_from_slice(&crc);
        self.file.write_all_at(&bytes, 0)
    }
}

/// The last number noted; `None` if there is none or it was torn.
pub(super) fn read(engine_dir: &Path) -> Option<u64> {
    let bytes = std::fs::read(engine_dir.join(NAME)).ok()?;
    let (number, crc) = bytes.split_first_chunk::<8>()?;
    (crc == crc32fast::hash(number).to_le_bytes()).then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_read_back_and_a_torn_one_ignored() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let mark = Mark::open(dir.path()).unwrap();
        mark.write(7).unwrap();
        mark.write(u64::MAX).unwrap();
        assert_eq!(read(dir.path()), Some(u64::MAX));
        mark.file.set_len(9).unwrap();
        assert_eq!(read(dir.path()), None);
    }
}
