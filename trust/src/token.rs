//! Enrolment tokens: what an operator pastes on a customer's host to let one agent in.
//!
//! `wht_<id>_<secret>_<pin>_<checksum>`. The operator's tool makes the token and derives two halves of its secret:
//! the controller learns the hash of the first, which admits an agent to a group, and never sees the second, which
//! vouches for the agent's sealing key towards the other agents. A controller that lies can therefore not admit a
//! key of its own. The pin names the authority the agent must find behind the connection before it sends anything.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wherry_domain::digest::Digest;
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

use crate::checksum::{SECRET_LENGTH, TokenId, decode_secret, encode_secret, join, split};
use crate::derive::{CryptoUnavailable, Secret32, derive, random};
use crate::keys::{equal_in_constant_time, sha256};

const PREFIX: &str = "wht";
const ID_LENGTH: usize = 10;
/// 22 base64url characters hold 132 bits of the digest, out of reach of a second preimage.
const PIN_LENGTH: usize = 22;
/// A token has 88 characters; more than this is another kind of text, and is not even searched.
const TEXT_LIMIT: usize = 256;
const AUTH_INFO: &str = "wherry/enrol/auth/v1";
const ROSTER_INFO: &str = "wherry/enrol/roster/v1";

/// Why a token was refused. The text is the same for every fault, so that it tells nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a complete enrolment token, copy it whole or make a new one with `wherry agent token`")]
pub struct MalformedToken;

impl MalformedToken {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::new("enrolment.token_malformed")
    }
}

/// A single-use invitation for one agent.
pub struct EnrolmentToken {
    id: TokenId,
    secret: Secret32,
    pin: SpkiPin,
    auth: AuthPart,
    roster: RosterPart,
}

impl EnrolmentToken {
    /// Makes a token that admits an agent to a controller whose authority matches `pin`.
    pub fn generate(pin: SpkiPin) -> Result<Self, CryptoUnavailable> {
        Self::assemble(TokenId::generate()?, random::<32>()?, pin)
    }

    /// Reads a pasted token; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        if text.len() > TEXT_LIMIT {
            return Err(MalformedToken);
        }
        let columns = split(PREFIX, [ID_LENGTH, SECRET_LENGTH, PIN_LENGTH], text.trim());
        let [id, secret, pin] = columns.ok_or(MalformedToken)?;
        let id = id.parse().map_err(|_| MalformedToken)?;
        let secret = decode_secret(secret).ok_or(MalformedToken)?;
        let pin = pin.parse().map_err(|_| MalformedToken)?;
        Self::assemble(id, secret, pin).map_err(|_| MalformedToken)
    }

    /// The public identifier, under which the controller keeps the hash.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The authority behind which the token may be shown.
    #[must_use]
    pub fn pin(&self) -> &SpkiPin {
        &self.pin
    }

    /// The half the agent shows to the controller.
    #[must_use]
    pub fn auth_part(&self) -> &AuthPart {
        &self.auth
    }

    /// The half that never reaches the controller.
    #[must_use]
    pub fn roster_part(&self) -> &RosterPart {
        &self.roster
    }

    /// What the controller stores about the token: `auth_part().hash()`.
    #[must_use]
    pub fn auth_hash(&self) -> Digest {
        self.auth.hash()
    }

    /// The whole token as text. The only way to see the secret; show it once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = encode_secret(&self.secret);
        join(PREFIX, &[self.id.as_str(), &secret, &self.pin.0])
    }

    fn assemble(id: TokenId, secret: Secret32, pin: SpkiPin) -> Result<Self, CryptoUnavailable> {
        let auth = AuthPart(derive(secret.as_slice(), id.as_str().as_bytes(), AUTH_INFO)?);
        let roster = RosterPart(derive(secret.as_slice(), id.as_str().as_bytes(), ROSTER_INFO)?);
        Ok(Self { id, secret, pin, auth, roster })
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({})", self.id)
    }
}

/// The half of a token that proves to the controller that its holder was invited.
pub struct AuthPart(Secret32);

impl AuthPart {
    /// Takes the half out of a request; it has exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, MalformedToken> {
        let mut part = Zeroizing::new([0u8; 32]);
        if bytes.len() != part.len() {
            return Err(MalformedToken);
        }
        part.copy_from_slice(bytes);
        Ok(Self(part))
    }

    /// The bytes that travel to the controller, inside TLS only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the controller stores. The part has 256 random bits, so one round of SHA-256 is enough.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(self.0.as_slice())
    }

    /// Whether this half belongs to the token whose hash was stored.
    #[must_use]
    pub fn matches(&self, stored: &Digest) -> bool {
        equal_in_constant_time(self.hash().as_bytes(), stored.as_bytes())
    }
}

/// The half of a token that vouches for a new agent's sealing key towards the agents of its group.
pub struct RosterPart(Secret32);

impl RosterPart {
    /// Takes back the half that an agent kept sealed until it belonged to its group; it has exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, MalformedToken> {
        AuthPart::from_slice(bytes).map(|part| Self(part.0))
    }

    /// The bytes; never sent, and kept only sealed. `sealing::invite` derives a signing key from them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Names a public key by the first 132 bits of the SHA-256 of its SubjectPublicKeyInfo (DER), in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpkiPin(String);

impl SpkiPin {
    /// The pin of a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        let mut text = URL_SAFE_NO_PAD.encode(sha256(der).as_bytes());
        text.truncate(PIN_LENGTH);
        Self(text)
    }

    /// Whether `der` is the SubjectPublicKeyInfo this pin names.
    #[must_use]
    pub fn matches(&self, der: &[u8]) -> bool {
        equal_in_constant_time(self.0.as_bytes(), Self::of_spki(der).0.as_bytes())
    }

    /// The 22 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SpkiPin {
    type Err = MalformedToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = text.len() == PIN_LENGTH && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(MalformedToken) }
    }
}
