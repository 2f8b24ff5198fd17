//! What the tests stand on.

pub(crate) mod agent;
pub(crate) mod catalogue;
pub(crate) mod controller;
pub(crate) mod liar;
pub(crate) mod package;
pub(crate) mod pki;
pub(crate) mod project;
pub(crate) mod raw;
pub(crate) mod relay;
pub(crate) mod shop;
pub(crate) mod system;
pub(crate) mod tunnel;
mod warm;

use std::{future::Future, time::Duration};

/// Longer than anything here takes, on a busy machine: compiling a connector may take a minute and more there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits for an event, and says which one never came.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
