//! Which programs are accepted, and what is said of the others.
#![cfg(test)]

mod hostile;
mod language;
