//! Connectors in the box: real components, real sockets, and everything they may try.
#![cfg(test)]

mod contract;
mod figures;
mod http_answers;
mod http_query;
mod http_send;
mod limits;
mod loading;
mod outside;
mod support;
