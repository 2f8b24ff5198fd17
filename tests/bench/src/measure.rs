//! Running something many times with a number in flight, and what that tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Calls per second.
    pub(crate) rate: f64,
    /// Time of each call, sorted.
    pub(crate) times: Vec<Duration>,
    /// Calls made.
    pub(crate) calls: u64,
}

impl Measured {
    /// The time below which this share of the calls stayed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.times.get(index).copied().unwrap_or_default()
    }
}

/// Calls `call` for `duration` with `in_flight` of them at any time.
///
/// # Errors
/// The first error of a call.
pub(crate) async fn load<F, C>(in_flight: usize, duration: Duration, call: C) -> anyhow::Result<Measured>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let (call, calls) = (Arc::new(call), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (call, calls) = (Arc::clone(&call), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begin.elapsed() < duration {
                    let from = begin.elapsed();
                    call().await?;
                    times.push(begin.elapsed().saturating_sub(from));
                    calls.fetch_add(1, Relaxed);
                }
                Ok::<_, anyhow::Error>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await??);
    }
    let rate = calls.load(Relaxed) as f64 / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok(Measured { rate, times, calls: calls.load(Relaxed) })
}
