//! Content-addressed files for payloads too large for the key-value store.
//!
//! A file's name is the SHA-256 of its content; it appears under that name only when it is whole
//! and durable, so whoever holds a digest from a durable record finds the file. All calls block.
//! One process owns the folder.

mod partial;

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::digest::{Context, SHA256};
use wherry_domain::digest::Digest;

pub use self::partial::Partial;
use super::{StoreError, disk::filesystem};

const PREFIX: &str = "sha256-";
const PARTIAL: &str = ".part";
const TEMPORARY: &str = ".tmp";
/// Bytes hashed at a time.
const CHUNK: usize = 64 * 1024;

/// Tells apart the temporary files of this process.
static NEXT_PUT: AtomicU64 = AtomicU64::new(0);

/// A folder of content-addressed files.
#[derive(Debug, Clone)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// Opens or creates the folder and removes what interrupted [`Self::put`]s left. Partial
    /// downloads stay, to be resumed.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { dir: dir.into() };
        filesystem::create_private(&store.dir)?;
        for name in store.names()? {
            if name.ends_with(TEMPORARY) {
                store.remove_name(&name)?;
            }
        }
        Ok(store)
    }

    /// Stores `bytes` durably and returns their digest. Storing the same bytes again is cheap and
    /// heals a damaged file.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = digest_of(bytes);
        if matches!(self.read(&digest), Ok(Some(_))) {
            return Ok(digest);
        }
        // One of its own for each call: whoever comes first with the same bytes must not rename half of ours.
        let temporary = self.named(&digest, &format!(".{}{TEMPORARY}", NEXT_PUT.fetch_add(1, Ordering::Relaxed)));
        let written = create(&temporary).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        let published =
            written.map_err(StoreError::io("write", &temporary)).and_then(|()| self.publish(&temporary, &digest));
        if published.is_err() {
            // Where the disk is full, what was written of it helps nobody. It may not even be there.
            drop(fs::remove_file(&temporary));
        }
        published.map(|()| digest)
    }

    /// Begins or resumes a download of `length` bytes that must have the digest `expected`.
    ///
    /// Refuses a length above `cap`, and a second download of the same content at the same time.
    pub fn begin(&self, expected: Digest, length: u64, cap: u64) -> Result<Partial, StoreError> {
        if length > cap {
            return Err(mismatch(&expected, format!("{length} bytes are more than the {cap} allowed")));
        }
        Partial::open(self.clone(), expected, length)
    }

    /// The whole content, verified; `None` if there is no such file.
    pub fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        if digest_of(&bytes) != *digest {
            return Err(mismatch(digest, "its content was altered on disk".to_owned()));
        }
        Ok(Some(bytes))
    }

    /// Where the file is, or would be. Whoever opens it directly verifies it themselves.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.named(digest, "")
    }

    /// Whether the file is there, whole. Its content is verified by [`Self::read`] only.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Removes the file and any partial download of it; whether there was one.
    pub fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        let partial = self.remove_name(&file_name(digest, PARTIAL))?;
        let whole = self.remove_name(&file_name(digest, ""))?;
        filesystem::sync_folder(&self.dir)?;
        Ok(whole || partial)
    }

    /// The digests of all whole files, in order.
    pub fn list(&self) -> Result<Vec<Digest>, StoreError> {
        self.listed("")
    }

    /// The digests of all partial downloads, in order.
    pub fn partials(&self) -> Result<Vec<Digest>, StoreError> {
        self.listed(PARTIAL)
    }

    fn listed(&self, suffix: &str) -> Result<Vec<Digest>, StoreError> {
        let digest = |name: &str| -> Option<Digest> {
            let hex = name.strip_suffix(suffix)?.strip_prefix(PREFIX)?;
            format!("sha256:{hex}").parse().ok()
        };
        let mut found: Vec<_> = self.names()?.iter().filter_map(|name| digest(name)).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let listing = fs::read_dir(&self.dir).map_err(StoreError::io("list", &self.dir))?;
        listing
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()
            .map_err(StoreError::io("list", &self.dir))
    }

    /// Gives a synced file its final name, durably.
    fn publish(&self, from: &Path, digest: &Digest) -> Result<(), StoreError> {
        fs::rename(from, self.path(digest)).map_err(StoreError::io("rename", from))?;
        filesystem::sync_folder(&self.dir)
    }

    fn remove_name(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    fn named(&self, digest: &Digest, suffix: &str) -> PathBuf {
        self.dir.join(file_name(digest, suffix))
    }
}

/// The SHA-256 of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

