//! `wherry:connector/telemetry`: logs and counters, within bounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::Guest;
use crate::bindings::telemetry::{Host, Level as WitLevel};
use crate::message::{FromConnector, Level};
use crate::settings::HostSettings;
use crate::settings::contract::{COUNTERS, LOG_LINE_BYTES};
use crate::text;

/// What one message costs beside its text, so that empty messages are limited too.
const OVERHEAD: usize = 32;

/// Logs and counters of one invocation.
pub(crate) struct Telemetry {
    /// Nobody listens before its invocation begins.
    pub(super) outbox: Option<mpsc::Sender<FromConnector>>,
    threshold: Level,
    budget: Option<usize>,
    counters: Counters,
}

/// Sums that outlive the instance, so that a connector that breaks off still reports them.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counters {
    fn add(&self, name: &str, delta: u64) {
        let name = text::code(name);
        let mut sums = self.sums();
        if sums.len() < COUNTERS || sums.contains_key(&name) {
            let sum = sums.entry(name).or_default();
            *sum = sum.saturating_add(delta);
        }
    }

    /// All sums; afterwards there are none.
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.sums())
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telemetry {
    pub(crate) fn new(settings: &HostSettings, counters: Counters) -> Self {
        Self { outbox: None, threshold: settings.log_level, budget: Some(settings.log_bytes), counters }
    }

    /// The message to send, if any: the text within the budget, one mark when it runs out, then nothing.
    fn admit(&mut self, level: Level, message: &str, fields: Option<String>) -> Option<FromConnector> {
        let left = self.budget?;
        if level < self.threshold {
            return None;
        }
        let message = text::one_line(message, LOG_LINE_BYTES);
        let fields = fields.filter(|fields| is_object(fields));
        let cost = message.len() + fields.as_ref().map_or(0, String::len) + OVERHEAD;
        self.budget = left.checked_sub(cost);
        if self.budget.is_some() {
            return Some(FromConnector::Log { level, message, fields });
        }
        let message = "the connector's log is cut here: it wrote more than is kept of one invocation".to_owned();
        Some(FromConnector::Log { level: Level::Warn, message, fields: None })
    }
}

fn is_object(fields: &str) -> bool {
    fields.len() <= LOG_LINE_BYTES && serde_json::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(fields).is_ok()
}

impl Host for Guest {
    async fn log(&mut self, level: WitLevel, message: String, fields: Option<String>) -> wasmtime::Result<()> {
        if let Some(message) = self.telemetry.admit(level.into(), &message, fields)
            && let Some(outbox) = &self.telemetry.outbox
        {
            // A caller that no longer listens has no use for logs either.
            let _ = outbox.send(message).await;
        }
        Ok(())
    }

    fn enabled(&mut self, level: WitLevel) -> wasmtime::Result<bool> {
        Ok(self.telemetry.budget.is_some() && Level::from(level) >= self.telemetry.threshold)
    }

    fn counter(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
        self.telemetry.counters.add(&name, delta);
        Ok(())
    }
}

impl From<WitLevel> for Level {
    fn from(level: WitLevel) -> Self {
        match level {
            WitLevel::Trace => Self::Trace,
            WitLevel::Debug => Self::Debug,
            WitLevel::Info => Self::Info,
            WitLevel::Warn => Self::Warn,
            WitLevel::Error => Self::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(log_bytes: usize) -> Telemetry {
        let settings = HostSettings { log_bytes, ..HostSettings::default() };
        Telemetry::new(&settings, Counters::default())
    }

    #[test]
    fn a_flood_ends_with_one_mark() {
        let mut telemetry = telemetry(1_000);
        let kept: Vec<_> = (0..10_000).filter_map(|_| telemetry.admit(Level::Info, "0123456789", None)).collect();
        assert_eq!(kept.len(), 1_000 / (10 + OVERHEAD) + 1);
        assert!(
            matches!(kept.last(), Some(FromConnector::Log { level: Level::Warn, message, .. }) if message.contains("cut here"))
        );
    }

    #[test]
    fn a_message_is_one_clean_line_of_bounded_length() {
        let mut telemetry = telemetry(100_000);
        let Some(FromConnector::Log { message, fields, .. }) =
            telemetry.admit(Level::Info, &("\x1b[2J\n".to_owned() + &"x".repeat(20_000)), Some("not json".into()))
        else {
            panic!("not kept")
        };
        assert!(message.len() < LOG_LINE_BYTES + 10 && !message.contains('\x1b') && !message.contains('\n'));
        assert_eq!(fields, None);
    }

    #[test]
    fn the_number_of_counters_is_bounded_and_sums_saturate() {
        let counters = Counters::default();
        for n in 0..10_000 {
            counters.add(&format!("n{n}"), 1);
        }
        counters.add("n1", u64::MAX);
        let sums = counters.take();
        assert_eq!((sums.len(), sums.get("n1")), (COUNTERS, Some(&u64::MAX)));
    }
}
