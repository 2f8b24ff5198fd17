//! Waiting for something to become true: as soon as it is, and never longer than a limit.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest wait for anything that should happen soon. Generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look at what cannot tell by itself.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Looks until there is something, for at most [`PATIENCE`].
///
/// # Errors
/// The first error of `look`, or that the time is over.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, look).await
}

/// Looks until there is something, for at most `limit`.
///
/// # Errors
/// The first error of `look`, or that the time is over.
pub async fn within<T>(limit: Duration, what: &str, look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let found = tokio::time::timeout(limit, found(look)).await;
    found.with_context(|| format!("waited {} s in vain until {what}", limit.as_secs_f32()))?
}

/// Looks for the whole of `time` that something stays untrue.
///
/// # Errors
/// The first error of `look`, or that it became true.
pub async fn never_during(time: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let look = async || Ok(look().await?.then_some(()));
    match tokio::time::timeout(time, found(look)).await {
        Err(_) => Ok(()),
        Ok(Ok(())) => bail!("it must not happen that {what}"),
        Ok(Err(error)) => Err(error),
    }
}

async fn found<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(TICK).await;
    }
}
