//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod lost_agents;
mod lost_controllers;
mod lost_links;
mod runs;
