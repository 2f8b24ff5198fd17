//! The rules of the domain against reference models, whole histories and hostile input.
#![cfg(test)]

mod documents;
mod pair;
mod project_auth;
mod project_check;
mod project_tls;
mod rollout;
mod run_model;
