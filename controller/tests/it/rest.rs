//! The REST API, called without a network.

mod access;
mod action_limits;
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
mod publishers;
mod reads;
mod runs;
mod secrets;
mod slow;
