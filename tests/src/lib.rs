//! Whole-system tests: worlds of real programs over real TLS, with a network that breaks on request.
//!
//! [`world`] starts and harms them; the tests are in `tests/it`.

pub mod world;
