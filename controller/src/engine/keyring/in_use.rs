//! Which epochs of a group's key are still needed beside those of its secrets: for copies of tokens, for what
//! connections remember, and for cursors of runs. Each is sealed anew when it changes next, which may be never.

use std::collections::{BTreeMap, BTreeSet};

use wherry_daemon::store::{Direction, Store, StoreError, record};
use wherry_domain::id::GroupId;
use wherry_proto::{
    MAX_KEYRING_ITEMS,
    frame::{TokenCopy, Wrapped},
};
use wherry_trust::sealing::{left, secret::SealedSecret};

use crate::{
    engine::Turn,
    model::{MEMORIES, Memory, SCHEMA},
};

/// States read at a time: each has up to 36 KiB.
const PAGE: usize = 100;

/// The epoch that a copy of tokens is sealed to; `None` for none that could be read.
pub(in crate::engine) fn of_copy(copy: &TokenCopy) -> Option<u32> {
    SealedSecret::from_json(&copy.sealed.0).ok().map(|sealed| sealed.epoch())
}

/// The epoch that a state is sealed to; `None` for one that is not sealed.
pub(in crate::engine) fn of_state(state: &Wrapped) -> Option<u32> {
    left::epoch_of(&state.0)
}

/// The epoch of each sealed state, by its key in the store.
pub(in crate::engine) fn states(store: &dyn Store) -> Result<BTreeMap<Vec<u8>, u32>, StoreError> {
    let (mut epochs, mut after): (_, Option<Vec<u8>>) = (BTreeMap::new(), None);
    loop {
        let page = store.scan(MEMORIES, &[], after.as_deref(), Direction::Ascending, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(epochs) };
        after = Some(last.clone());
        for (key, bytes) in page {
            // One that is damaged is told when it is read.
            let memory = record::decode::<Memory>(SCHEMA, &bytes).ok();
            let epoch = memory.and_then(|memory| of_state(&memory.state));
            epochs.extend(epoch.map(|epoch| (key, epoch)));
        }
    }
}

impl Turn<'_> {
    pub(super) fn epochs_in_use(&self, group: GroupId) -> Vec<u32> {
        let roster = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster.as_ref());
        let Some((current, _)) =
            roster.map(wherry_trust::sealing::roster::Roster::epoch).filter(|(epoch, _)| *epoch > 1)
        else {
            return Vec::new();
        };
        let served = self.state.environments.values().filter(|environment| environment.group == group);
        let mut epochs = BTreeSet::new();
        for environment in served.map(|environment| environment.id) {
            let owners = self.state.owners.iter().filter(|((id, _, _), _)| *id == environment);
            epochs.extend(owners.filter_map(|(_, kept)| kept.copy_epoch));
            let states = self.state.sealed_states.range(environment.to_bytes().to_vec()..);
            let of_environment = states.take_while(|(key, _)| key.starts_with(&environment.to_bytes()));
            epochs.extend(of_environment.map(|(_, epoch)| *epoch));
        }
        let runs = self.state.runs.values().filter(|run| run.record.spec.group == group);
        epochs.extend(runs.filter_map(|run| left::epoch_of_text(run.record.cursor.as_deref()?)));
        // The newest need no word, and of more than a frame holds the oldest wait for the next change.
        epochs.into_iter().rev().filter(|epoch| *epoch < current).take(MAX_KEYRING_ITEMS).collect()
    }
}
