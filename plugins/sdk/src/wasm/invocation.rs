//! The invocation, the log, the state and the blobs of the contract.

use std::time::Duration;

use super::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use super::bindings::wherry::connector::invocations::Invocation;
use super::bindings::wherry::connector::{blobs, state, telemetry};
use super::transport::WasiHttp;
use crate::error::Result;
use crate::host::{BlobSink, BlobSource, Host, Level, Transport};

/// The contract has no event for a wish to stop: as often a pause asks for it. The host lets a connector go on for 2 s.
const SLICE: Duration = Duration::from_millis(250);

/// The host of the agent, as one invocation sees it.
pub(super) struct Guest<'i>(&'i Invocation);

impl<'i> Guest<'i> {
    pub(super) const fn new(inv: &'i Invocation) -> Self {
        Self(inv)
    }
}

const fn level(level: Level) -> telemetry::Level {
    match level {
        Level::Trace => telemetry::Level::Trace,
        Level::Debug => telemetry::Level::Debug,
        Level::Info => telemetry::Level::Info,
        Level::Warn => telemetry::Level::Warn,
        Level::Error => telemetry::Level::Error,
    }
}

impl Host for Guest<'_> {
    fn run_id(&self) -> String {
        self.0.run_id()
    }

    fn key(&self) -> String {
        self.0.key()
    }

    fn attempt(&self) -> u32 {
        self.0.attempt()
    }

    fn activity(&self) -> String {
        self.0.activity()
    }

    fn connection(&self) -> String {
        self.0.connection()
    }

    fn params(&self) -> String {
        self.0.params()
    }

    fn cursor(&self) -> Option<String> {
        self.0.cursor()
    }

    fn remaining(&self) -> Duration {
        Duration::from_millis(self.0.remaining_ms())
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancelled()
    }

    fn is_dry_run(&self) -> bool {
        self.0.dry_run()
    }

    fn now(&self) -> u64 {
        wall_clock::now().seconds
    }

    fn pause(&self, time: Duration) -> bool {
        let mut left = time;
        while !left.is_zero() && !self.0.cancelled() {
            let slice = left.min(SLICE);
            monotonic_clock::subscribe_duration(u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX)).block();
            left -= slice;
        }
        !self.0.cancelled()
    }

    fn log(&self, at: Level, message: &str, fields: Option<&str>) {
        telemetry::log(level(at), message, fields);
    }

    fn is_logged(&self, at: Level) -> bool {
        telemetry::enabled(level(at))
    }

    fn count(&self, name: &str, delta: u64) {
        telemetry::counter(name, delta);
    }

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(state::get(key)?)
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<()> {
        Ok(state::put(key, value)?)
    }

    fn state_delete(&self, key: &str) -> Result<()> {
        Ok(state::delete(key)?)
    }

    fn state_keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(state::keys(prefix)?)
    }

    fn blob_open(&self, handle: &str) -> Result<Box<dyn BlobSource>> {
        Ok(Box::new(OpenBlob(blobs::open(handle)?)))
    }

    fn blob_create(&self) -> Box<dyn BlobSink> {
        Box::new(NewBlob(blobs::BlobWriter::new()))
    }

    fn transport(&self) -> &dyn Transport {
        &WasiHttp
    }
}

struct OpenBlob(blobs::Blob);

impl BlobSource for OpenBlob {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>> {
        Ok(self.0.read(offset, len)?)
    }
}

struct NewBlob(blobs::BlobWriter);

impl BlobSink for NewBlob {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        Ok(self.0.write(data)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        Ok(self.0.finish()?)
    }
}
