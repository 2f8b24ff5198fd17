//! What an attempt hands to its connectors.

use std::time::Duration;

use wherry_domain::failure::Failure;
use wherry_host::Task;
use wherry_proto::frame::Offer;

use super::{
    cover::Cover,
    cursor::Position,
    memory::{Entries, Memories},
    plan::Step,
};

/// More than the operation's own limit, so that the limit that people set is the one they read about.
const SLACK: Duration = Duration::from_secs(1);

/// The part of an offer that connectors see.
pub(super) struct Errand {
    pub(super) run: String,
    attempt: u32,
    key: String,
    /// Where the attempt begins.
    pub(super) start: Position,
    /// What the connections remember when it begins.
    pub(super) memories: Memories,
    /// Over what it leaves for the next one.
    pub(super) cover: Cover,
}

impl Errand {
    /// # Errors
    /// If what a connection remembers, or where the run goes on, cannot be read.
    pub(super) fn new(offer: &Offer, cover: Cover) -> Result<Self, Failure> {
        Ok(Self {
            run: offer.attempt.run.to_string(),
            attempt: offer.attempt.fence.attempt(),
            key: offer.key.clone(),
            start: Position::read(cover.bare_cursor(offer.cursor.clone())?),
            memories: Memories::read(&offer.states, cover.clone())?,
            cover,
        })
    }

    pub(super) fn source(&self, step: &Step, cursor: Option<String>, time: Duration, state: Entries) -> Task {
        Task { cursor, has_output: true, ..self.task(step, time, state) }
    }

    pub(super) fn target(&self, step: &Step, time: Duration, state: Entries) -> Task {
        Task { has_input: true, first_row: self.start.rows, ..self.task(step, time, state) }
    }

    fn task(&self, step: &Step, time: Duration, state: Entries) -> Task {
        Task {
            run: self.run.clone(),
            attempt: self.attempt,
            key: self.key.clone(),
            activity: step.activity.clone(),
            connection: step.access.connection.clone(),
            params: step.params.clone(),
            state: state.into_iter().collect(),
            time_limit_ms: u64::try_from((time + SLACK).as_millis()).unwrap_or(u64::MAX),
            ..Task::default()
        }
    }
}
