//! Keys, envelopes, tokens and names: everything two machines must agree on before they trust each other.
//!
//! Pure functions over bytes. Nothing in this crate opens a file or a socket, or reads a clock; the only outside
//! thing it touches is the operating system's random generator, and only where something is generated.

pub mod access;
pub mod chain;
pub mod deployment;
pub mod dsse;
pub mod keys;
pub mod names;
pub mod release;
pub mod seal_local;
pub mod sealing;
pub mod token;

mod checksum;
mod derive;
mod hash;

pub use checksum::TokenId;
pub use derive::CryptoUnavailable;
