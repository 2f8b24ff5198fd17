//! The authority and the port for agents, over real TLS on loopback.

mod enrolling;
mod files;
mod recovering;
mod sessions;
mod strangers;
