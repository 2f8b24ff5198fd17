//! What a flow tells while it runs: counts, cursor and log, each in its rhythm.

use std::time::Duration;

use wherry_domain::time::Timestamp;
use wherry_proto::frame::FromAgent;

use crate::executor::{cover::Cover, cursor::Position, log::RunLog, memory::Memories, scene::Scene, tally::Tally};

/// How often counts go out.
const PROGRESS: Duration = Duration::from_millis(500);
/// How often a cursor goes out.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// A run that is over sooner sends its log with the result only.
const LOG_AFTER: Duration = Duration::from_secs(2);

/// What was told, and when to tell more. Whatever finds no room is told later or not at all.
pub(super) struct News {
    began: Timestamp,
    due: Timestamp,
    checkpoint_due: Timestamp,
    told: u64,
    /// Confirmed by the target, not told yet.
    position: Option<Position>,
}

impl News {
    pub(super) fn new(now: Timestamp) -> Self {
        let (due, checkpoint_due) = (now.plus(PROGRESS), now.plus(CHECKPOINT));
        Self { began: now, due, checkpoint_due, told: 0, position: None }
    }

    /// When to call [`News::tell`].
    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    /// Tells what is new.
    pub(super) fn tell(
        &mut self,
        scene: &Scene<'_>,
        (tally, memories): (&mut Tally, &mut Memories),
        log: &mut RunLog,
        now: Timestamp,
    ) {
        if now < self.due {
            return;
        }
        self.due = now.plus(PROGRESS);
        let (attempt, counts, earlier) = (scene.running.attempt(), tally.counts(), tally.earlier());
        let moved = counts.read + counts.written + counts.rejected;
        if moved != self.told && scene.voice.try_say(FromAgent::Progress { attempt, counts, earlier }) {
            self.told = moved;
        }
        self.note(tally);
        if now >= self.checkpoint_due
            && let Some(cursor) =
                self.position.as_ref().and_then(|position| scene.errand.cover.cursor(position.write()?))
            && scene.voice.try_say(FromAgent::Checkpoint { attempt, cursor, states: memories.untold() })
        {
            memories.told();
            self.checkpoint_due = now.plus(CHECKPOINT);
            self.position = None;
        }
        if now.since(self.began) >= LOG_AFTER {
            log.flush(scene.voice, attempt);
        }
    }

    /// The cursor that was confirmed and not told, for the result.
    pub(super) fn last_cursor(&mut self, tally: &mut Tally, cover: &Cover) -> Option<String> {
        self.note(tally);
        self.position.take().and_then(|position| cover.cursor(position.write()?))
    }

    fn note(&mut self, tally: &mut Tally) {
        if let Some(position) = tally.take_confirmed() {
            self.position = Some(position);
        }
    }
}
