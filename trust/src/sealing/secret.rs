//! A secret, sealed to an epoch of a group's key and signed by whoever set it.

use std::fmt;

use serde::{Deserialize, Serialize};
use wherry_domain::id::{ConnectionId, GroupId, OrganisationId};
use wherry_domain::name::Name;
use zeroize::Zeroizing;

use super::hpke::{self, ENC_LENGTH, TAG_LENGTH};
use super::key::{SealingKey, SealingPublic};
use super::roster::Roster;
use super::{SealingError, base64url, framed};
use crate::keys::{Hasher, PublicKey, SIGNATURE_LENGTH, SigningKey};

/// Largest content in bytes: private keys and certificate bundles fit, files do not.
pub const MAX_SECRET: usize = 64 << 10;
/// Most sealed secrets of one environment: re-sealing them all stays below a minute.
pub const MAX_SECRETS: usize = 1_000;
/// Longest JSON: the content in base64, and at most 1 KiB of names, keys and numbers.
pub const MAX_JSON: usize = (MAX_SECRET + TAG_LENGTH) * 4 / 3 + 1_024 + 4;
const VERSION: u8 = 1;
const INFO: &str = "wherry/seal/v1";
const SIGNED: &[u8] = b"wherry/sealed/v1";

/// What a sealed object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A secret that an operator set; its name is a [`Name`].
    Secret,
    /// The tokens of a connection; its name is a [`ConnectionId`].
    Oauth,
}

