//! The private half of an epoch's key, wrapped to one recipient: a member's or an operator's recovery key.

use serde::{Deserialize, Serialize};
use wherry_domain::id::{GroupId, OrganisationId};

use super::hpke::{self, ENC_LENGTH};
use super::key::{SealingKey, SealingPublic};
use super::roster::Roster;
use super::{SealingError, base64url, framed};

/// Longest JSON of a wrapped key; one has about 250 bytes.
pub const MAX_WRAP: usize = 512;
const VERSION: u8 = 1;
const INFO: &str = "wherry/wrap/v1";

/// A wrapped epoch key. Who wrapped it does not matter: it must fit the public half in the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrap {
    v: u8,
    epoch: u32,
    recipient: SealingPublic,
    #[serde(with = "base64url")]
    enc: [u8; ENC_LENGTH],
    #[serde(with = "base64url")]
    ct: Vec<u8>,
}

impl Wrap {
    /// Wraps the private half of `epoch`'s key to a recipient that the roster names.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn seal(
        (organisation, group): (OrganisationId, GroupId),
        epoch: u32,
        key: &SealingKey,
        recipient: SealingPublic,
    ) -> Result<Self, SealingError> {
        let associated = associated(organisation, group, epoch, &recipient);
        let sealed = hpke::seal(&recipient, INFO, &associated, key.reveal())?;
        Ok(Self { v: VERSION, epoch, recipient, enc: sealed.enc, ct: sealed.ct })
    }

    /// Reads JSON; size and shape are checked, and nothing else.
    ///
    /// # Errors
    /// [`SealingError::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, SealingError> {
        let malformed = SealingError::Malformed("not a wrapped key");
        if json.len() > MAX_WRAP {
            return Err(malformed);
        }
        let read: Self = serde_json::from_slice(json).map_err(|_| malformed)?;
        if read.v == VERSION && read.epoch > 0 { Ok(read) } else { Err(malformed) }
    }

    /// The wrapped key as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers: serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Which epoch's key it is.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// To whom it is wrapped.
    #[must_use]
    pub fn recipient(&self) -> &SealingPublic {
        &self.recipient
    }

    /// The epoch's private key; it is certain to be the other half of the public one in the roster.
    ///
    /// # Errors
    /// [`SealingError::EpochUnknown`] or [`SealingError::Unreadable`].
    pub fn open(&self, key: &SealingKey, roster: &Roster) -> Result<SealingKey, SealingError> {
        let epoch = self.epoch;
        let public = roster.epoch_key(epoch).ok_or(SealingError::EpochUnknown { epoch })?;
        let associated = associated(roster.organisation(), roster.group(), epoch, &key.public());
        let opened = hpke::open(key, INFO, &associated, &self.enc, &self.ct).ok_or(SealingError::Unreadable)?;
        let bytes = opened.first_chunk::<32>().filter(|_| opened.len() == 32).ok_or(SealingError::Unreadable)?;
        let unwrapped = SealingKey::from_bytes(bytes)?;
        // Anyone can wrap some key to a public one; only the right one has this public half.
        if unwrapped.public() == *public { Ok(unwrapped) } else { Err(SealingError::Unreadable) }
    }
}

fn associated(organisation: OrganisationId, group: GroupId, epoch: u32, recipient: &SealingPublic) -> Vec<u8> {
    framed(&[&organisation.to_bytes(), &group.to_bytes(), &epoch.to_be_bytes(), recipient.as_bytes()])
}
