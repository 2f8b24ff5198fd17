//! The limits of the box. Every one can be changed, none can be removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Level;

/// Limits for every connector that a [`Host`](crate::Host) runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// Largest component accepted, in bytes.
    pub component_bytes: usize,
    /// Linear memory of one invocation, all memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Instances alive at the same time, for which room is kept so that they start faster; 0 keeps none. More of them
    /// are refused.
    pub instances: usize,
    /// Core instances of one component. Rust needs about 5; Python, with componentize-py 0.25, 31.
    pub core_instances: usize,
    /// Stack of WebAssembly code, in bytes.
    pub stack_bytes: usize,
    /// Data that one host call may move out of the box, in bytes.
    pub hostcall_bytes: usize,
    /// Handles and host resources alive at the same time.
    pub handles: usize,
    /// Time that one invocation may spend computing, waiting not counted.
    pub cpu_time: Duration,
    /// How long a connector may go on after it was asked to stop.
    pub cancel_grace: Duration,
    /// HTTP exchanges in flight at the same time, of one invocation.
    pub parallel_requests: usize,
    /// The least important log messages that are kept.
    pub log_level: Level,
    /// Log text kept of one invocation, in bytes.
    pub log_bytes: usize,
    /// Standard output and standard error kept of one invocation, each, in bytes.
    pub stdio_bytes: usize,
    /// The document an invocation returns, in bytes.
    pub output_bytes: usize,
    /// Blobs of one run, all together, in bytes.
    pub blob_bytes: usize,
    /// Wall-clock time for reading a descriptor.
    pub describe_time: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            memory_bytes: 64 << 20,
            table_elements: 10_000,
            instances: 0,
            core_instances: 48,
            stack_bytes: 1 << 20,
            hostcall_bytes: 8 << 20,
            handles: 10_000,
            cpu_time: Duration::from_secs(120),
            cancel_grace: Duration::from_secs(2),
            parallel_requests: 32,
            log_level: Level::Info,
            log_bytes: 64 << 10,
            stdio_bytes: 16 << 10,
            output_bytes: 256 << 10,
            blob_bytes: 64 << 20,
            describe_time: Duration::from_secs(5),
        }
    }
}

/// Limits that belong to the contract: a connector may rely on them, so no setting changes them.
pub(crate) mod contract {
    /// Records of one batch.
    pub(crate) const BATCH_ROWS: u32 = 1_000;
    /// Bytes of one batch.
    pub(crate) const BATCH_BYTES: usize = 1 << 20;
    /// Bytes of one cursor.
    pub(crate) const CURSOR_BYTES: usize = 16 << 10;
    /// Keys and values of a connection's state together, in bytes.
    pub(crate) const STATE_BYTES: usize = 16 << 10;
    /// Bytes of one log message, and of its fields.
    pub(crate) const LOG_LINE_BYTES: usize = 8 << 10;
    /// Different counters of one invocation.
    pub(crate) const COUNTERS: usize = 64;
    /// Bytes moved by one read or write of a blob.
    pub(crate) const BLOB_CHUNK: usize = 1 << 20;
    /// Bytes of a descriptor.
    pub(crate) const DESCRIPTOR_BYTES: usize = 256 << 10;
}