impl Kind {
    /// The word in JSON and in what is signed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Oauth => "oauth",
        }
    }

    fn fits(self, name: &str) -> bool {
        match self {
            Self::Secret => name.parse::<Name>().is_ok(),
            Self::Oauth => name.parse::<ConnectionId>().is_ok(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a sealed object belongs; moved anywhere else it does not open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    organisation: OrganisationId,
    group: GroupId,
    environment: Name,
    kind: Kind,
    name: String,
}

impl Place {
    /// The place of a secret that connections name.
    #[must_use]
    pub fn secret(organisation: OrganisationId, group: GroupId, environment: &Name, name: &Name) -> Self {
        let (environment, name) = (environment.clone(), name.as_str().to_owned());
        Self { organisation, group, environment, kind: Kind::Secret, name }
    }

    /// The place of a connection's tokens.
    #[must_use]
    pub fn oauth(organisation: OrganisationId, group: GroupId, environment: &Name, connection: ConnectionId) -> Self {
        let (environment, name) = (environment.clone(), connection.to_string());
        Self { organisation, group, environment, kind: Kind::Oauth, name }
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Name {
        &self.environment
    }

    /// The name of the secret, or the id of the connection.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn associated(&self, epoch: u32, version: u64) -> Vec<u8> {
        framed(&[
            &self.organisation.to_bytes(),
            &self.group.to_bytes(),
            self.environment.as_str().as_bytes(),
            &epoch.to_be_bytes(),
            self.name.as_bytes(),
            &version.to_be_bytes(),
            self.kind.as_str().as_bytes(),
        ])
    }
}

/// A sealed secret as it is stored and sent. Worth nothing before [`SealedSecret::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    v: u8,
    organisation: OrganisationId,
    group: GroupId,
    environment: Name,
    kind: Kind,
    name: String,
    version: u64,
    epoch: u32,
    #[serde(with = "base64url")]
    enc: [u8; ENC_LENGTH],
    #[serde(with = "base64url")]
    ct: Vec<u8>,
    signer: PublicKey,
    #[serde(with = "base64url")]
    signature: [u8; SIGNATURE_LENGTH],
}

impl SealedSecret {
    /// Seals `content` for `place` as `version` (1 or more) to the group's key of `epoch`.
    ///
    /// # Errors
    /// If the content is empty or too large, or the key is not one.
    pub fn seal(
        place: &Place,
        version: u64,
        epoch: u32,
        epoch_key: &SealingPublic,
        content: &[u8],
        signer: &SigningKey,
    ) -> Result<Self, SealingError> {
        if content.is_empty() || content.len() > MAX_SECRET {
            return Err(SealingError::Size { limit: MAX_SECRET });
        }
        let associated = place.associated(epoch, version);
        let sealed = hpke::seal(epoch_key, INFO, &associated, content)?;
        let signature = signer.sign(&signed(&associated, &sealed.enc, &sealed.ct));
        Ok(Self {
            v: VERSION,
            organisation: place.organisation,
            group: place.group,
            environment: place.environment.clone(),
            kind: place.kind,
            name: place.name.clone(),
            version,
            epoch,
            enc: sealed.enc,
            ct: sealed.ct,
            signer: signer.public(),
            signature,
        })
    }

    /// Reads JSON; size and shape are checked, and nothing else.
    ///
    /// # Errors
    /// [`SealingError::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, SealingError> {
        if json.len() > MAX_JSON {
            return Err(SealingError::Malformed("too large"));
        }
        let read: Self =
            serde_json::from_slice(json).map_err(|_| SealingError::Malformed("not the JSON of a sealed secret"))?;
        let sized = (TAG_LENGTH + 1..=TAG_LENGTH + MAX_SECRET).contains(&read.ct.len());
        if read.v != VERSION || read.version == 0 || read.epoch == 0 || !sized || !read.kind.fits(&read.name) {
            return Err(SealingError::Malformed("a field has a value it cannot have"));
        }
        Ok(read)
    }

    /// The secret as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers: serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether it may be used at `place`: signed by a current operator or member, of a known epoch, and of version
    /// `floor` or newer. A reader that has version 7 gives 8.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self, place: &Place, roster: &Roster, floor: u64) -> Result<(), SealingError> {
        self.check_trusting(roster.may_sign_secrets(&self.signer), place, roster, floor)
    }

    /// The same, but a member that was removed since may have signed it, see [`Roster::may_have_signed`].
    ///
    /// # Errors
    /// The first fault found.
    pub fn check_left_behind(&self, place: &Place, roster: &Roster, floor: u64) -> Result<(), SealingError> {
        self.check_trusting(roster.may_have_signed(&self.signer, self.epoch), place, roster, floor)
    }

    fn check_trusting(&self, trusted: bool, place: &Place, roster: &Roster, floor: u64) -> Result<(), SealingError> {
        if self.place() != *place {
            return Err(SealingError::Misplaced);
        }
        if roster.epoch_key(self.epoch).is_none() {
            return Err(SealingError::EpochUnknown { epoch: self.epoch });
        }
        if !trusted {
            return Err(SealingError::SignerUnknown);
        }
        let message = signed(&place.associated(self.epoch, self.version), &self.enc, &self.ct);
        if !self.signer.verify(&message, &self.signature) {
            return Err(SealingError::SignatureInvalid);
        }
        if self.version < floor {
            return Err(SealingError::VersionOld { found: self.version, floor });
        }
        Ok(())
    }

    /// The content, opened with the private half of its epoch's key. Call [`SealedSecret::check`] before.
    ///
    /// # Errors
    /// [`SealingError::Unreadable`], whatever the reason.
    pub fn open(&self, key: &SealingKey) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let associated = self.place().associated(self.epoch, self.version);
        hpke::open(key, INFO, &associated, &self.enc, &self.ct).ok_or(SealingError::Unreadable)
    }

    /// Where it claims to belong.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            organisation: self.organisation,
            group: self.group,
            environment: self.environment.clone(),
            kind: self.kind,
            name: self.name.clone(),
        }
    }

    /// Its version; 1 or more, and each new value has a higher one.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The epoch of the key it is sealed to.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Who claims to have signed it.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }
}

fn signed(associated: &[u8], enc: &[u8], ct: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new();
    hasher.update(enc);
    hasher.update(ct);
    framed(&[SIGNED, associated, hasher.finish().as_bytes()])
}
