//! A connection's small durable memory, as one invocation sees and changes it.

use std::collections::BTreeMap;

use crate::settings::contract::STATE_BYTES;

/// Keys and values, at most 16 KiB together.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    entries: BTreeMap<String, Vec<u8>>,
    changed: bool,
}

/// The state would exceed its limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StateFull;

impl ConnectionState {
    pub(crate) fn new(entries: Vec<(String, Vec<u8>)>) -> Self {
        Self { entries: entries.into_iter().collect(), changed: false }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    pub(crate) fn put(&mut self, key: String, value: Vec<u8>) -> Result<(), StateFull> {
        let others: usize = self.entries.iter().filter(|(k, _)| **k != key).map(|(k, v)| k.len() + v.len()).sum();
        if others + key.len() + value.len() > STATE_BYTES {
            return Err(StateFull);
        }
        self.changed |= self.entries.get(&key) != Some(&value);
        self.entries.insert(key, value);
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.changed |= self.entries.remove(key).is_some();
    }

    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.entries.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The whole new state, if it differs from the old one.
    pub(crate) fn take_changed(&mut self) -> Option<Vec<(String, Vec<u8>)>> {
        std::mem::take(&mut self.changed).then(|| std::mem::take(&mut self.entries).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_together_have_a_limit() {
        let mut state = ConnectionState::default();
        assert_eq!(state.put("a".into(), vec![0; STATE_BYTES - 1]), Ok(()));
        assert_eq!(state.put("b".into(), vec![]), Err(StateFull));
        assert_eq!(state.put("a".into(), vec![1; STATE_BYTES - 1]), Ok(()), "replacing needs no extra room");
    }

    #[test]
    fn empty_keys_cannot_be_used_to_grow_without_end() {
        let mut state = ConnectionState::default();
        let kept = (0..100_000).take_while(|n| state.put(format!("{n:05}"), vec![]).is_ok()).count();
        assert_eq!(kept, STATE_BYTES / 5);
    }

    #[test]
    fn only_a_real_change_is_reported() {
        let mut state = ConnectionState::new(vec![("a".into(), b"1".to_vec())]);
        state.put("a".into(), b"1".to_vec()).unwrap();
        state.delete("b");
        assert_eq!(state.take_changed(), None);
        state.delete("a");
        assert_eq!(state.take_changed(), Some(vec![]), "an emptied state is a change");
    }

    #[test]
    fn keys_are_listed_by_prefix_in_order() {
        let mut state = ConnectionState::default();
        for key in ["p/b", "q/a", "p/a"] {
            state.put(key.into(), vec![]).unwrap();
        }
        assert_eq!(state.keys("p/"), ["p/a", "p/b"]);
    }
}
