//! From what wasmtime and the connector say to a fault that names the cause.

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::bindings::types;
use crate::fault::{ConnectorError, ConnectorFault, ErrorKind, Limit};
use crate::outgoing::LastFailure;
use crate::settings::HostSettings;
use crate::stdio::Tail;
use crate::text;

const MESSAGE_BYTES: usize = 2 << 10;
const DETAILS_BYTES: usize = 8 << 10;
const REASON_BYTES: usize = 300;

/// A connector's own words, cut to size, with what the host saw fail on the way out.
pub(crate) fn reported(error: types::Error, failure: &LastFailure) -> ConnectorError {
    let kind = ErrorKind::from(error.kind);
    let details = error.details.filter(|details| {
        details.len() <= DETAILS_BYTES && serde_json::from_str::<serde::de::IgnoredAny>(details).is_ok()
    });
    let cause = if kind == ErrorKind::Cancelled { None } else { failure.get() };
    ConnectorError {
        kind,
        code: text::code(&error.code),
        message: text::one_line(&error.message, MESSAGE_BYTES),
        retry_after_ms: error.retry_after_ms,
        details,
        cause,
    }
}

/// Why an instance broke off.
pub(crate) fn fault(
    error: &wasmtime::Error,
    settings: &HostSettings,
    stderr: &Tail,
    failure: &LastFailure,
) -> ConnectorFault {
    if let Some(limit) = limit(error, settings) {
        return limit.into();
    }
    let reason = match error.downcast_ref::<I32Exit>() {
        Some(exit) => format!("it exited with status {}", exit.0),
        None => text::one_line(&error.root_cause().to_string(), REASON_BYTES),
    };
    ConnectorFault::Trap { reason, output: stderr.text(), cause: failure.get().map(Box::new) }
}

fn limit(error: &wasmtime::Error, settings: &HostSettings) -> Option<Limit> {
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return Some(limit.clone());
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
        return Some(Limit::Stack);
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some(Limit::Handles { limit: settings.handles });
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return Some(Limit::Instances(text::one_line(&full.to_string(), REASON_BYTES)));
    }
    // wasmtime has no types for these; tests trip each of them, so a change of its words is noticed.
    let words = format!("{error:#}");
    if words.contains("handle limit exceeded") {
        return Some(Limit::Handles { limit: settings.handles });
    }
    if words.contains("fuel allocated for hostcalls has been exhausted") {
        return Some(Limit::HostCall { limit_bytes: settings.hostcall_bytes });
    }
    words
        .split_once("resource limit exceeded: ")
        .map(|(_, which)| Limit::Instances(text::one_line(which, REASON_BYTES)))
}
