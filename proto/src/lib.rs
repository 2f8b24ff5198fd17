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

/// Largest frame either side sends or accepts, in bytes.
pub const MAX_FRAME: usize = 1 << 20;
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
/// Largest cursor, in bytes.
pub const MAX_CURSOR: usize = 16 << 10;
/// Largest question to a connector, in bytes.
pub const MAX_QUESTION: usize = 16 << 10;
/// Largest answer of a connector, in bytes.
pub const MAX_ANSWER: usize = 256 << 10;
/// Longest name of an activity in a question, in bytes.
pub const MAX_ACTIVITY: usize = 128;
/// Longest time for an answer.
pub const MAX_ASK: Duration = Duration::from_secs(60);
/// Context of the signature that recovers an expired certificate.
pub const RECOVER_CONTEXT: &[u8] = b"wherry/recover/v1";
