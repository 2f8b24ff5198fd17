//! The whole system: real programs, real TLS, and everything that can go wrong between them.
#![cfg(test)]

mod actions;
mod auth;
mod bad_input;
mod connections;
mod connector_text;
mod dead_workers;
mod declarative;
mod demo;
mod disk_full;
mod guides;
mod jira;
mod kills;
mod kit;
mod lost_agents;
mod lost_controllers;
mod lost_links;
mod memories;
mod oauth_connect;
mod oauth_evil;
mod operator_tool;
mod owner_policy;
mod proxies;
mod recovery;
mod rollout;
mod runs;
mod secrets;
mod signed_deployments;
mod stock;
mod strangers;
mod third_party;
mod transforms;
