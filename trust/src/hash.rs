//! SHA-256, the only hash of Wherry, and comparison in constant time.

use aws_lc_rs::{constant_time, digest};
use wherry_domain::digest::Digest;

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    to_digest(&digest::digest(&digest::SHA256, bytes))
}

/// SHA-256 of bytes that arrive in pieces.
pub struct Hasher(digest::Context);

impl Hasher {
    /// Starts with nothing hashed.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces in order.
    #[must_use]
    pub fn finish(self) -> Digest {
        to_digest(&self.0.finish())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Compares without telling by its duration where the first difference is. Lengths are not hidden.
#[must_use]
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn to_digest(value: &digest::Digest) -> Digest {
    let mut bytes = [0u8; 32];
    bytes.copy_from_slice(value.as_ref());
    Digest::from_bytes(bytes)
}
