//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod auth;
mod bad_input;
mod connections;
mod disk_full;
mod jira;
mod kills;
mod lost_agents;
mod lost_controllers;
mod lost_links;
mod memories;
mod oauth_connect;
mod oauth_evil;
mod operator_tool;
mod proxies;
mod recovery;
mod runs;
mod secrets;
mod strangers;
mod third_party;
mod transforms;
