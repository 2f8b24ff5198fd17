//! What can go wrong with the store, told so that the caller knows what to do.

use std::{fmt, io, path::PathBuf, sync::Arc};

use super::{MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, MAX_KEY_BYTES, MAX_VALUE_BYTES, Space};

/// A failure of the store. [`StoreError::code`] is stable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A key breaks its limit. Nothing was applied.
    #[error("a store key of {length} bytes is longer than {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// Its length without the space.
        length: usize,
    },
    /// A value breaks its limit. Nothing was applied.
    #[error("a store value of {length} bytes is larger than {MAX_VALUE_BYTES}, keep it in a file")]
    ValueTooLarge {
        /// Its length.
        length: usize,
    },
    /// A batch breaks its limit. Nothing was applied.
    #[error(
        "a batch of {operations} changes and {bytes} bytes is larger than {MAX_BATCH_OPERATIONS} \
         changes or {MAX_BATCH_BYTES} bytes, split it"
    )]
    BatchTooLarge {
        /// Bytes of keys and values.
        bytes: usize,
        /// Number of changes.
        operations: usize,
    },
    /// The free-space reserve is breached. Nothing was applied; reads work.
    #[error("{path} has {free} bytes free and {reserve} are kept in reserve, free some space and try again")]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// Too many commits are waiting. Nothing was applied; try again later.
    #[error("{waiting} commits already wait for the disk, try again later")]
    Busy {
        /// Commits in the queue.
        waiting: usize,
    },
    /// Writing failed. The outcome of unacknowledged batches is unknown until the next start, and
    /// no later commit succeeds: exit with code 74 and restart.
    #[error("the store at {path} failed and accepts nothing more, restart the process: {reason}")]
    Fatal {
        /// The store's folder.
        path: PathBuf,
        /// What happened.
        reason: Arc<str>,
    },
    /// The store was closed while the commit waited; the batch was not acknowledged.
    #[error("the store is closed")]
    Closed,
    /// A stored value or page does not carry what was written.
    #[error("damaged data in the store, {place}: {reason}")]
    Damaged {
        /// Where.
        place: Place,
        /// How it was noticed.
        reason: Arc<str>,
    },
    /// A value does not have the expected shape.
    #[error("cannot read a stored record as {type_name}: {reason}")]
    Record {
        /// The type that was asked for.
        type_name: &'static str,
        /// Why not.
        reason: Arc<str>,
    },
    /// A value was written by a newer version of the software.
    #[error(
        "a stored {type_name} was written by a newer version (schema {found}, this version reads up \
         to {supported}), start the newer version again"
    )]
    Newer {
        /// The type that was asked for.
        type_name: &'static str,
        /// The schema found.
        found: u8,
        /// The newest schema this version reads.
        supported: u8,
    },
    /// Another process has the store open.
    #[error("{path} is in use by another process{holder}, stop it first")]
    InUse {
        /// The store's folder.
        path: PathBuf,
        /// `" (process 123)"`, if known.
        holder: String,
    },
    /// The folder lies on a filesystem whose locks and syncs cannot be relied on.
    #[error("{path} lies on {kind}, where synced data can be lost, use a local disk")]
    Filesystem {
        /// The store's folder.
        path: PathBuf,
        /// The kind of filesystem.
        kind: &'static str,
    },
    /// The store's files could not be opened, for a reason other than damage.
    #[error("cannot open the store at {path}: {reason}")]
    Open {
        /// The store's folder.
        path: PathBuf,
        /// What the engine says.
        reason: Arc<str>,
    },
    /// A snapshot cannot be restored.
    #[error("cannot restore this snapshot: {reason}")]
    Snapshot {
        /// What is wrong with it or with the place it should go to.
        reason: Arc<str>,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// A content-addressed file does not have the length or digest it should have.
    #[error("file {digest} is not what it should be: {reason}")]
    Content {
        /// The digest expected.
        digest: String,
        /// What differs.
        reason: Arc<str>,
    },
}

impl StoreError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyTooLong { .. } | Self::ValueTooLarge { .. } | Self::BatchTooLarge { .. } => "store.too_large",
            Self::Full { .. } => "store.full",
            Self::Busy { .. } => "store.busy",
            Self::Fatal { .. } | Self::Closed => "store.failed",
            Self::Damaged { .. } | Self::Record { .. } => "store.damaged",
            Self::Newer { .. } => "store.newer_version",
            Self::InUse { .. } => "store.in_use",
            Self::Filesystem { .. } => "store.unsafe_filesystem",
            Self::Open { .. } => "store.cannot_open",
            Self::Snapshot { .. } => "store.snapshot_invalid",
            Self::Io { .. } => "store.io",
            Self::Content { .. } => "store.content_mismatch",
        }
    }

    /// Whether the process must stop acknowledging anything and exit with code 74.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. } | Self::Closed)
    }

    /// Whether the same commit may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy { .. })
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Under this key.
    Key(Space, Vec<u8>),
    /// Somewhere in the engine's own pages.
    Pages,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(space, key) => {
                write!(f, "space {} key ", space.0)?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Pages => f.write_str("in its pages"),
        }
    }
}
