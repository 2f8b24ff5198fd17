//! How frames travel between agent and worker: a length of four bytes, then the frame. Both are the same program, so
//! the form of a frame needs no tolerance, only bounds.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter},
    sync::mpsc,
};

/// Which form frames have. The agent's program may be replaced while an agent runs, so that the two can differ.
pub(crate) const VERSION: u32 = 3;
/// Longest frame of a worker: a batch of 1 MiB with its cursor is the longest thing it has to say.
pub(crate) const FROM_WORKER_BYTES: usize = 2 << 20;
/// Longest frame to a worker. The agent is believed; this only keeps a defect from taking all memory.
pub(crate) const TO_WORKER_BYTES: usize = 64 << 20;
/// Frames that wait to be written, of all invocations together.
pub(crate) const WAITING_FRAMES: usize = 64;
/// Bytes of a body that travel in one frame; a shorter one travels with its head.
pub(crate) const CHUNK: usize = 64 << 10;

const LENGTH: usize = size_of::<u32>();

/// What is wrong with a stream of frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the stream broke off: {0}")]
    Io(#[from] io::Error),
    #[error("it sent a frame of {bytes} bytes, at most {limit} are accepted")]
    TooLong { bytes: usize, limit: usize },
    #[error("it sent a frame that has no meaning")]
    Garbage,
}

/// A frame as it travels.
pub(crate) fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = postcard::to_extend(frame, vec![0; LENGTH]).map_err(|_| WireError::Garbage)?;
    let length = u32::try_from(bytes.len() - LENGTH).map_err(|_| WireError::Garbage)?;
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    Ok(bytes)
}

/// The next frame; nothing at a regular end.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<T>, WireError> {
    let mut length = [0; LENGTH];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if bytes > limit {
        return Err(WireError::TooLong { bytes, limit });
    }
    buffer.resize(bytes, 0);
    from.read_exact(buffer).await?;
    decode(buffer).map(Some)
}

/// A frame without its length. Whatever is left over makes it garbage.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(bytes) {
        Ok((frame, [])) => Ok(frame),
        Ok(_) | Err(_) => Err(WireError::Garbage),
    }
}

/// Writes frames until their senders are gone; those that wait together leave together.
pub(crate) async fn write(to: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(CHUNK, to);
    while let Some(frame) = frames.recv().await {
        to.write_all(&frame).await?;
        while let Ok(frame) = frames.try_recv() {
            to.write_all(&frame).await?;
        }
        to.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(bytes: &[u8]) -> Result<Option<String>, WireError> {
        read(&mut &*bytes, &mut Vec::new(), 100).await
    }

    #[tokio::test]
    async fn a_frame_arrives_as_it_was_sent_and_a_closed_stream_is_an_end() {
        let bytes = encode(&"abc".to_owned()).unwrap();
        assert_eq!(received(&bytes).await.unwrap().as_deref(), Some("abc"));
        assert!(received(&[]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
        let error = received(&u32::MAX.to_be_bytes()).await.unwrap_err();
        assert!(matches!(error, WireError::TooLong { limit: 100, .. }), "{error}");
    }

    #[tokio::test]
    async fn garbage_and_frames_with_something_behind_them_are_refused() {
        for bytes in [&[0, 0, 0, 2, 9, 9][..], &[0, 0, 0, 3, 1, b'a', b'b']] {
            assert!(matches!(received(bytes).await, Err(WireError::Garbage)), "{bytes:?}");
        }
        assert!(matches!(received(&[0, 0, 0, 9, 1]).await, Err(WireError::Io(_))), "cut");
    }
}
