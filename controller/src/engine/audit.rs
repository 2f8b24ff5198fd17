//! The audit chain: who did what, each entry sealed by the hash of the one before.

use wherry_domain::digest::Digest;
use wherry_trust::keys::sha256;

use super::Turn;
use crate::model::{AUDIT, AuditEntry};

/// Hash of the entry before the first.
pub(crate) const GENESIS: Digest = Digest::from_bytes([0; 32]);

impl Turn<'_> {
    /// Appends an entry; it becomes durable with the act itself, or neither does.
    pub(super) fn audit(&mut self, who: &str, what: &str, target: &str, detail: &str) {
        let (last, prev) = self.state.audit;
        let mut entry = AuditEntry {
            n: last + 1,
            at_ms: self.wall_ms,
            who: who.to_owned(),
            what: what.to_owned(),
            target: target.to_owned(),
            detail: detail.to_owned(),
            prev,
            hash: GENESIS,
        };
        entry.hash = hash(&entry);
        self.state.audit = (entry.n, entry.hash);
        self.put(AUDIT, entry.n.to_be_bytes(), &entry);
    }
}

/// SHA-256 over every field but the hash, each with its length before it.
pub(crate) fn hash(entry: &AuditEntry) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    let numbers = [entry.n.to_be_bytes(), entry.at_ms.to_be_bytes()];
    let texts = [&entry.who, &entry.what, &entry.target, &entry.detail].map(|text| text.as_bytes());
    for part in numbers.iter().map(<[u8; 8]>::as_slice).chain(texts).chain([entry.prev.as_bytes().as_slice()]) {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    sha256(&bytes)
}
