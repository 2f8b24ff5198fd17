//! What a worker process says of an invocation, held against what it may say.
//!
//! Code that breaks out of its sandbox speaks for the worker. So nothing a worker says is believed beyond what the
//! connector itself could have said: sizes and numbers are checked again, texts of the host's own kind are replaced by
//! the host's own texts, and what failed on the way out is what this process saw fail.

use std::collections::BTreeSet;

use wasmtime::Trap;

use crate::egress::EgressError;
use crate::error::HostError;
use crate::fault::{ConnectorError, ConnectorFault, Limit};
use crate::message::{Batch, FromConnector, Outcome, Task};
use crate::outgoing::REASONS;
use crate::settings::HostSettings;
use crate::settings::contract::{BATCH_BYTES, BATCH_ROWS, COUNTERS, CURSOR_BYTES, LOG_LINE_BYTES, STATE_BYTES};
use crate::text;

/// Rejected records that may wait for an acknowledgement, as inside the box.
const OPEN_REJECTIONS: usize = 100_000;
const MESSAGE_BYTES: usize = 2 << 10;
const DETAILS_BYTES: usize = 8 << 10;
const OUTPUT_BYTES: usize = 64 << 10;
/// What one log line costs beside its text, as inside the box.
const LINE_OVERHEAD: usize = 32;

/// What no connector inside the box could have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Foul(pub &'static str);

/// Follows one invocation in another process.
pub struct Referee {
    has_input: bool,
    has_output: bool,
    given: u64,
    acked: u64,
    rejected: BTreeSet<u64>,
    log_left: usize,
    output_bytes: usize,
    counters: usize,
    parallel_requests: usize,
    /// The host that was asked last.
    asked: String,
}

impl Referee {
    /// For an invocation that begins.
    pub fn new(settings: &HostSettings, task: &Task) -> Self {
        // The mark where the log is cut counts as one line. Standard output and error end up in the log too: every line of
        // it may be short, and every byte may become three, where it is no text.
        let log = settings.log_bytes + 2 * settings.stdio_bytes * (1 + LINE_OVERHEAD) + LOG_LINE_BYTES;
        Self {
            has_input: task.has_input,
            has_output: task.has_output,
            given: 0,
            acked: 0,
            rejected: BTreeSet::new(),
            log_left: log,
            output_bytes: settings.output_bytes,
            counters: COUNTERS,
            parallel_requests: settings.parallel_requests,
            asked: String::new(),
        }
    }

    /// It sent a request to this host.
    pub fn asked(&mut self, host: &str) {
        host.clone_into(&mut self.asked);
    }

    /// These records went to it.
    pub fn gave(&mut self, batch: &Batch) {
        self.given = self.given.saturating_add(u64::from(batch.count));
    }

    /// What of a message may go on. `seen` is what failed last on the way out, as this process saw it.
    ///
    /// # Errors
    /// If no connector inside the box could have said it.
    pub fn heard(&mut self, message: FromConnector, seen: Option<&EgressError>) -> Result<FromConnector, Foul> {
        match message {
            FromConnector::Batch { batch, cursor } => {
                self.check_batch(&batch)?;
                check_cursor(cursor.as_deref())?;
                Ok(FromConnector::Batch { batch, cursor })
            }
            FromConnector::Checkpoint { cursor } => {
                check_cursor(Some(&cursor))?;
                Ok(FromConnector::Checkpoint { cursor })
            }
            FromConnector::Acked { up_to } => {
                if !self.has_input || up_to <= self.acked || up_to > self.given {
                    return Err(Foul("it acknowledged records that it was not given"));
                }
                self.acked = up_to;
                self.rejected = self.rejected.split_off(&up_to);
                Ok(FromConnector::Acked { up_to })
            }
            FromConnector::Rejected { row, error } => {
                let open = self.has_input && row >= self.acked && row < self.given;
                if !open || self.rejected.len() >= OPEN_REJECTIONS || !self.rejected.insert(row) {
                    return Err(Foul("it rejected records that it was not given"));
                }
                Ok(FromConnector::Rejected { row, error: self.error(error, seen) })
            }
            FromConnector::Log { level, message, fields } => {
                let message = text::one_line(&message, LOG_LINE_BYTES);
                let fields = fields.filter(|fields| fields.len() <= LOG_LINE_BYTES && is_json(fields));
                let cost = message.len() + fields.as_ref().map_or(0, String::len) + LINE_OVERHEAD;
                let left = self.log_left.checked_sub(cost);
                self.log_left = left.ok_or(Foul("it wrote more log than a connector may"))?;
                Ok(FromConnector::Log { level, message, fields })
            }
            FromConnector::Counter { name, delta } => {
                let left = self.counters.checked_sub(1);
                self.counters = left.ok_or(Foul("it counts under more names than a connector may"))?;
                Ok(FromConnector::Counter { name: text::code(&name), delta })
            }
        }
    }

