//! The wire: what agents and the controller say to each other, in `wherry.agent.v1`.
//!
//! The only crate that knows protobuf. [`wire`] holds the generated types and services;
//! [`frame`] what a session means in words of the domain; [`convert`] the only way between them,
//! total in one direction and checked in the other.

use core::time::Duration;

pub mod codec;
pub mod convert;
pub mod frame;

/// Generated from the files under `wherry/agent/v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, clippy::nursery)]
pub mod wire {
    tonic::include_proto!("wherry.agent.v1");
}

/// Oldest protocol this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Newest protocol this build speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// What an application hands to an action, or gets from it, in bytes.
pub const MAX_ACTION: usize = 1 << 20;
/// Largest frame either side sends or accepts, in bytes: an action or its answer, and what stands around it.
pub const MAX_FRAME: usize = MAX_ACTION + (128 << 10);
/// Largest answer to a fetch of a deployment, in bytes: the document and its wrapping.
pub const MAX_FETCH: usize = 2 << 20;
/// Size of one piece of a connector, in bytes.
pub const CHUNK: usize = 256 << 10;
/// Most log lines in one frame; longer logs travel in several.
pub const MAX_LOG_LINES: usize = 500;
/// Longest log line, in bytes.
pub const MAX_LOG_TEXT: usize = 2_048;
/// Most runs that a heartbeat or a hello may name.
pub const MAX_IN_FLIGHT: usize = 10_000;
/// Most slots an agent may announce.
pub const MAX_SLOTS: u32 = 256;
/// Largest cursor before it is sealed, in bytes: a connector's own of 16 KiB, and what the agent counts beside it.
pub const MAX_POSITION: usize = 17 << 10;
/// Largest cursor on the wire, in bytes: the largest one, sealed and in base64.
pub const MAX_CURSOR: usize = 24 << 10;
/// Largest state of a connection, in bytes: 16 KiB of keys and values, the lengths between them, which may take as much
/// again, and room for a seal.
pub const MAX_STATE: usize = 36 << 10;
/// Most connections of an operation: that of its source and that of its target.
pub const MAX_STATES: usize = 2;
/// Largest question to a connector, in bytes.
pub const MAX_QUESTION: usize = 16 << 10;
/// Largest answer of a connector, in bytes.
pub const MAX_ANSWER: usize = 256 << 10;
/// Longest name of an activity in a question, in bytes.
pub const MAX_ACTIVITY: usize = 128;
/// Longest time for an answer.
pub const MAX_ASK: Duration = Duration::from_secs(60);
/// Largest entry of a roster, join or invitation, in bytes.
pub const MAX_ENTRY: usize = 8 << 10;
/// Largest wrapped key, in bytes.
pub const MAX_WRAP: usize = 512;
/// Largest sealed secret, in bytes: 64 KiB in base64, and what stands around it.
pub const MAX_SEALED: usize = 90 << 10;
/// Most of anything in one frame about keys; more travels in several.
pub const MAX_KEYRING_ITEMS: usize = 1_000;
/// What a sender puts into one frame about keys, in bytes: half of [`MAX_FRAME`].
pub const MAX_KEYRING_FRAME: usize = 512 << 10;
/// Longest text for people in a frame about keys, in bytes.
pub const MAX_KEYRING_TEXT: usize = 512;
/// Largest copy of a connection's tokens, in bytes: in base64 it fits into one record of the store, and two generations
/// of the longest tokens that providers give are below half of it.
pub const MAX_COPY: usize = 40 << 10;
/// Longest address for a person's consent, in bytes: what browsers and proxies carry.
pub const MAX_CONSENT_URL: usize = 8 << 10;
/// Longest authorisation code, `state` or `iss`, in bytes.
pub const MAX_CODE: usize = 4 << 10;
/// Largest sealed code, in bytes: code, `state` and `iss`, their lengths and the seal.
pub const MAX_SEALED_CODE: usize = 3 * MAX_CODE + 512;
/// Context of the signature that recovers an expired certificate.
pub const RECOVER_CONTEXT: &[u8] = b"wherry/recover/v1";
