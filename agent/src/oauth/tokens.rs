//! One generation of tokens, and its form at rest.

use std::fmt::Write as _;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The tokens of a connection as one answer of the token endpoint, or one set of given values, has made them.
pub(super) struct Tokens {
    /// Counts up from 1.
    pub(super) generation: u64,
    /// What requests carry. Given values may lack it.
    pub(super) access: Option<SecretString>,
    /// What a new generation is got with.
    pub(super) refresh: Option<SecretString>,
    /// When they were made, in milliseconds since the Unix epoch.
    pub(super) obtained_ms: u64,
    /// Until when the access token is good, likewise, if that is known.
    pub(super) expires_ms: Option<u64>,
    /// Scopes that were granted.
    pub(super) scope: String,
    /// Whose they are, for people.
    pub(super) label: String,
    /// Atlassian's cloud id, if it was asked for.
    pub(super) cloud_id: String,
    /// Digest of the settings and given values that they descend from.
    pub(super) seed: [u8; 32],
}

/// [`Tokens`] as they are written, before they are sealed.
#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<&'a str>,
    obtained_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    scope: &'a str,
    label: &'a str,
    cloud_id: &'a str,
    seed: String,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Read {
    v: u8,
    generation: u64,
    access: Option<SecretString>,
    refresh: Option<SecretString>,
    obtained_ms: u64,
    expires_ms: Option<u64>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    cloud_id: String,
    seed: String,
}

const VERSION: u8 = 1;

impl Tokens {
    /// As bytes to be sealed.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        fn plain(secret: Option<&SecretString>) -> Option<&str> {
            secret.map(ExposeSecret::expose_secret)
        }
        let written = Written {
            v: VERSION,
            generation: self.generation,
            access: plain(self.access.as_ref()),
            refresh: plain(self.refresh.as_ref()),
            obtained_ms: self.obtained_ms,
            expires_ms: self.expires_ms,
            scope: &self.scope,
            label: &self.label,
            cloud_id: &self.cloud_id,
            seed: hex(&self.seed),
        };
        let length = plain(self.access.as_ref()).map_or(0, str::len) + plain(self.refresh.as_ref()).map_or(0, str::len);
        // Reserved at once, escapes included: growing would leave copies behind.
        let capacity = 6 * (length + self.scope.len() + self.label.len() + self.cloud_id.len()) + 512;
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        // Numbers and texts: there is nothing that could not be written.
        drop(serde_json::to_writer(&mut *bytes, &written));
        bytes
    }

    /// From bytes that were sealed.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let read: Read = serde_json::from_slice(bytes).ok().filter(|read: &Read| read.v == VERSION)?;
        Some(Self {
            generation: read.generation,
            access: read.access,
            refresh: read.refresh,
            obtained_ms: read.obtained_ms,
            expires_ms: read.expires_ms,
            scope: read.scope,
            label: read.label,
            cloud_id: read.cloud_id,
            seed: unhex(&read.seed)?,
        })
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// The same back.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_what_they_wrote() {
        let tokens = Tokens {
            generation: 7,
            access: Some("a\"b\u{e9}".into()),
            refresh: None,
            obtained_ms: 1_700_000_000_000,
            expires_ms: Some(1_700_000_003_600),
            scope: "read write".to_owned(),
            label: "Jo <jo@example.com>".to_owned(),
            cloud_id: String::new(),
            seed: [9; 32],
        };
        let bytes = tokens.encode();
        let read = Tokens::decode(&bytes).unwrap();
        assert_eq!(read.access.unwrap().expose_secret(), "a\"b\u{e9}");
        assert_eq!(
            (read.generation, read.expires_ms, read.seed, read.refresh.is_none()),
            (7, Some(1_700_000_003_600), [9; 32], true)
        );
        assert!(Tokens::decode(&bytes[1..]).is_none() && Tokens::decode(b"{}").is_none());
    }
}