    /// What of the end of an invocation may go on.
    ///
    /// # Errors
    /// If no invocation inside the box could have ended so.
    pub fn ended(
        &self,
        ended: Result<Outcome, ConnectorFault>,
        seen: Option<&EgressError>,
    ) -> Result<Result<Outcome, ConnectorFault>, Foul> {
        match ended {
            Ok(outcome) => self.check_outcome(&outcome).map(|()| Ok(outcome)),
            Err(fault) => self.fault(fault, seen).map(Err),
        }
    }

    fn check_batch(&self, batch: &Batch) -> Result<(), Foul> {
        let lines = batch.data.iter().filter(|byte| **byte == b'\n').count();
        let whole = matches!(batch.data.last(), None | Some(b'\n')) && u32::try_from(lines) == Ok(batch.count);
        if !self.has_output || !whole || batch.count > BATCH_ROWS || batch.data.len() > BATCH_BYTES {
            return Err(Foul("it sent records in a form that no connector can"));
        }
        Ok(())
    }

    fn check_outcome(&self, outcome: &Outcome) -> Result<(), Foul> {
        let output = outcome.output.as_deref();
        let state = outcome.state.as_deref().unwrap_or_default();
        let bytes = state.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        // In order, and every key once.
        let is_state = bytes <= STATE_BYTES && state.is_sorted_by(|(one, _), (next, _)| one < next);
        if output.is_some_and(|output| output.len() > self.output_bytes || !is_json(output)) || !is_state {
            return Err(Foul("it returned what no connector can"));
        }
        Ok(())
    }

    /// What of a fault may go on.
    ///
    /// # Errors
    /// If nothing inside the box could have failed so.
    pub fn fault(&self, fault: ConnectorFault, seen: Option<&EgressError>) -> Result<ConnectorFault, Foul> {
        Ok(match fault {
            ConnectorFault::Reported(error) => ConnectorFault::Reported(Box::new(self.error(*error, seen))),
            ConnectorFault::Limit(Limit::Instances(_)) => {
                Limit::Instances("more than there is room for in one worker".to_owned()).into()
            }
            ConnectorFault::Limit(limit) => limit.into(),
            ConnectorFault::Trap { reason, output, cause } => {
                let cause = cause.and_then(|cause| self.cause(&cause, seen)).map(Box::new);
                let (reason, output) = if is_ours(&reason) {
                    (reason, output)
                } else {
                    let written = text::one_line(&reason, MESSAGE_BYTES);
                    ("the reason is in the agent's log".to_owned(), format!("{written} {output}"))
                };
                ConnectorFault::Trap { reason, output: text::clip(&output, OUTPUT_BYTES).to_owned(), cause }
            }
            ConnectorFault::Cancelled => ConnectorFault::Cancelled,
            ConnectorFault::Host(HostError::NoDiscovery) => HostError::NoDiscovery.into(),
            ConnectorFault::Host(_) | ConnectorFault::Worker(_) => {
                return Err(Foul("it gave a reason to fail that no invocation has"));
            }
        })
    }

