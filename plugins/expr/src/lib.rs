//! Transformations and conditions: the jq language as Wherry understands it.
//!
//! A program is written by a stranger, and jq is a whole programming language. This crate therefore only reads
//! programs: it says whether one is well formed, and where it is not ([`Program::check`]). Running one happens inside
//! the box (`plugins/expr/guest`), which compiles with the same [`compile()`], so both agree on every program.
//!
//! Left out of jq is what would look beyond the record: the environment, other inputs, files, the clock, the log of
//! the process, the end of the process. Without these the same record gives the same results at every attempt.

mod compile;
mod error;
mod language;
mod nesting;
mod position;
pub mod tree;

#[cfg(feature = "check")]
mod check;
#[cfg(feature = "check")]
pub mod project;

pub use compile::{Data, Filter, compile};
pub use error::ProgramError;
pub use language::GLOBALS;
pub use position::Position;

#[cfg(feature = "check")]
pub use check::Program;

/// Longest program, in bytes.
pub const MAX_PROGRAM: usize = 16 << 10;
