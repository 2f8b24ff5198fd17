//! The limits of the box for transformations. Every one can be changed, none can be removed.

use std::time::Duration;

/// Limits for every transformation that a [`TransformHost`](crate::TransformHost) runs.
#[derive(Debug, Clone)]
pub struct TransformSettings {
    /// Memory of one run's programs, with everything they hold, in bytes. The box itself needs 10 MiB of it.
    pub memory_bytes: usize,
    /// Stack of WebAssembly code, in bytes. Reading the longest program takes several megabytes.
    pub stack_bytes: usize,
    /// Time that the programs may spend computing between two batches of results.
    pub cpu_time: Duration,
    /// Most results of one record.
    pub record_results: u32,
    /// Most bytes of all results of one record.
    pub record_bytes: u32,
}

impl Default for TransformSettings {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            stack_bytes: 8 << 20,
            cpu_time: Duration::from_secs(5),
            record_results: 100_000,
            record_bytes: 8 << 20,
        }
    }
}
