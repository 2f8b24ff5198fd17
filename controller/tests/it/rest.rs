//! The REST API, called without a network.

mod access;
mod catalogue;
mod events;
mod fleet;
mod paging;
mod problems;
mod runs;
