//! The connector `http`: any REST interface, described by parameters instead of code.
//!
//! Everything that decides lives in plain modules that are tested natively; only `bindings`, `connector`,
//! `wire`, `source` and `target` know that they run inside a WebAssembly component.

pub mod answer;
pub mod config;
pub mod failure;
pub mod link;
pub mod paging;
pub mod path;
pub mod plan;
pub mod records;
pub mod retry_after;
pub mod template;
pub mod url;

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod connector;
#[cfg(target_family = "wasm")]
mod source;
#[cfg(target_family = "wasm")]
mod target;
#[cfg(target_family = "wasm")]
mod wire;

/// What this connector says of itself.
pub const DESCRIPTOR: &str = include_str!("descriptor.json");
