//! The kit as an author uses it: whole connectors on the bench.
#![cfg(test)]

mod activities;
mod client;
mod connector;
mod descriptor;
mod guide;
mod patience;
mod reading;
