//! Secrets sealed to a group of agents, and the log that says who belongs to the group.
//!
//! ```text
//! operator ── signs ──► invite ◄── proves ── joining agent
//!                         │
//! roster: found ─ add ─ remove ─ epoch ─ ...     each entry signed, each naming the one before
//!            │                     │
//!            └── epoch key (X25519): public half in the roster, private half wrapped to each member
//!                                  │
//! operator ── seals and signs ──► secret         opened by members only
//! ```
//!
//! Whoever stores and carries these bytes, the controller, can withhold or delete them. It cannot read a secret, put
//! one of its own in its place, or add a member: every statement is signed by a key of which the reader has learnt
//! from the roster, and the roster begins with a statement that holds under the reader's own enrolment token.
//!
//! HPKE is RFC 9180 in base mode, one shot per key pair of the sender: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! AES-256-GCM. Base mode does not say who sealed, hence the signatures.

pub mod invite;
pub mod key;
pub mod left;
pub mod roster;
pub mod secret;
pub mod wrap;

mod base64url;
mod error;
mod hpke;

pub use error::SealingError;

/// Joins `parts`, each behind its length in eight bytes, so that no byte can move from one part to the next.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
