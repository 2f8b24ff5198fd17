//! The audit chain, checked as an auditor would: each entry sealed by the hash of the one before.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use wherry_domain::digest::Digest;
use wherry_trust::keys::sha256;

use super::api::Api;

#[derive(Debug, Deserialize)]
struct Entry {
    n: u64,
    at: jiff::Timestamp,
    who: String,
    what: String,
    target: String,
    detail: String,
    prev: Digest,
    hash: Digest,
}

/// Fails if an entry is missing, was changed or stands in another place.
pub(super) async fn is_whole(api: &Api) -> Result<()> {
    let mut entries: Vec<Entry> = api.list("/v1/audit?limit=200").await?;
    entries.reverse();
    let mut prev = Digest::from_bytes([0; 32]);
    for (entry, n) in entries.iter().zip(1..) {
        ensure!(entry.n == n, "entry {n} of the audit is missing");
        ensure!(entry.prev == prev && entry.hash == seal(entry)?, "entry {n} of the audit was changed: {entry:?}");
        prev = entry.hash;
    }
    Ok(())
}

fn seal(entry: &Entry) -> Result<Digest> {
    let at_ms = u64::try_from(entry.at.as_millisecond()).context("an entry from before 1970")?;
    let numbers = [entry.n.to_be_bytes(), at_ms.to_be_bytes()];
    let texts = [&entry.who, &entry.what, &entry.target, &entry.detail].map(|text| text.as_bytes());
    let mut bytes = Vec::new();
    for part in numbers.iter().map(<[u8; 8]>::as_slice).chain(texts).chain([entry.prev.as_bytes().as_slice()]) {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    Ok(sha256(&bytes))
}
