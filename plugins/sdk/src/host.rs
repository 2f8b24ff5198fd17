//! The seams between a connector and whatever runs it: the host of the agent, or the bench of a test.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::Request;

/// How important a log message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the connector's developer.
    Debug,
    /// For the agent owner.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// What a connector asks about its invocation, and what it can reach beside records.
pub trait Host {
    /// The run this belongs to.
    fn run_id(&self) -> String;
    /// The same for all attempts of a run, different for every run.
    fn key(&self) -> String;
    /// 1, 2, ...
    fn attempt(&self) -> u32;
    /// The activity's name; empty in a test of the connection.
    fn activity(&self) -> String;
    /// The connection as JSON, without credentials.
    fn connection(&self) -> String;
    /// The activity's parameters as JSON.
    fn params(&self) -> String;
    /// The cursor stored last for this run.
    fn cursor(&self) -> Option<String>;
    /// Time until the host ends the invocation.
    fn remaining(&self) -> Duration;
    /// Whether the host asked to stop.
    fn is_cancelled(&self) -> bool;
    /// Whether to check everything and change nothing outside.
    fn is_dry_run(&self) -> bool;
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// Lets so much time pass. Whether it did: `false` if the host asked to stop meanwhile.
    fn pause(&self, time: Duration) -> bool;
    /// Keeps a message of at most 8 KiB. `fields` is a JSON object.
    fn log(&self, level: Level, message: &str, fields: Option<&str>);
    /// Whether a message of this level would be kept.
    fn is_logged(&self, level: Level) -> bool;
    /// Adds to a counter of this invocation.
    fn count(&self, name: &str, delta: u64);
    /// Reads from the connection's durable memory.
    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Writes to it.
    fn state_put(&self, key: &str, value: &[u8]) -> Result<()>;
    /// Removes from it.
    fn state_delete(&self, key: &str) -> Result<()>;
    /// All keys with this prefix, sorted.
    fn state_keys(&self, prefix: &str) -> Result<Vec<String>>;
    /// Opens a file of this run.
    fn blob_open(&self, handle: &str) -> Result<Box<dyn BlobSource>>;
    /// Begins a file.
    fn blob_create(&self) -> Box<dyn BlobSink>;
    /// The way out.
    fn transport(&self) -> &dyn Transport;
}

/// Content of a file that is complete.
pub trait BlobSource {
    /// Its length in bytes.
    fn size(&self) -> u64;
    /// At most `len` bytes and at most 1 MiB from `offset` on; none at the end.
    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>>;
}

/// Content of a file that is being written. Dropped unfinished, it is forgotten.
pub trait BlobSink {
    /// Appends at most 1 MiB.
    fn write(&mut self, data: &[u8]) -> Result<()>;
    /// Completes the content; gives its handle.
    fn finish(self: Box<Self>) -> Result<String>;
}

/// Records that travel together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// How many.
    pub count: u32,
    /// One JSON value per line, each line ended by a line feed.
    pub data: Vec<u8>,
}

/// Where a source puts its records.
pub trait RowSink {
    /// Hands records on, and waits for room.
    fn write(&mut self, rows: Lines, cursor: Option<&str>) -> Result<()>;
    /// Continue here, without records.
    fn checkpoint(&mut self, cursor: &str) -> Result<()>;
}

/// Where a target gets its records.
pub trait RowSource {
    /// The next records; `None` when there are no more.
    fn next(&mut self, max_rows: u32, max_bytes: u32) -> Result<Option<Lines>>;
    /// How many records of the same run earlier attempts applied before the first one.
    fn first_row(&self) -> u64;
    /// The target holds the records 0 to `up_to` - 1.
    fn ack(&mut self, up_to: u64) -> Result<()>;
    /// The system refused one record.
    fn reject(&mut self, row: u64, reason: &Error) -> Result<()>;
}

/// Sends requests.
pub trait Transport {
    /// Begins an exchange. The request is on its way when this returns; nobody has to wait for its answer yet.
    fn start(&self, request: &Request) -> Result<Box<dyn Exchange>>;
}

/// A request that is on its way. Dropping it gives it up.
pub trait Exchange {
    /// Waits for the head of the answer.
    fn wait(self: Box<Self>) -> Result<Head>;
}

/// The head of an answer, and its body to be read.
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Box<dyn BodySource>,
}

/// A body that arrives.
pub trait BodySource {
    /// The next bytes; `None` at the end.
    fn read(&mut self) -> Result<Option<Vec<u8>>>;
}
