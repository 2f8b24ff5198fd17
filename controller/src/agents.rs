//! The port for agents: gRPC over TLS 1.3 with certificates of our own authority.

mod enrollment;
mod fetch;
mod identity;
mod listener;
mod session;
mod status;

pub use listener::{Port, serve};
