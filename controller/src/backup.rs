//! A copy of everything the controller remembers, and putting it back.
//!
//! ```text
//! "wherry-backup-1\n"  { tag u8, digest [u8; 32], length u64 be, bytes }*  end tag
//! ```
//! Files (deployments, connectors) come first, then the store's snapshot, which refers to them;
//! what is added meanwhile is in a file that the snapshot may not know, which does no harm.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wherry_daemon::store::{self, Batch, SledStore, Store, StoreOptions, files::FileStore, record};
use wherry_domain::digest::Digest;

use crate::{
    engine::{GENERATION, Ledger},
    model::{META, SCHEMA},
};

const MAGIC: &[u8] = b"wherry-backup-1\n";
const FILE: u8 = 1;
const STORE: u8 = 2;
/// Largest file in a copy.
const MAX_FILE: u64 = 64 << 20;
/// Pieces that wait for a slow reader.
const AHEAD: usize = 4;

/// Why a copy cannot be put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The data folder holds something already.
    #[error("{0} is not empty: give an empty data folder, or move the old one away")]
    NotEmpty(String),
    /// The copy is damaged or not one.
    #[error("this is not a whole backup: {0}")]
    Damaged(String),
    /// Reading or writing failed.
    #[error("the backup cannot be put back: {0}")]
    Io(#[from] io::Error),
    /// The store refused.
    #[error("the backup cannot be put back: {0}")]
    Store(#[from] store::StoreError),
}

/// The copy as a stream; it ends with an error if it could not be completed, and a copy that was
/// cut short is refused when it is put back.
pub fn stream(ledger: &Ledger) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (pieces, stream) = mpsc::channel(AHEAD);
    let ledger = ledger.clone();
    tokio::task::spawn_blocking(move || {
        let mut writer = Pieces { pieces: pieces.clone() };
        if let Err(error) = write(&ledger, &mut writer) {
            // The reader may be gone, which is its right.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(stream)
}

struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(ledger: &Ledger, out: &mut dyn Write) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(64 << 10, out);
    out.write_all(MAGIC)?;
    for digest in ledger.files.list().map_err(io::Error::other)? {
        let Some(bytes) = ledger.files.read(&digest).map_err(io::Error::other)? else { continue };
        out.write_all(&[FILE])?;
        out.write_all(digest.as_bytes())?;
        out.write_all(&(bytes.len() as u64).to_be_bytes())?;
        out.write_all(&bytes)?;
    }
    out.write_all(&[STORE])?;
    ledger.store.snapshot(&mut out).map_err(io::Error::other)?;
    out.flush()
}

/// Puts a copy into an empty data folder and raises the restore generation, so that no fence or
/// epoch handed out after the copy was taken is ever handed out again.
///
/// # Errors
/// If the folder is not empty or the copy not whole; the folder is unusable then.
pub fn restore(data_dir: &Path, input: &mut dyn Read) -> Result<(), RestoreError> {
    let store_dir = data_dir.join("store");
    if store_dir.exists() || data_dir.join("files").exists() {
        return Err(RestoreError::NotEmpty(data_dir.display().to_string()));
    }
    fs::create_dir_all(data_dir)?;
    let mut magic = [0; 16];
    input.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(RestoreError::Damaged("it does not begin like one".to_owned()));
    }
    let files = FileStore::open(data_dir.join("files"))?;
    while read_file(&files, input)? {}
    store::restore(&store_dir, input)?;
    raise_generation(&store_dir)
}

/// Reads one file; `false` once the snapshot follows.
fn read_file(files: &FileStore, input: &mut dyn Read) -> Result<bool, RestoreError> {
    let mut tag = [0; 1];
    input.read_exact(&mut tag)?;
    match tag {
        [STORE] => return Ok(false),
        [FILE] => (),
        [other] => return Err(RestoreError::Damaged(format!("it has a part of kind {other}"))),
    }
    let (mut digest, mut length) = ([0; 32], [0; 8]);
    input.read_exact(&mut digest)?;
    input.read_exact(&mut length)?;
    let (digest, length) = (Digest::from_bytes(digest), u64::from_be_bytes(length));
    if length > MAX_FILE {
        return Err(RestoreError::Damaged(format!("it has a file of {length} bytes")));
    }
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if files.put(&bytes)? != digest {
        return Err(RestoreError::Damaged(format!("its file {digest} has other content")));
    }
    Ok(true)
}

fn raise_generation(store_dir: &Path) -> Result<(), RestoreError> {
    let (store, _) = SledStore::open(StoreOptions::new(store_dir))?;
    let stored = store.get(META, GENERATION.as_bytes())?;
    let generation: u32 = stored.map(|bytes| record::decode(SCHEMA, &bytes)).transpose()?.unwrap_or(0);
    let next =
        generation.checked_add(1).ok_or_else(|| RestoreError::Damaged("its generation cannot rise".to_owned()))?;
    let mut batch = Batch::new();
    batch.put(META, GENERATION, record::encode(SCHEMA, &next)?);
    futures::executor::block_on(store.commit(batch))?;
    Ok(())
}
