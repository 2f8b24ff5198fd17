//! Manifests of declarative connectors: what one says, everything that may be wrong with it, the descriptor that follows
//! from it, and how it is put into the engine's component.
//!
//! The command line reads and packs manifests; the engine (`plugins/declarative`) reads the same document again and runs
//! it. Both stand on [`read()`], so that what was packed is what runs.
//!
//! Pure functions over JSON: whoever has YAML converts it first.

mod describe;
mod fields;
mod model;
mod read;
pub mod region;
mod template;

pub use fields::{Field, Fields, Unfit};
pub use model::{
    Activity, Body, Errors, Expand, Kind, Limits, Manifest, Method, OnMissing, Place, RateLimit, Request, Reset, Rule,
    Scheme, SideEffects, Sort, Statuses, Test, Walk, WalkStyle,
};
pub use read::{Fault, read};
pub use template::{Count, Gap, JsonTemplate, Missing, Root, Scope, Template};

/// The form of manifests that this version reads: `manifest: 1`.
pub const FORM: u64 = 1;
