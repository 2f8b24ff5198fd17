//! The REST API, called without a network.

mod access;
mod actions;
mod aliases;
mod applications;
mod catalogue;
mod connections;
mod events;
mod fleet;
mod oauth;
mod paging;
mod problems;
mod reads;
mod runs;
mod secrets;
mod slow;
