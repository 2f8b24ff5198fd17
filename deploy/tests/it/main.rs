//! The files of this folder as an operator would use them.
#![cfg(test)]

mod configuration;
mod containers;
mod units;
