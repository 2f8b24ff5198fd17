//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod bad_input;
mod disk_full;
mod kills;
mod lost_agents;
mod lost_controllers;
mod lost_links;
mod recovery;
mod runs;
mod strangers;
mod third_party;
