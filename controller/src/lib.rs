//! The controller: what a platform operator runs.
//!
//! | module | one reason to change |
//! |---|---|
//! | [`config`] | what an operator can set |
//! | [`app`] | how the parts are put together, started and stopped |
//! | [`model`] | what is remembered |
//! | [`engine`] | the ledger: the single writer that decides, stores, then acts |
//! | [`ca`] | the certificate authority |
//! | [`agents`] | the port for agents: enrolment, sessions, fetches |
//! | [`web`] | the port for people: REST and server-sent events |
//! | [`backup`] | taking a copy of everything, and putting it back |
//!
//! Invariants: only [`engine`] changes what is remembered; nothing leaves the process before it is
//! durable; identity comes from the certificate or the token, never from a message.

pub mod agents;
pub mod app;
pub mod backup;
pub mod ca;
pub mod config;
pub mod engine;
pub mod model;
pub mod web;
