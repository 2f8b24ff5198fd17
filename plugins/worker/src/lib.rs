//! The second wall: connector code in a process of its own.
//!
//! The sandbox of `wherry-host` is the first wall. A worker is the second: one process for each connection, without
//! network, files, programs or anything else to open, that hears of the world only what the agent tells it over one
//! socket. The agent keeps what matters: the way out with its credentials, the run's blobs, the time limit, and the
//! judgement of what comes back ([`wherry_host::Referee`]).
//!
//! The agent's side is [`Pool`] and the [`Code`] it hands out; the worker's side is [`run`], which the agent's own
//! program calls when it was started as a worker.

mod body;
mod child;
mod frame;
mod parent;
mod wire;

pub use child::{WorkerError, run, run_tried};
pub use frame::{Wall, Walls};
pub use parent::{Apart, Code, Pool, PoolSettings, Runner};
