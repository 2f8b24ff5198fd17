//! The box's inside: runs programs over records, one record at a time.
//!
//! Nothing here is trusted. The host limits memory and time from outside; this code only keeps results in batches and
//! counts them. It is also built natively, for its tests.

mod batches;
mod json;
mod parse;
mod parts;
mod pipeline;
mod search;

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod exported;

pub use batches::{Batch, Limits};
pub use pipeline::{Cause, Failure, Invalid, Part, Pipeline, Setup};
