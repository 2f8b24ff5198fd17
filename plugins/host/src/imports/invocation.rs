//! `wherry:connector/invocations`: what is asked of the connector.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::Resource;

use super::Guest;
use crate::bindings::invocations::{Host, HostInvocation};
use crate::clock;
use crate::inbox::Cancelled;
use crate::message::Task;

/// One invocation, as the connector may ask about it.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Invocation {
    pub(crate) task: Arc<Task>,
    pub(crate) deadline: Instant,
    pub(crate) cancelled: Cancelled,
}

type This = Resource<Invocation>;

impl Guest {
    fn task(&self, this: &This) -> wasmtime::Result<&Task> {
        Ok(&self.table.get(this)?.task)
    }
}

impl Host for Guest {}

impl HostInvocation for Guest {
    fn run_id(&mut self, this: This) -> wasmtime::Result<String> {
        Ok(self.task(&this)?.run.clone())
    }

    fn key(&mut self, this: This) -> wasmtime::Result<String> {
        Ok(self.task(&this)?.key.clone())
    }

    fn attempt(&mut self, this: This) -> wasmtime::Result<u32> {
        Ok(self.task(&this)?.attempt)
    }

    fn activity(&mut self, this: This) -> wasmtime::Result<String> {
        Ok(self.task(&this)?.activity.clone())
    }

    fn connection(&mut self, this: This) -> wasmtime::Result<String> {
        Ok(self.task(&this)?.connection.clone())
    }

    fn params(&mut self, this: This) -> wasmtime::Result<String> {
        Ok(self.task(&this)?.params.clone())
    }

    fn cursor(&mut self, this: This) -> wasmtime::Result<Option<String>> {
        Ok(self.task(&this)?.cursor.clone())
    }

    fn remaining_ms(&mut self, this: This) -> wasmtime::Result<u64> {
        let left: Duration = self.table.get(&this)?.deadline.saturating_duration_since(clock::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn cancelled(&mut self, this: This) -> wasmtime::Result<bool> {
        Ok(self.table.get(&this)?.cancelled.is_set())
    }

    fn dry_run(&mut self, this: This) -> wasmtime::Result<bool> {
        Ok(self.task(&this)?.dry_run)
    }

    fn drop(&mut self, this: This) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
