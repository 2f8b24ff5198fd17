//! The store under test as its callers and its enemies see it.
#![cfg(test)]

mod conformance;
mod crash;
mod damage;
mod disk_full;
mod model;
mod opening;
mod power;
mod sharing;
mod support;
