//! The REST API, called without a network.

mod access;
mod catalogue;
mod connections;
mod events;
mod fleet;
mod paging;
mod problems;
mod runs;
mod slow;
