//! What both kinds of token share: the public identifier, the fixed columns, and the checksum at the end.
//!
//! Base64url contains `_`, so tokens are cut at fixed columns and never split at a separator.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::derive::{CryptoUnavailable, Secret32, random};

/// Characters of a token's public identifier: 50 random bits, enough to look a token up, useless to use it.
const ID_LENGTH: usize = 10;
/// RFC 4648 base32 in lower case: no character that is misread over the telephone as another.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 32 bits need six base62 digits.
const CHECKSUM_LENGTH: usize = 6;
/// 256 bits in base64url without padding.
pub(crate) const SECRET_LENGTH: usize = 43;

/// The public identifier of a token: shown in lists and logs, and the key under which its hash is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(String);

/// The text is not a token identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token id has 10 characters of a-z and 2-7, copy it from the list of tokens")]
pub struct MalformedTokenId;

impl TokenId {
    pub(crate) fn generate() -> Result<Self, CryptoUnavailable> {
        let bytes = random::<ID_LENGTH>()?;
        Ok(Self(bytes.iter().map(|byte| digit(BASE32, u32::from(*byte))).collect()))
    }

    /// The identifier as it appears in the token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenId {
    type Err = MalformedTokenId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() == ID_LENGTH && text.bytes().all(|byte| BASE32.contains(&byte));
        if fits { Ok(Self(text.to_owned())) } else { Err(MalformedTokenId) }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Joins the columns behind `prefix` and appends the checksum.
pub(crate) fn join(prefix: &str, columns: &[&str]) -> Zeroizing<String> {
    let length = prefix.len() + columns.iter().map(|column| column.len() + 1).sum::<usize>() + CHECKSUM_LENGTH + 1;
    // Reserved at once: a growing string would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.push_str(prefix);
    for column in columns {
        text.push('_');
        text.push_str(column);
    }
    let sum = checksum(&text);
    text.push('_');
    text.push_str(&sum);
    text
}

/// Cuts `text` into columns of the given lengths, after checking prefix, total length, separators and checksum.
pub(crate) fn split<'a, const N: usize>(prefix: &str, lengths: [usize; N], text: &'a str) -> Option<[&'a str; N]> {
    let total = prefix.len() + lengths.iter().map(|length| length + 1).sum::<usize>() + CHECKSUM_LENGTH + 1;
    if text.len() != total || !text.is_ascii() {
        return None;
    }
    let (body, sum) = text.split_at_checked(total - CHECKSUM_LENGTH - 1)?;
    if sum.strip_prefix('_')? != checksum(body) {
        return None;
    }
    let mut rest = body.strip_prefix(prefix)?;
    let mut columns = [""; N];
    for (column, length) in columns.iter_mut().zip(lengths) {
        (*column, rest) = rest.strip_prefix('_')?.split_at_checked(length)?;
    }
    Some(columns)
}

pub(crate) fn encode_secret(secret: &Secret32) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()))
}

pub(crate) fn decode_secret(text: &str) -> Option<Secret32> {
    let mut secret = Zeroizing::new([0u8; 32]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, secret.as_mut_slice()).ok()?;
    (length == secret.len()).then_some(secret)
}

/// CRC-32 in base62: catches a lost or mistyped character before anything is sent. It protects nobody from forgery.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = ['0'; CHECKSUM_LENGTH];
    for place in digits.iter_mut().rev() {
        *place = digit(BASE62, rest);
        rest /= 62;
    }
    digits.iter().collect()
}

/// The last digit of `value` in the base given by the alphabet's length.
fn digit<const N: usize>(alphabet: &[u8; N], value: u32) -> char {
    let index = value as usize % N;
    alphabet.get(index).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_survive_a_round_trip_even_with_underscores_inside() {
        let text = join("wht", &["ab_d", "_x"]);
        assert_eq!(split("wht", [4, 2], &text), Some(["ab_d", "_x"]));
        assert_eq!(split("whp", [4, 2], &text), None);
        assert_eq!(split("wht", [3, 3], &text), None);
    }

    #[test]
    fn the_largest_checksum_fits_its_six_digits() {
        // 62^6 is larger than 2^32, so six digits never lose a bit.
        assert!(62u64.pow(CHECKSUM_LENGTH as u32) > u64::from(u32::MAX));
        assert_eq!(checksum("").len(), CHECKSUM_LENGTH);
    }

    #[test]
    fn an_id_reads_back_and_a_foreign_alphabet_is_refused() {
        let id = TokenId::generate().unwrap();
        assert_eq!(id.as_str().parse::<TokenId>().unwrap(), id);
        for bad in ["", "abcdefghi", "abcdefghijk", "ABCDEFGHIJ", "abcdefghi1", "abcdefghi_"] {
            assert!(bad.parse::<TokenId>().is_err(), "{bad}");
        }
    }
}
