//! The log of a run, in the host's own words. What connectors write stays in the agent's local log.

use std::collections::VecDeque;

use wherry_daemon::clock::Clock;
use wherry_proto::{
    MAX_LOG_TEXT,
    frame::{Attempt, FromAgent, LogLine},
};

use super::voice::Voice;

/// Lines kept; older ones go first.
const MAX_LINES: usize = 200;

/// Lines that the controller does not have yet.
pub(super) struct RunLog {
    clock: Clock,
    lines: VecDeque<LogLine>,
}

impl RunLog {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, lines: VecDeque::new() }
    }

    pub(super) fn info(&mut self, text: String) {
        self.push("info", text);
    }

    pub(super) fn warn(&mut self, text: String) {
        self.push("warn", text);
    }

    pub(super) fn error(&mut self, text: String) {
        self.push("error", text);
    }

    fn push(&mut self, level: &str, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_LOG_TEXT));
        if text.contains(char::is_control) {
            text = text.replace(char::is_control, " ");
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(LogLine { at_ms: self.clock.wall_unix_millis(), level: level.to_owned(), text });
    }

    /// Sends the lines ahead of the result; they stay if there is no room.
    pub(super) fn flush(&mut self, voice: &Voice, attempt: Attempt) {
        if self.lines.is_empty() {
            return;
        }
        let lines: Vec<LogLine> = self.lines.iter().cloned().collect();
        if voice.try_say(FromAgent::Log { attempt, lines }) {
            self.lines.clear();
        }
    }

    /// What is left for the result.
    pub(super) fn take(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.lines).into()
    }
}
