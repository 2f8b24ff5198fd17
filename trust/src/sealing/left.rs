//! What is left with the controller for a group's agents: sealed to the group's key, opened by whichever member comes
//! next.
//!
//! ```text
//! form (1), epoch (4), encapsulated key (32), [signer (32), signature (64),] ciphertext
//! ```
//!
//! What an agent leaves (a connection's state, a run's cursor) is signed by it, so that nobody else can put words into
//! the mouth of the group. A code that a browser brings to the controller is sealed by the controller itself: it has no
//! key that a signature could be checked with, and the code is checked by what it is good for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use wherry_domain::id::{GroupId, OrganisationId};
use zeroize::Zeroizing;

use super::hpke::{self, ENC_LENGTH, TAG_LENGTH};
use super::key::{SealingKey, SealingPublic};
use super::roster::Roster;
use super::{SealingError, framed};
use crate::keys::{Hasher, PublicKey, SIGNATURE_LENGTH, SigningKey};

/// Largest content in bytes: the largest state of a connection on the wire is below it.
pub const MAX_LEFT: usize = 36 << 10;
/// What a seal with a signature adds to the content, in bytes.
pub const OVERHEAD: usize = 1 + 4 + ENC_LENGTH + 32 + SIGNATURE_LENGTH + TAG_LENGTH;

/// Other bytes at this place say that something is not sealed.
const UNSIGNED: u8 = b'u';
const SIGNED: u8 = b's';
const TEXT_BEGIN: &str = "{\"wherry_sealed\":\"";
const TEXT_END: &str = "\"}";
const INFO: &str = "wherry/left/v1";
const CONTEXT: &[u8] = b"wherry/left/signed/v1";

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// What a connection remembers between runs.
    State,
    /// Where a run continues.
    Cursor,
    /// What a browser brought back from a consent.
    Code,
}

impl Matter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Cursor => "cursor",
            Self::Code => "code",
        }
    }
}

/// Where it belongs; anywhere else it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The organisation and its group.
    pub home: (OrganisationId, GroupId),
    /// What it is.
    pub matter: Matter,
    /// The connection's path, the run's id or the flow's id.
    pub name: &'a str,
}

impl Spot<'_> {
    fn associated(&self, epoch: u32) -> Vec<u8> {
        let (organisation, group) = self.home;
        framed(&[
            &organisation.to_bytes(),
            &group.to_bytes(),
            &epoch.to_be_bytes(),
            self.matter.as_str().as_bytes(),
            self.name.as_bytes(),
        ])
    }
}

/// Seals without a signature.
///
/// # Errors
/// If the content is too large, or the key is not one.
pub fn seal(spot: &Spot<'_>, epoch: (u32, &SealingPublic), content: &[u8]) -> Result<Vec<u8>, SealingError> {
    put(spot, epoch, content, None)
}

/// Seals, signed by a member.
///
/// # Errors
/// As [`seal`].
pub fn seal_signed(
    spot: &Spot<'_>,
    epoch: (u32, &SealingPublic),
    content: &[u8],
    signer: &SigningKey,
) -> Result<Vec<u8>, SealingError> {
    put(spot, epoch, content, Some(signer))
}

fn put(
    spot: &Spot<'_>,
    (epoch, key): (u32, &SealingPublic),
    content: &[u8],
    signer: Option<&SigningKey>,
) -> Result<Vec<u8>, SealingError> {
    if content.len() > MAX_LEFT {
        return Err(SealingError::Size { limit: MAX_LEFT });
    }
    let associated = spot.associated(epoch);
    let sealed = hpke::seal(key, INFO, &associated, content)?;
    let mut bytes = Vec::with_capacity(OVERHEAD + content.len());
    bytes.push(if signer.is_some() { SIGNED } else { UNSIGNED });
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(&sealed.enc);
    if let Some(signer) = signer {
        bytes.extend_from_slice(signer.public().as_bytes());
        bytes.extend_from_slice(&signer.sign(&message(&associated, &sealed.enc, &sealed.ct)));
    }
    bytes.extend_from_slice(&sealed.ct);
    Ok(bytes)
}

/// The epoch whose key opens it; `None` if it is nothing that was sealed here.
#[must_use]
pub fn epoch_of(bytes: &[u8]) -> Option<u32> {
    Read::of(bytes).map(|read| read.epoch)
}

/// What was sealed as JSON, for where a text has to stand: an object with one field, in base64url.
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    format!("{TEXT_BEGIN}{}{TEXT_END}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The same back; `None` if the text is something else.
#[must_use]
pub fn from_text(text: &str) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(TEXT_BEGIN)?.strip_suffix(TEXT_END)?;
    URL_SAFE_NO_PAD.decode(encoded).ok()
}

/// [`epoch_of`] of a text, of which only the beginning is read; `None` if it is something else.
#[must_use]
pub fn epoch_of_text(text: &str) -> Option<u32> {
    // Eight characters are six bytes: the form and the epoch.
    let head = URL_SAFE_NO_PAD.decode(text.strip_prefix(TEXT_BEGIN)?.get(..8)?).ok()?;
    let (form, rest) = head.split_first()?;
    let epoch = rest.first_chunk::<4>()?;
    [UNSIGNED, SIGNED].contains(form).then(|| u32::from_be_bytes(*epoch))
}

/// Opens what was sealed without a signature. Anybody may have done so.
///
/// # Errors
/// If it is none, or of another place, or changed.
pub fn open(spot: &Spot<'_>, key: &SealingKey, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let read = Read::of(bytes).filter(|read| read.signature.is_none()).ok_or(SealingError::Malformed(FORM))?;
    read.open(spot, key)
}