    fn error(&self, error: ConnectorError, seen: Option<&EgressError>) -> ConnectorError {
        let ConnectorError { kind, code, message, retry_after_ms, details, cause } = error;
        ConnectorError {
            kind,
            code: text::code(&code),
            message: text::one_line(&message, MESSAGE_BYTES),
            retry_after_ms,
            details: details.filter(|details| details.len() <= DETAILS_BYTES && is_json(details)),
            cause: cause.and_then(|cause| self.cause(&cause, seen)),
        }
    }

    /// What failed on the way out: what was seen here, or one of the few faults that only the worker can see.
    fn cause(&self, claimed: &EgressError, seen: Option<&EgressError>) -> Option<EgressError> {
        match (seen, claimed) {
            (_, EgressError::TooManyRequests { .. }) => {
                Some(EgressError::TooManyRequests { limit: self.parallel_requests })
            }
            (_, EgressError::InvalidRequest { reason }) if REASONS.contains(&reason.as_str()) => Some(claimed.clone()),
            (_, EgressError::RequestAborted) => Some(EgressError::RequestAborted),
            // A connector may be less patient than the agent.
            (None, EgressError::ResponseTimeout { limit_ms, .. }) if !self.asked.is_empty() => {
                Some(EgressError::ResponseTimeout { host: self.asked.clone(), limit_ms: *limit_ms })
            }
            (seen, _) => seen.cloned(),
        }
    }
}

