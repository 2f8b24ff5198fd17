//! The box as bytes: the component in which an agent runs transformations and conditions.

/// The component of the world `wherry:expr/expr@1.0.0`.
pub static COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/expr.wasm"));
