//! What connections remember between runs, during one attempt: handed out with the offer, changed by connectors, told
//! to the controller under the attempt's fence.
//!
//! A connector changes its state in one invocation; the change counts when the invocation has succeeded. That of a
//! source counts only when its records have arrived as well, so that a run that fails in the middle is not taken for
//! one that got further. Invocations side by side change keys, not the whole: the later one wins a key, no other.

mod wrapping;

use std::collections::BTreeMap;

use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    name::Name,
};
use wherry_proto::frame::{ConnectionState, Wrapped};
use wherry_trust::keys::sha256;

use super::cover::Cover;

/// The state is of a form that this build does not know.
const UNREADABLE: Code = Code::new("connection.state_unreadable");
/// Keys and values of a connection together, in bytes, as the contract of connectors has it.
const MAX_BYTES: usize = 16 << 10;

/// Keys and values, in order.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// What invocations changed, by key; `None` forgets the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes(BTreeMap<String, Option<Vec<u8>>>);

/// What the connections of one operation remember.
#[derive(Clone, Default)]
pub(super) struct Memories {
    of: BTreeMap<Name, Memory>,
    cover: Cover,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    /// What the offer brought.
    base: Option<Digest>,
    entries: Entries,
    changed: bool,
    /// Changed since the controller was told.
    untold: bool,
}

