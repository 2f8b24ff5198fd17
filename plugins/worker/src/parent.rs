//! The agent's side: starts workers, gives them work, and believes little of what they say.

mod call;
mod code;
mod exchange;
mod pool;
mod process;
mod starter;
mod worker;

pub use code::{Apart, Code, Runner};
pub use pool::{Pool, PoolSettings};
