//! Files and attachments of one run, kept in memory and shared by the connectors that take part in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// What an empty blob costs, so that their number is limited too.
const OVERHEAD: usize = 256;

/// The blobs of one run. Clones share their content; it is freed with the last clone.
#[derive(Clone)]
pub struct Blobs(Arc<Mutex<Shelf>>);

struct Shelf {
    limit: usize,
    used: usize,
    made: u64,
    content: BTreeMap<String, Bytes>,
    /// Where finished content really is, if not here.
    far: Option<mpsc::Sender<BlobWish>>,
}

/// What a shelf wants that only stands for one in another process.
#[derive(Debug)]
pub enum BlobWish {
    /// The content of a handle.
    Get {
        /// The handle.
        handle: String,
        /// Where the content goes; nothing if there is none.
        answer: oneshot::Sender<Option<Bytes>>,
    },
    /// Content is finished.
    Keep {
        /// All of it.
        content: Bytes,
        /// Where its handle goes.
        answer: oneshot::Sender<Result<String, BlobError>>,
    },
}

/// Why a blob cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BlobError {
    /// The run's blobs would exceed their limit.
    #[error("the files of one run together have at most {limit} bytes; move fewer or smaller files at once")]
    Full {
        /// The limit.
        limit: usize,
    },
}

impl BlobError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "sandbox.blobs_full",
        }
    }
}

impl Blobs {
    /// An empty shelf for blobs of `limit` bytes together.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shelf { limit, used: 0, made: 0, content: BTreeMap::new(), far: None })))
    }

    /// A shelf that stands for one in another process. What is being written counts here, up to `limit` bytes; what is
    /// finished is kept there.
    pub fn far(limit: usize) -> (Self, mpsc::Receiver<BlobWish>) {
        let (far, wishes) = mpsc::channel(1);
        let blobs = Self::new(limit);
        blobs.shelf().far = Some(far);
        (blobs, wishes)
    }

    /// The content of a handle, wherever it is.
    pub(crate) async fn fetch(&self, handle: &str) -> Option<Bytes> {
        let far = self.shelf().far.clone();
        let Some(far) = far else { return self.get(handle) };
        let (answer, content) = oneshot::channel();
        far.send(BlobWish::Get { handle: handle.to_owned(), answer }).await.ok()?;
        content.await.ok().flatten()
    }

    /// Keeps content under a new handle.
    pub fn insert(&self, content: Bytes) -> Result<String, BlobError> {
        self.reserve(content.len() + OVERHEAD)?;
        Ok(self.keep(content))
    }

    /// The content of a handle.
    pub fn get(&self, handle: &str) -> Option<Bytes> {
        self.shelf().content.get(handle).cloned()
    }

    /// Begins content that grows.
    ///
    /// # Errors
    /// If there is no room for another blob.
    pub fn begin(&self) -> Result<GrowingBlob, BlobError> {
        self.reserve(OVERHEAD)?;
        Ok(GrowingBlob { blobs: self.clone(), reserved: OVERHEAD, content: Vec::new() })
    }

    fn reserve(&self, bytes: usize) -> Result<(), BlobError> {
        let mut shelf = self.shelf();
        let used = shelf.used.saturating_add(bytes);
        if used > shelf.limit {
            return Err(BlobError::Full { limit: shelf.limit });
        }
        shelf.used = used;
        Ok(())
    }

    fn keep(&self, content: Bytes) -> String {
        let mut shelf = self.shelf();
        shelf.made += 1;
        let handle = format!("blob-{}", shelf.made);
        shelf.content.insert(handle.clone(), content);
        handle
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelf = self.shelf();
        f.debug_struct("Blobs").field("count", &shelf.content.len()).field("used", &shelf.used).finish()
    }
}

/// Content that is being written; gives its room back if it is dropped unfinished.
pub struct GrowingBlob {
    blobs: Blobs,
    reserved: usize,
    content: Vec<u8>,
}

impl GrowingBlob {
    /// Adds to it.
    ///
    /// # Errors
    /// If the run's blobs would exceed their limit.
    pub fn append(&mut self, data: &[u8]) -> Result<(), BlobError> {
        self.blobs.reserve(data.len())?;
        self.reserved += data.len();
        self.content.extend_from_slice(data);
        Ok(())
    }

    /// Completes it and gives its handle.
    ///
    /// # Errors
    /// If the shelf is in another process that has no room for it.
    pub async fn finish(mut self) -> Result<String, BlobError> {
        let mut content = std::mem::take(&mut self.content);
        content.shrink_to_fit();
        let content = Bytes::from(content);
        let far = self.blobs.shelf().far.clone();
        let Some(far) = far else {
            self.reserved = 0;
            return Ok(self.blobs.keep(content));
        };
        let full = BlobError::Full { limit: self.blobs.shelf().limit };
        let (answer, kept) = oneshot::channel();
        far.send(BlobWish::Keep { content, answer }).await.map_err(|_| full)?;
        kept.await.map_err(|_| full)?
    }
}

impl Drop for GrowingBlob {
    fn drop(&mut self) {
        let mut shelf = self.blobs.shelf();
        shelf.used = shelf.used.saturating_sub(self.reserved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_shared_by_clones_under_its_handle() {
        let blobs = Blobs::new(10_000);
        let twin = blobs.clone();
        let handle = blobs.insert(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(twin.get(&handle).as_deref(), Some(&b"abc"[..]));
        assert_eq!(blobs.get("blob-2"), None);
    }

    #[test]
    fn the_limit_covers_finished_and_growing_blobs() {
        let blobs = Blobs::new(2 * OVERHEAD + 10);
        blobs.insert(Bytes::from_static(b"12345")).unwrap();
        let mut growing = blobs.begin().unwrap();
        growing.append(b"12345").unwrap();
        assert_eq!(growing.append(b"6"), Err(BlobError::Full { limit: 2 * OVERHEAD + 10 }));
    }

    #[test]
    fn unfinished_blobs_give_their_room_back() {
        let blobs = Blobs::new(OVERHEAD + 5);
        let mut growing = blobs.begin().unwrap();
        growing.append(b"12345").unwrap();
        drop(growing);
        assert!(blobs.insert(Bytes::from_static(b"54321")).is_ok());
    }

    #[test]
    fn empty_blobs_count_against_the_limit() {
        let blobs = Blobs::new(10 * OVERHEAD);
        let kept = (0..100).take_while(|_| blobs.insert(Bytes::new()).is_ok()).count();
        assert_eq!(kept, 10);
    }
}
