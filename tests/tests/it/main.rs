//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod runs;
