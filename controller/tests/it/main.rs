//! The controller: its ledger on both stores, its REST API and document, its port for agents.
#![cfg(test)]

mod authority;
mod ledger;
mod openapi;
mod rest;
mod support;
