//! What runs say to the controller while they run.

use std::time::Duration;

use tokio::sync::mpsc;
use wherry_proto::frame::FromAgent;

/// Longest wait for room; a session that lives makes room, and one that does not wants nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way from a run to the session. Nothing said here must arrive: what must, goes through the journal.
#[derive(Clone)]
pub(super) struct Voice(mpsc::Sender<FromAgent>);

impl Voice {
    pub(super) fn new(queue: mpsc::Sender<FromAgent>) -> Self {
        Self(queue)
    }

    /// Queues a frame as soon as there is room.
    pub(super) async fn say(&self, frame: FromAgent) {
        // Without a session there is nobody to hear it.
        let _ = self.0.send(frame).await;
    }

    /// Queues a frame unless nobody makes room for a while.
    pub(super) async fn say_soon(&self, frame: FromAgent) {
        drop(tokio::time::timeout(PATIENCE, self.say(frame)).await);
    }

    /// Queues a frame if there is room; whether there was.
    pub(super) fn try_say(&self, frame: FromAgent) -> bool {
        self.0.try_send(frame).is_ok()
    }
}
