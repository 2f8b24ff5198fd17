//! The agent as a process, against a controller that is ours: real TLS, real gRPC, a real connector.
#![cfg(test)]

mod asks;
mod auth;
mod connectors;
mod egress;
mod egress_answers;
mod egress_certificates;
mod egress_guard;
mod egress_packets;
mod egress_runs;
mod egress_tls;
mod enrolment;
mod oauth;
mod proxies;
mod runs;
mod session;
mod stopping;
mod support;
mod third_party;
mod transforms;
