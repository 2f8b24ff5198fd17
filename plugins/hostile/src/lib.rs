//! A connector that misbehaves on request: one activity for each way. The host's tests run it to see every wall of
//! the box stand. It is never shipped.

#[cfg(target_family = "wasm")]
mod bindings;
#[cfg(target_family = "wasm")]
mod connector;
#[cfg(target_family = "wasm")]
mod exhaustion;
#[cfg(target_family = "wasm")]
mod misuse;
#[cfg(target_family = "wasm")]
mod requests;
