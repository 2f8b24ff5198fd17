//! Connectors in worker processes: real processes, real components, and attackers inside.
#![cfg(test)]

mod attacks;
mod impostors;
mod invocations;
mod lives;
mod support;
