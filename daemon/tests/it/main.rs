//! The store under test as its callers and its enemies see it.

mod conformance;
mod crash;
mod damage;
mod model;
mod power;
mod sharing;
mod support;
