//! The agent as a process, against a controller that is ours: real TLS, real gRPC, a real connector.
#![cfg(test)]

mod actions;
mod asks;
mod auth;
mod catalogue;
mod connectors;
mod egress;
mod egress_answers;
mod egress_certificates;
mod egress_guard;
mod egress_openssl;
mod egress_packets;
mod egress_policy;
mod egress_runs;
mod egress_tls;
mod enrolment;
mod logout;
mod oauth;
mod proxies;
mod runs;
mod session;
mod stock;
mod stock_damage;
mod stopping;
mod support;
mod swap;
mod third_party;
mod transforms;
mod workers;
