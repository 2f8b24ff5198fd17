//! Standard output and standard error of a connector: the end of each is kept, the rest is forgotten.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The last bytes written. The end and not the beginning, because a panic writes last; never full, because a full
/// pipe would make a connector that only talks too much break off.
#[derive(Clone)]
pub(crate) struct Tail {
    limit: usize,
    bytes: Arc<Mutex<VecDeque<u8>>>,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: Arc::default() }
    }

    /// What is kept, as text.
    pub(crate) fn text(&self) -> String {
        let mut bytes = self.bytes();
        String::from_utf8_lossy(bytes.make_contiguous()).trim().to_owned()
    }

    fn append(&self, data: &[u8]) {
        let data = data.get(data.len().saturating_sub(self.limit)..).unwrap_or_default();
        let mut bytes = self.bytes();
        let surplus = (bytes.len() + data.len()).saturating_sub(self.limit);
        bytes.drain(..surplus);
        bytes.extend(data);
    }

    fn bytes(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.limit)
    }
}

impl AsyncWrite for Tail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let tail = Tail::new(5);
        tail.append(b"abc");
        tail.append(b"defg");
        assert_eq!(tail.text(), "cdefg");
        tail.append(b"0123456789");
        assert_eq!(tail.text(), "56789");
    }
}
