//! Access tokens: how people and services prove themselves to the REST interface.
//!
//! `whp_<id>_<secret>_<checksum>`. The controller keeps the hash only; the prefix lets secret scanners find a token
//! that was committed by mistake.

use std::fmt;

use wherry_domain::digest::Digest;
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

use crate::checksum::{SECRET_LENGTH, TokenId, decode_secret, encode_secret, join, split};
use crate::derive::{CryptoUnavailable, Secret32, random};
use crate::keys::{Hasher, equal_in_constant_time};

const PREFIX: &str = "whp";
const ID_LENGTH: usize = 10;
/// Hashed in front of the secret, so that the hash of an access token is never the hash of anything else.
const HASH_CONTEXT: &[u8] = b"wherry/access/v1\0";

/// Why a bearer token was refused before it was looked up. The text is the same for every fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a complete access token, sign in again with `wherry login`")]
pub struct MalformedAccessToken;

impl MalformedAccessToken {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::new("access.token_malformed")
    }
}

/// A bearer token of a person or a service.
pub struct AccessToken {
    id: TokenId,
    secret: Secret32,
}

impl AccessToken {
    /// Makes a new token.
    pub fn generate() -> Result<Self, CryptoUnavailable> {
        Ok(Self { id: TokenId::generate()?, secret: random::<32>()? })
    }

    /// Reads a token as it stands after `Bearer `. The cost does not depend on the length of a wrong one.
    pub fn parse(text: &str) -> Result<Self, MalformedAccessToken> {
        let columns = split(PREFIX, [ID_LENGTH, SECRET_LENGTH], text);
        let [id, secret] = columns.ok_or(MalformedAccessToken)?;
        let id = id.parse().map_err(|_| MalformedAccessToken)?;
        let secret = decode_secret(secret).ok_or(MalformedAccessToken)?;
        Ok(Self { id, secret })
    }

    /// The public identifier, under which the hash is stored.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// What the controller stores. The secret has 256 random bits, so one round of SHA-256 is enough.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(HASH_CONTEXT);
        hasher.update(self.id.as_str().as_bytes());
        hasher.update(self.secret.as_slice());
        hasher.finish()
    }

    /// Whether this is the token whose hash was stored.
    #[must_use]
    pub fn matches(&self, stored: &Digest) -> bool {
        equal_in_constant_time(self.hash().as_bytes(), stored.as_bytes())
    }

    /// The whole token as text. The only way to see the secret; show it once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = encode_secret(&self.secret);
        join(PREFIX, &[self.id.as_str(), &secret])
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({})", self.id)
    }
}
