//! Tells a copied identity from an agent that merely restarts often.
//!
//! An agent in a crash loop shows a new instance each time and none of them ever returns. Two
//! processes with one identity push each other out in turn, so an instance that was pushed out
//! comes back: that is the proof.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{id::InstanceId, time::Timestamp};

/// How often one instance may push out another within [`WINDOW`].
const MAX_CHANGES: usize = 3;
/// Longer than the longest reconnect delay of an agent, so that two copies cannot stay apart.
const WINDOW: Duration = Duration::from_secs(300);

/// The latest changes of instance, at most [`MAX_CHANGES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes(Vec<Change>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    at: Timestamp,
    pushed_out: InstanceId,
    returned: bool,
}

impl Changes {
    /// `came` pushed out `pushed_out`, whose stream was alive; whether that proves two processes.
    pub(super) fn prove_copy(&mut self, pushed_out: InstanceId, came: InstanceId, now: Timestamp) -> bool {
        self.0.retain(|change| now.since(change.at) < WINDOW);
        let returned = self.0.iter().any(|change| change.pushed_out == came);
        if self.0.len() == MAX_CHANGES {
            self.0.remove(0);
        }
        self.0.push(Change { at: now, pushed_out, returned });
        self.0.len() == MAX_CHANGES && self.0.iter().any(|change| change.returned)
    }
}