impl Changes {
    /// What an invocation changed that began with `before`.
    pub(super) fn between(before: &Entries, after: &Entries) -> Self {
        let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
        let put = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
        Self(gone.chain(put.map(|(key, value)| (key.clone(), Some(value.clone())))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and then later ones.
    pub(super) fn and_then(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Makes them.
    pub(super) fn apply(&self, entries: &mut Entries) {
        for (key, value) in &self.0 {
            match value {
                Some(value) => drop(entries.insert(key.clone(), value.clone())),
                None => drop(entries.remove(key)),
            }
        }
    }
}

impl Memories {
    /// Reads what an offer brought.
    ///
    /// # Errors
    /// If a state is of a form that this build does not know. To go on without it could repeat everything that the
    /// connection remembers as done.
    pub(super) fn read(offered: &[ConnectionState], cover: Cover) -> Result<Self, Failure> {
        let read = offered.iter().map(|one| {
            let bare = cover.bare_state(&one.connection, &one.state.0)?;
            let entries = wrapping::unwrap(&bare).ok_or_else(|| unreadable(&one.connection))?;
            let base = Some(sha256(&one.state.0));
            Ok((one.connection.clone(), Memory { base, entries, ..Memory::default() }))
        });
        Ok(Self { of: read.collect::<Result<_, Failure>>()?, cover })
    }

    /// What the connection remembers now.
    pub(super) fn of(&self, connection: &Name) -> Entries {
        self.of.get(connection).map(|memory| memory.entries.clone()).unwrap_or_default()
    }

    /// Keeps changes; `false` if the connection would remember too much, which only invocations side by side can bring
    /// about. Nothing of these changes is kept then.
    pub(super) fn keep(&mut self, connection: &Name, changes: &Changes) -> bool {
        if changes.is_empty() {
            return true;
        }
        let memory = self.of.entry(connection.clone()).or_default();
        let mut entries = memory.entries.clone();
        changes.apply(&mut entries);
        if entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_BYTES {
            return false;
        }
        if entries != memory.entries {
            (memory.entries, memory.changed, memory.untold) = (entries, true, true);
        }
        true
    }

    /// What the controller was not told yet, for a checkpoint.
    pub(super) fn untold(&self) -> Vec<ConnectionState> {
        self.states(|memory| memory.untold)
    }

    /// It is on its way.
    pub(super) fn told(&mut self) {
        self.of.values_mut().for_each(|memory| memory.untold = false);
    }

    /// Everything that changed, for the result: a checkpoint may be lost, the result is not.
    pub(super) fn changed(&self) -> Vec<ConnectionState> {
        self.states(|memory| memory.changed)
    }

    fn states(&self, wanted: impl Fn(&Memory) -> bool) -> Vec<ConnectionState> {
        let wanted = self.of.iter().filter(|(_, memory)| wanted(memory));
        let state = |(connection, memory): (&Name, &Memory)| {
            let state = Wrapped(self.cover.state(connection, wrapping::wrap(&memory.entries))?);
            Some(ConnectionState { connection: connection.clone(), state, base: memory.base })
        };
        wanted.filter_map(state).collect()
    }
}

fn unreadable(connection: &Name) -> Failure {
    let message = format!(
        "what the connection {connection} remembers was written by a newer agent or is damaged: update this agent, or \
         rename the connection to begin without it"
    );
    Failure::permanent(UNREADABLE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn desk() -> Name {
        "desk".parse().unwrap()
    }

    fn remembering(pairs: &[(&str, &str)]) -> (Memories, ConnectionState) {
        let state = ConnectionState { connection: desk(), state: Wrapped(wrapping::wrap(&entries(pairs))), base: None };
        (Memories::read(std::slice::from_ref(&state), Cover::default()).unwrap(), state)
    }

    #[test]
    fn what_was_changed_is_told_with_what_it_was_made_from() {
        let (mut memories, offered) = remembering(&[("since", "1"), ("old", "x")]);
        assert_eq!((memories.untold(), memories.changed()), (vec![], vec![]));
        let after = entries(&[("since", "2"), ("new", "y")]);
        assert!(memories.keep(&desk(), &Changes::between(&memories.of(&desk()), &after)));
        let told = memories.untold();
        assert_eq!((told.len(), told[0].base), (1, Some(sha256(&offered.state.0))));
        assert_eq!(wrapping::unwrap(&told[0].state.0), Some(after));
        memories.told();
        assert_eq!((memories.untold(), memories.changed()), (vec![], told), "a result repeats what a checkpoint told");
    }

    #[test]
    fn a_connection_without_a_past_has_no_base_and_one_without_a_change_is_not_told() {
        let mut memories = Memories::read(&[], Cover::default()).unwrap();
        assert!(memories.keep(&desk(), &Changes::default()));
        assert_eq!(memories.changed(), []);
        assert!(memories.keep(&desk(), &Changes::between(&Entries::new(), &entries(&[("a", "1")]))));
        assert_eq!(memories.changed()[0].base, None);
    }

    #[test]
    fn invocations_side_by_side_change_keys_and_not_the_whole() {
        let (mut memories, _) = remembering(&[("both", "0"), ("gone", "0")]);
        let before = memories.of(&desk());
        let one = Changes::between(&before, &entries(&[("both", "1"), ("gone", "0"), ("one", "1")]));
        let other = Changes::between(&before, &entries(&[("both", "2")]));
        assert!(memories.keep(&desk(), &one) && memories.keep(&desk(), &other));
        assert_eq!(memories.of(&desk()), entries(&[("both", "2"), ("one", "1")]));
        let mut together = one;
        together.and_then(other);
        let mut at_once = before;
        together.apply(&mut at_once);
        assert_eq!(at_once, memories.of(&desk()));
    }

    #[test]
    fn what_is_too_much_together_is_left_out_whole() {
        let (mut memories, _) = remembering(&[]);
        let large = |key: &str| Changes::between(&Entries::new(), &entries(&[(key, &"x".repeat(10_000))]));
        assert!(memories.keep(&desk(), &large("a")));
        assert!(!memories.keep(&desk(), &large("b")));
        assert_eq!(memories.of(&desk()).len(), 1);
    }

    #[test]
    fn a_state_of_another_form_is_a_failure_and_not_an_empty_state() {
        let state = ConnectionState { connection: desk(), state: Wrapped(vec![9]), base: None };
        assert_eq!(Memories::read(&[state], Cover::default()).err().unwrap().code, UNREADABLE);
    }
}
