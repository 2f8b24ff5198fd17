//! The rules of the domain against reference models, whole histories and hostile input.
#![cfg(test)]

mod pair;
mod project_check;
mod project_tls;
mod run_model;