pub(super) fn finish(context: Context) -> Digest {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest::from_bytes(bytes)
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn file_name(digest: &Digest, suffix: &str) -> String {
    let text = digest.to_string();
    format!("{PREFIX}{}{suffix}", text.strip_prefix("sha256:").unwrap_or(&text))
}

fn mismatch(digest: &Digest, reason: String) -> StoreError {
    StoreError::Content { digest: digest.to_string(), reason: reason.into() }
}

/// Feeds everything from `file` into `context`; returns the number of bytes.
fn hash_rest(file: &mut File, context: &mut Context) -> std::io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(total) };
        context.update(bytes);
        total += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, FileStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path().join("files")).unwrap();
        (dir, store)
    }

    #[test]
    fn content_is_found_by_its_digest_and_listed_until_removed() {
        let (_dir, store) = store();
        let one = store.put(b"one").unwrap();
        let two = store.put(b"two").unwrap();
        assert_eq!(store.put(b"one").unwrap(), one);
        assert_eq!(store.read(&two).unwrap().as_deref(), Some(b"two".as_slice()));
        let mut both = vec![one, two];
        both.sort();
        assert_eq!(store.list().unwrap(), both);
        assert!(store.remove(&one).unwrap());
        assert!(!store.remove(&one).unwrap());
        assert!(!store.contains(&one) && store.contains(&two));
        assert_eq!(store.read(&one).unwrap(), None);
    }

    #[test]
    fn altered_content_is_an_error_until_it_is_put_again() {
        let (_dir, store) = store();
        let digest = store.put(b"a payload").unwrap();
        fs::write(store.path(&digest), b"A payload").unwrap();
        assert_eq!(store.read(&digest).unwrap_err().code(), "store.content_mismatch");
        store.put(b"a payload").unwrap();
        assert_eq!(store.read(&digest).unwrap().as_deref(), Some(b"a payload".as_slice()));
    }

    #[test]
    fn a_download_continues_after_a_restart_where_it_stopped() {
        let (_dir, store) = store();
        let content = vec![7; 200_000];
        let digest = digest_of(&content);
        let mut partial = store.begin(digest, 200_000, 1_000_000).unwrap();
        partial.append(&content[..130_000]).unwrap();
        drop(partial);
        assert!(!store.contains(&digest));
        let store = FileStore::open(store.dir).unwrap();
        assert_eq!(store.partials().unwrap(), [digest]);
        let mut partial = store.begin(digest, 200_000, 1_000_000).unwrap();
        assert_eq!(partial.offset(), 130_000);
        partial.append(&content[130_000..]).unwrap();
        partial.finish().unwrap();
        assert_eq!(store.read(&digest).unwrap(), Some(content));
        assert!(store.partials().unwrap().is_empty());
    }

    #[test]
    fn wrong_content_is_thrown_away_and_never_gets_the_name() {
        let (_dir, store) = store();
        let digest = digest_of(b"right");
        let mut partial = store.begin(digest, 5, 5).unwrap();
        partial.append(b"wrong").unwrap();
        assert!(partial.finish().is_err());
        assert!(!store.contains(&digest));
        assert!(store.partials().unwrap().is_empty());
        let mut partial = store.begin(digest, 5, 5).unwrap();
        partial.append(b"rig").unwrap();
        assert!(partial.append(b"ht, and more").is_err(), "longer than announced");
        assert!(partial.finish().is_err(), "shorter than announced");
    }

    #[test]
    fn two_downloads_of_the_same_content_do_not_mix_and_a_cap_is_kept() {
        let (_dir, store) = store();
        let digest = digest_of(b"x");
        let first = store.begin(digest, 1, 1).unwrap();
        assert!(store.begin(digest, 1, 1).is_err());
        drop(first);
        store.begin(digest, 1, 1).unwrap();
        assert!(store.begin(digest, 2, 1).is_err());
    }

    #[test]
    fn equal_puts_at_the_same_time_do_not_disturb_each_other() {
        let (_dir, store) = store();
        for round in 0..20_u8 {
            let content = vec![round; 300_000];
            std::thread::scope(|scope| {
                let puts: Vec<_> = (0..8).map(|_| scope.spawn(|| store.put(&content).unwrap())).collect();
                assert!(puts.into_iter().all(|put| put.join().unwrap() == digest_of(&content)));
            });
            assert_eq!(store.read(&digest_of(&content)).unwrap().as_ref(), Some(&content));
        }
        assert_eq!(store.names().unwrap().len(), 20, "{:?}", store.names());
    }

    #[test]
    fn what_an_interrupted_put_left_is_removed_when_opening() {
        let (_dir, store) = store();
        let leftover = store.named(&digest_of(b"half"), TEMPORARY);
        fs::write(&leftover, b"ha").unwrap();
        FileStore::open(store.dir).unwrap();
        assert!(!leftover.exists());
    }
}
