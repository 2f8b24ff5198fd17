//! Connectors in the box: real components, real sockets, and everything they may try.
#![cfg(test)]

mod ahead;
mod contract;
mod declarative;
mod frozen;
mod http_answers;
mod http_query;
mod http_send;
mod jira;
mod kit;
mod limits;
mod loading;
mod outside;
mod patience;
mod pooled;
mod support;
mod transforms;
mod transforms_hostile;
