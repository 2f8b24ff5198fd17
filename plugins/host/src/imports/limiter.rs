//! Memory and tables of one invocation, counted.

use wasmtime::ResourceLimiter;

use crate::fault::Limit;
use crate::settings::HostSettings;

/// Counts what an instance's memories and tables grow to. Growth beyond a limit ends the invocation with the limit's
/// name instead of failing inside the connector, where it would surface as an obscure abort.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory_used: usize,
    table_limit: usize,
    parts_limit: usize,
}

impl Limiter {
    pub(crate) fn new(settings: &HostSettings) -> Self {
        Self {
            memory_limit: settings.memory_bytes,
            memory_used: 0,
            table_limit: settings.table_elements,
            parts_limit: settings.core_instances,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.memory_used.saturating_add(desired.saturating_sub(current));
        if used > self.memory_limit {
            return Err(Limit::Memory { limit_bytes: self.memory_limit }.into());
        }
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.table_limit {
            return Err(Limit::Table { limit: self.table_limit }.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.parts_limit
    }

    fn tables(&self) -> usize {
        self.parts_limit
    }

    fn memories(&self) -> usize {
        self.parts_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_an_invocation_count_together() {
        let mut limiter = Limiter::new(&HostSettings { memory_bytes: 100, ..HostSettings::default() });
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        let error = limiter.memory_growing(40, 41, None).unwrap_err();
        assert_eq!(error.downcast_ref::<Limit>(), Some(&Limit::Memory { limit_bytes: 100 }));
    }

    #[test]
    fn a_table_has_a_limit() {
        let mut limiter = Limiter::new(&HostSettings { table_elements: 10, ..HostSettings::default() });
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(limiter.table_growing(10, 11, None).is_err());
    }
}