/// Opens what a member of the roster sealed, or one that was removed since and sealed it before.
///
/// # Errors
/// If it is none, or of another place, or changed, or signed by somebody else.
pub fn open_signed(
    spot: &Spot<'_>,
    key: &SealingKey,
    roster: &Roster,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealingError> {
    let read = Read::of(bytes).ok_or(SealingError::Malformed(FORM))?;
    let (signer, signature) = read.signature.as_ref().ok_or(SealingError::Malformed(FORM))?;
    if !roster.may_have_signed(signer, read.epoch) {
        return Err(SealingError::SignerUnknown);
    }
    if !signer.verify(&message(&spot.associated(read.epoch), &read.enc, read.ct), signature) {
        return Err(SealingError::SignatureInvalid);
    }
    read.open(spot, key)
}

/// Puts texts into one content.
#[must_use]
pub fn join(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(framed(parts))
}

/// Takes `N` parts out of a content that [`join`] made; `None` if there are more or fewer.
#[must_use]
pub fn split<const N: usize>(content: &[u8]) -> Option<[&[u8]; N]> {
    let mut rest = content;
    let mut parts: [&[u8]; N] = [&[]; N];
    for part in &mut parts {
        let (length, behind) = rest.split_first_chunk::<8>()?;
        (*part, rest) = behind.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    }
    rest.is_empty().then_some(parts)
}

const FORM: &str = "what was left with the controller";

struct Read<'a> {
    epoch: u32,
    enc: [u8; ENC_LENGTH],
    signature: Option<(PublicKey, [u8; SIGNATURE_LENGTH])>,
    ct: &'a [u8],
}

impl<'a> Read<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (enc, rest) = rest.split_first_chunk::<ENC_LENGTH>()?;
        let (signature, ct) = match *form {
            UNSIGNED => (None, rest),
            SIGNED => {
                let (signer, rest) = rest.split_first_chunk::<32>()?;
                let (signature, ct) = rest.split_first_chunk::<SIGNATURE_LENGTH>()?;
                (Some((PublicKey::from_bytes(*signer), *signature)), ct)
            }
            _ => return None,
        };
        let sized = (TAG_LENGTH..=TAG_LENGTH + MAX_LEFT).contains(&ct.len());
        sized.then(|| Self { epoch: u32::from_be_bytes(*epoch), enc: *enc, signature, ct })
    }

    fn open(&self, spot: &Spot<'_>, key: &SealingKey) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let associated = spot.associated(self.epoch);
        hpke::open(key, INFO, &associated, &self.enc, self.ct).ok_or(SealingError::Unreadable)
    }
}

fn message(associated: &[u8], enc: &[u8], ct: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new();
    hasher.update(enc);
    hasher.update(ct);
    framed(&[CONTEXT, associated, hasher.finish().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(matter: Matter, name: &str) -> Spot<'_> {
        Spot { home: (OrganisationId::from_u128(1), GroupId::from_u128(2)), matter, name }
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_with_its_key_and_nowhere_else() {
        let (key, other) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let here = spot(Matter::Code, "flow-1");
        let bytes = seal(&here, (3, &key.public()), b"code").unwrap();
        assert_eq!(epoch_of(&bytes), Some(3));
        assert_eq!(open(&here, &key, &bytes).unwrap().as_slice(), b"code");
        assert_eq!(open(&here, &other, &bytes).unwrap_err(), SealingError::Unreadable);
        for there in [spot(Matter::Code, "flow-2"), spot(Matter::Cursor, "flow-1")] {
            assert_eq!(open(&there, &key, &bytes).unwrap_err(), SealingError::Unreadable);
        }
        for at in 1..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&here, &key, &changed).is_err(), "byte {at}");
        }
        assert!(!bytes.windows(4).any(|four| four == b"code"));
    }

    #[test]
    fn what_is_no_seal_and_what_is_too_large_is_refused() {
        let key = SealingKey::generate().unwrap();
        let here = spot(Matter::State, "prod/desk/jira");
        for bytes in [&b""[..], b"{}", &[1; 200], b"s234567", &[3; 200]] {
            assert_eq!(epoch_of(bytes), None, "{bytes:?}");
        }
        assert!(seal(&here, (1, &key.public()), &vec![0; MAX_LEFT]).is_ok());
        assert!(seal(&here, (1, &key.public()), &vec![0; MAX_LEFT + 1]).is_err());
        let unsigned = seal(&here, (1, &key.public()), b"").unwrap();
        assert!(open(&here, &key, &unsigned).unwrap().is_empty());
    }

    #[test]
    fn as_text_it_reads_back_tells_its_epoch_and_is_json() {
        let key = SealingKey::generate().unwrap();
        let bytes = seal(&spot(Matter::Cursor, "run"), (70_000, &key.public()), b"page 3").unwrap();
        let text = to_text(&bytes);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        assert_eq!((from_text(&text), epoch_of_text(&text)), (Some(bytes), Some(70_000)));
        for other in ["", "{}", "{\"wherry_sealed\":\"\"}", "{\"wherry_sealed\":\"AAAAAAAA\"}"] {
            assert_eq!(epoch_of_text(other), None, "{other}");
        }
        assert_eq!(from_text("{\"page\":3}"), None);
    }

    #[test]
    fn parts_come_apart_as_they_were_put_together_and_not_otherwise() {
        let joined = join(&[b"code", b"", b"iss"]);
        assert_eq!(split::<3>(&joined), Some([&b"code"[..], b"", b"iss"]));
        assert_eq!((split::<2>(&joined), split::<4>(&joined), split::<3>(&joined[1..])), (None, None, None));
    }
}
