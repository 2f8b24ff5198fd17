//! The files of this folder as an operator would use them, and the documents that speak of them.
#![cfg(test)]

mod configuration;
mod containers;
mod documents;
mod units;