fn check_cursor(cursor: Option<&str>) -> Result<(), Foul> {
    match cursor {
        Some(cursor) if cursor.len() > CURSOR_BYTES => Err(Foul("it sent a cursor that is too long")),
        Some(_) | None => Ok(()),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether this is one of the engine's or the host's own sentences.
fn is_ours(reason: &str) -> bool {
    let exited = reason.strip_prefix("it exited with status ").is_some_and(|status| status.parse::<i32>().is_ok());
    exited || (0..=u8::MAX).filter_map(Trap::from_u8).any(|trap| trap.to_string() == reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ErrorKind;
    use crate::message::Level;

    fn referee() -> Referee {
        let task = Task { has_input: true, has_output: true, ..Task::default() };
        Referee::new(&HostSettings::default(), &task)
    }

    fn seen() -> EgressError {
        EgressError::ConnectRefused { host: "db.example".into(), port: 443 }
    }

    fn reported(cause: Option<EgressError>) -> ConnectorFault {
        ConnectorFault::Reported(Box::new(ConnectorError {
            kind: ErrorKind::Internal,
            code: "Mine.Broken!".into(),
            message: "a\nb".into(),
            retry_after_ms: None,
            details: Some("not json".into()),
            cause,
        }))
    }

    #[test]
    fn only_records_that_were_given_can_be_acknowledged_or_rejected_and_each_once() {
        let mut referee = referee();
        assert!(referee.heard(FromConnector::Acked { up_to: 1 }, None).is_err());
        referee.gave(&Batch { count: 3, data: "1\n2\n3\n".into() });
        let error = || {
            let ConnectorFault::Reported(error) = reported(None) else { panic!("another fault") };
            *error
        };
        assert!(referee.heard(FromConnector::Rejected { row: 2, error: error() }, None).is_ok());
        assert!(referee.heard(FromConnector::Rejected { row: 2, error: error() }, None).is_err(), "twice");
        assert!(referee.heard(FromConnector::Rejected { row: 3, error: error() }, None).is_err(), "never given");
        assert!(referee.heard(FromConnector::Acked { up_to: 3 }, None).is_ok());
        assert!(referee.heard(FromConnector::Acked { up_to: 2 }, None).is_err(), "backwards");
        assert!(referee.heard(FromConnector::Acked { up_to: 4 }, None).is_err(), "beyond");
    }

    #[test]
    fn batches_cursors_logs_and_counters_beyond_the_contract_are_fouls() {
        let mut referee = referee();
        let batch = |count, data: &'static str| FromConnector::Batch {
            batch: Batch { count, data: data.into() },
            cursor: None,
        };
        assert!(referee.heard(batch(2, "1\n2\n"), None).is_ok());
        assert!(referee.heard(batch(1, "1\n2\n"), None).is_err());
        assert!(referee.heard(batch(1, "1"), None).is_err());
        let long = FromConnector::Checkpoint { cursor: "x".repeat(CURSOR_BYTES + 1) };
        assert!(referee.heard(long, None).is_err());
        let log = |message: String| FromConnector::Log { level: Level::Info, message, fields: None };
        let Ok(FromConnector::Log { message, .. }) = referee.heard(log("\x1b[2J\n".to_owned()), None) else { panic!() };
        assert!(!message.contains('\x1b') && !message.contains('\n'));
        assert!((0..1_000).any(|_| referee.heard(log("x".repeat(LOG_LINE_BYTES)), None).is_err()), "a flood");
        let counter = |n| FromConnector::Counter { name: format!("n{n}"), delta: 1 };
        assert!((0..=COUNTERS).any(|n| referee.heard(counter(n), None).is_err()));
    }

    #[test]
    fn every_log_line_counts_and_what_the_box_lets_out_at_most_is_no_foul() {
        let (mut referee, settings) = (referee(), HostSettings::default());
        let mut log = |message: &str| {
            let message = message.to_owned();
            referee.heard(FromConnector::Log { level: Level::Info, message, fields: None }, None).is_ok()
        };
        assert!((0..settings.log_bytes / LINE_OVERHEAD).all(|_| log("")), "of its own");
        assert!(log(&"x".repeat(200)), "the mark");
        assert!((0..settings.stdio_bytes).all(|_| log("\u{fffd}")), "both streams, a character and a line break each");
        assert!((0..100_000).any(|_| !log("")), "a flood of nothing");
    }

    #[test]
    fn a_claimed_reason_on_the_way_out_is_replaced_by_what_was_seen() {
        let referee = referee();
        let lie = EgressError::Internal { reason: "record 4711: Ada".into() };
        let fault = referee.ended(Err(reported(Some(lie.clone()))), None).unwrap().unwrap_err();
        assert!(!fault.failure().message.contains("Ada"), "{fault}");
        let fault = referee.ended(Err(reported(Some(lie))), Some(&seen())).unwrap().unwrap_err();
        assert!(fault.failure().message.contains("db.example:443"));
        let ConnectorFault::Reported(error) = fault else { panic!() };
        assert_eq!((error.code.as_str(), error.message.as_str(), error.details), ("mine.broken", "a b", None));
    }

    #[test]
    fn words_in_the_place_of_the_hosts_own_do_not_leave_the_agent() {
        let referee = referee();
        let trap = |reason: &str| ConnectorFault::Trap { reason: reason.into(), output: String::new(), cause: None };
        let told = |reason: &str| referee.ended(Err(trap(reason)), None).unwrap().unwrap_err().failure().message;
        assert!(!told("customer 4711 is odd").contains("4711"));
        assert!(told("it exited with status 3").contains("status 3"));
        assert!(told(&Trap::UnreachableCodeReached.to_string()).contains("unreachable"));
        assert!(referee.ended(Err(HostError::Engine("4711".into()).into()), None).is_err());
    }

    #[test]
    fn an_outcome_beyond_the_contract_is_a_foul() {
        let referee = referee();
        let output = |text: &str| Ok(Outcome { output: Some(text.into()), ..Outcome::default() });
        assert!(referee.ended(output("{}"), None).is_ok());
        assert!(referee.ended(output("{"), None).is_err());
        let state = Some(vec![("k".to_owned(), vec![0; STATE_BYTES])]);
        assert!(referee.ended(Ok(Outcome { state, ..Outcome::default() }), None).is_err());
        let with = |keys: [&str; 2]| {
            let state = Some(keys.map(|key| (key.to_owned(), Vec::new())).to_vec());
            referee.ended(Ok(Outcome { state, ..Outcome::default() }), None)
        };
        assert!(with(["", "a"]).is_ok());
        assert!(with(["", ""]).is_err() && with(["b", "a"]).is_err(), "twice, or in no order");
    }
}
