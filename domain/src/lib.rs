//! The rules of Wherry: pure types and state machines.
//!
//! Nothing here reads a clock, spawns a task, opens a socket or touches a file; time, chance and
//! identity come in as arguments, so a seed reproduces any history exactly. `no_std` lets the
//! compiler keep it so.
//!
//! Every machine speaks the same three words: `on(event, now) -> Vec<Effect>` (something
//! happened; here is all that must follow), `deadline()` (wake me then) and, for planners, a pure
//! function from a snapshot to a plan.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod area;
pub mod capability;
pub mod connection;
pub mod consent;
pub mod digest;
pub mod duration;
pub mod effects;
pub mod epoch;
pub mod execution;
pub mod failure;
pub mod fence;
pub mod id;
pub mod lease;
pub mod lock;
pub mod name;
pub mod owner;
pub mod path;
pub mod policy;
pub mod presence;
pub mod project;
pub mod retry;
pub mod rollout;
pub mod run;
pub mod schedule;
pub mod session;
pub mod throttle;
pub mod time;
