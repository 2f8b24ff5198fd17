//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod actions;
mod auth;
mod bad_input;
mod connections;
mod declarative;
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
mod rollout;
mod runs;
mod secrets;
mod stock;
mod strangers;
mod third_party;
mod transforms;
