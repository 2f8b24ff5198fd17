//! Against software and descriptions that others wrote: a validating mock server and proxy, a client, recorded answers.
//!
//! `cargo xtask test --third-party` says where they are; without it these tests are left out.

mod consent;
mod description;
mod desk;
mod driver;
mod mock;
mod oauth1;
mod platform;
mod prism;
mod python;
mod recorded;
