//! Bodies of requests: bytes, and files that stream.

use crate::blobs::Blob;
use crate::error::{Error, Kind, Result};

/// A body of known length.
#[derive(Default)]
pub struct Body(Vec<Piece>);

/// A part of a body.
pub enum Piece {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A file of the run, read while it is sent.
    Blob(Blob),
}

impl Body {
    /// A body of bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(vec![Piece::Bytes(bytes.into())])
    }

    /// A body that is a file.
    pub fn blob(blob: Blob) -> Self {
        Self(vec![Piece::Blob(blob)])
    }

    pub(crate) fn push(&mut self, piece: Piece) {
        self.0.push(piece);
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Blob(blob) => blob.size(),
        };
        self.0.iter().map(length).sum()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands its bytes to `take`, in order. A request that is sent again hands on the same.
    pub fn write_to(&self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Bytes(bytes) => take(bytes),
            Piece::Blob(blob) => blob.write_to(&mut take),
        })
    }

    /// JSON.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            Error::new(Kind::Internal, "http.body_invalid", format!("the body cannot be written as JSON: {error}"))
        })?;
        Ok(Self::bytes(bytes))
    }
}
