//! What connections remember between runs: handed out with offers, changed under the fence, gone with the connection.
//!
//! ```text
//! offer: state s ─► attempt changes it ─► checkpoint or result: state t, made from s
//! kept if the attempt is current and the newest state is s, or the attempt's own; whatever else is refused
//! ```
//!
//! So a state is replaced only by one that was made from it. Of two runs that change the same connection at the same
//! time the one that says so first is heard, and the log of the other tells.

use std::collections::BTreeMap;

use wherry_daemon::store::record;
use wherry_domain::{
    fence::Fence,
    id::{EnvironmentId, RunId},
    name::Name,
    project::Snapshot,
};
use wherry_proto::frame::{Attempt, ConnectionState, LogLine, Wrapped};
use wherry_trust::keys::sha256;

use super::{Turn, keyring::in_use};
use crate::model::{MEMORIES, Memory, RunSpec, SCHEMA};

/// What this turn changed; it is not in the store yet. `None`: forgotten.
pub(super) type Overlay = BTreeMap<Vec<u8>, Option<Memory>>;

/// Why a change is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// It was made from an older state.
    Overtaken,
    /// The connection is not deployed any more, or its connector is another one.
    Gone,
}

impl Turn<'_> {
    /// What the connections of a run's operation remember.
    pub(super) fn memories_of(&mut self, run: RunId) -> Vec<ConnectionState> {
        let Some(spec) = self.state.runs.get(&run).map(|active| active.record.spec.clone()) else { return Vec::new() };
        let mut states = Vec::new();
        for (connection, connector) in &spec.connections {
            let memory = self.memory(&key(spec.environment, &spec.project, connection), connector);
            if let Some(memory) = memory.filter(|memory| memory.connector == *connector) {
                states.push(ConnectionState { connection: connection.clone(), state: memory.state, base: None });
            }
        }
        states
    }

    /// Keeps what an attempt changed. Only for the attempt that is current and the agent that holds it.
    pub(super) fn remember_states(&mut self, attempt: Attempt, states: Vec<ConnectionState>) {
        if states.is_empty() {
            return;
        }
        let Some(spec) = self.state.runs.get(&attempt.run).map(|active| active.record.spec.clone()) else { return };
        for state in states {
            let connection = state.connection.clone();
            let Err(refused) = self.remember_state(&spec, attempt, state) else { continue };
            let why = match refused {
                Refused::Overtaken => "another run changed it at the same time",
                Refused::Gone => "it is not deployed any more",
            };
            let text = format!("what the connection {connection} was to remember is not kept: {why}");
            let (at_ms, level) = (self.wall_ms, "warn".to_owned());
            self.log(attempt.run, attempt.fence, vec![LogLine { at_ms, level, text }]);
        }
    }

    fn remember_state(&mut self, spec: &RunSpec, attempt: Attempt, state: ConnectionState) -> Result<(), Refused> {
        let ConnectionState { connection, state, base } = state;
        let connector = spec.connections.iter().find(|(name, _)| *name == connection).map(|(_, connector)| connector);
        let connector = connector.filter(|connector| self.is_deployed(spec, &connection, connector));
        let connector = connector.cloned().ok_or(Refused::Gone)?;
        let key = key(spec.environment, &spec.project, &connection);
        let known = self.memory(&key, &connector);
        let newest = known.as_ref().map(|memory| sha256(&memory.state.0));
        if newest != base && known.as_ref().is_none_or(|memory| memory.by != attempt) {
            return Err(Refused::Overtaken);
        }
        if known.is_some_and(|memory| memory.state == state) {
            return Ok(());
        }
        match in_use::of_state(&state) {
            Some(epoch) => drop(self.state.sealed_states.insert(key.clone(), epoch)),
            None => drop(self.state.sealed_states.remove(&key)),
        }
        let memory = Memory { connector, state, by: attempt, changed_ms: self.wall_ms };
        self.put(MEMORIES, key.clone(), &memory);
        self.memories.insert(key, Some(memory));
        Ok(())
    }

    fn is_deployed(&self, spec: &RunSpec, connection: &Name, connector: &Name) -> bool {
        let current = self.state.current.get(&(spec.environment, spec.project.clone()));
        let found = current.and_then(|current| current.snapshot.project.connections.get(connection));
        found.is_some_and(|found| found.connector == *connector)
    }

    /// Forgets what connections of `old` remember that are not in `new`, or there with another connector.
    pub(super) fn forget_memories(&mut self, environment: EnvironmentId, old: &Snapshot, new: Option<&Snapshot>) {
        for (name, connection) in &old.project.connections {
            let kept = new.and_then(|new| new.project.connections.get(name));
            if kept.is_none_or(|kept| kept.connector != connection.connector) {
                let key = key(environment, &old.project.name, name);
                self.state.sealed_states.remove(&key);
                self.delete(MEMORIES, key.clone());
                self.memories.insert(key, None);
            }
        }
    }

    fn memory(&mut self, key: &[u8], connector: &Name) -> Option<Memory> {
        if let Some(of_this_turn) = self.memories.get(key) {
            return of_this_turn.clone();
        }
        let stored = self.store.get(MEMORIES, key);
        let bytes = stored.unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })?;
        let memory = record::decode(SCHEMA, &bytes);
        Some(memory.unwrap_or_else(|error| {
            tracing::error!(%error, "what a connection remembers cannot be read");
            unreadable(connector)
        }))
    }
}

/// Stands for a record that is damaged: an agent that gets an empty state refuses to begin. To go on as if there were
/// none could repeat everything that the connection remembers as done.
fn unreadable(connector: &Name) -> Memory {
    let by = Attempt { run: RunId::from_u128(0), fence: Fence::from_bits(0) };
    Memory { connector: connector.clone(), state: Wrapped(Vec::new()), by, changed_ms: 0 }
}

/// Names hold no byte 0.
fn key(environment: EnvironmentId, project: &Name, connection: &Name) -> Vec<u8> {
    [environment.to_bytes().as_slice(), project.as_str().as_bytes(), &[0], connection.as_str().as_bytes()].concat()
}
