//! The agent as a process, against a controller that is ours: real TLS, real gRPC, a real connector.
#![cfg(test)]

mod asks;
mod connectors;
mod egress;
mod enrolment;
mod runs;
mod session;
mod stopping;
mod support;
mod transforms;
