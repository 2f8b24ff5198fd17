//! Logs: structured events on standard error, for people or as JSON lines.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::redaction::{Redactor, Scrubbed};

/// The `log` section of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// How events look.
    pub format: LogFormat,
    /// Which events appear, such as `info` or `info,wherry_agent=debug`.
    pub filter: String,
}

/// How events look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".to_owned() }
    }
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} is not understood, write for example info or info,wherry_agent=debug")]
    Filter {
        /// As configured.
        filter: String,
    },
    /// Something else already receives this process's events.
    #[error("logging is already set up")]
    AlreadySet,
}

/// Checks a filter without setting anything up, for the configuration's own check.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    parse(filter).map(drop)
}

/// Sends the process's events to standard error from now on, without what `redactor` knows. Once per process.
pub fn init(options: &LogOptions, redactor: &Redactor) -> Result<(), TelemetryError> {
    let filter = parse(&options.filter)?;
    let colours = std::io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    let redactor = redactor.clone();
    let writer = move || Scrubbed::new(redactor.clone(), std::io::stderr());
    let set = match options.format {
        LogFormat::Human => registry.with(fmt::layer().with_writer(writer).with_ansi(colours)).try_init(),
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(layer.with_writer(writer)).try_init()
        }
    };
    set.map_err(|_| TelemetryError::AlreadySet)
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter).map_err(|_| TelemetryError::Filter { filter: filter.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_understood_or_named() {
        check_filter("info,wherry_agent=debug").unwrap();
        let error = check_filter("info,wherry=loudly").unwrap_err();
        assert!(error.to_string().contains("wherry=loudly"), "{error}");
    }
}
