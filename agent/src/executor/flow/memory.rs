//! What connectors changed of what their connections remember: kept when it is true of the records, too.

use wherry_domain::name::Name;
use wherry_host::Outcome;

use super::Flow;
use crate::executor::memory::{Changes, Entries};

impl Flow<'_> {
    /// An invocation of the source ended well; the next one begins with what this one left. Until all its records have
    /// arrived, nobody else does.
    pub(super) fn source_remembers(&mut self, outcome: &mut Outcome) {
        if let Some(after) = outcome.state.take() {
            let after: Entries = after.into_iter().collect();
            self.tally.changed(Changes::between(&self.source_state, &after));
            self.source_state = after;
        }
    }

    /// The target ended well, so everything it was given has arrived.
    pub(super) fn target_remembers(&mut self, connection: &Name, outcome: &mut Outcome) {
        self.keep_arrived();
        if let Some(after) = outcome.state.take() {
            let changes = Changes::between(&self.target_state, &after.into_iter().collect());
            self.keep(connection, &changes);
        }
    }

    /// What the source changed before records that have all arrived by now.
    pub(super) fn keep_arrived(&mut self) {
        let arrived = self.tally.take_arrived();
        if !arrived.is_empty() {
            let scene = self.scene;
            self.keep(&scene.plan.source.connection, &arrived);
        }
    }

    fn keep(&mut self, connection: &Name, changes: &Changes) {
        if !self.memories.keep(connection, changes) {
            self.log.warn(format!("what the connection {connection} was to remember is not kept: it is too much"));
        }
    }
}
