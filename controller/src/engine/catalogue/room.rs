//! Room in the index: what locks name always stands in it, and of the newest versions beside those as many as every
//! group of agents can still be told of in one frame.

use std::collections::BTreeMap;

use wherry_daemon::store::MAX_VALUE_BYTES;
use wherry_domain::id::GroupId;
use wherry_trust::chain::{Index, MAX_RELEASES};

use super::{Frame, MAX_CATALOGUE, bytes, refused};
use crate::engine::{Refusal, Turn};

/// Versions of each connector that may be locked without being asked for, where there is room for so many.
const NEWEST: usize = 5;
/// Kept free for the next lock: it has at most as many bytes as a record.
const HEADROOM: usize = MAX_VALUE_BYTES;

impl Turn<'_> {
    /// The next index, signed, with its version: with fewer and fewer versions that nobody locked, until it fits.
    ///
    /// # Errors
    /// If somebody asked for it who needs a release in it, and there is no room for what locks name alone.
    pub(super) fn signed_index(&mut self, list: Option<&[u8]>, asked: bool) -> Result<(u64, Vec<u8>), Refusal> {
        let known = self.state.catalogue.believed.publishers().map_or(0, |held| held.json().len());
        let taken = list.map_or(known, <[u8]>::len).saturating_add(self.largest_locks());
        let room = MAX_CATALOGUE.saturating_sub(taken);
        let mut newest = NEWEST;
        loop {
            let index = self.next_index(newest);
            let signed = if index.releases.len() > MAX_RELEASES { None } else { Some(self.sign_index(&index)?) };
            let fits = |within: usize| signed.as_ref().is_some_and(|json| json.len() <= within);
            match (&signed, newest) {
                (Some(json), 0) if fits(room) || !asked => return Ok(self.lists(newest, index.version, json.clone())),
                (_, 0) => return Err(too_large()),
                (Some(json), _) if fits(room.saturating_sub(HEADROOM)) => {
                    return Ok(self.lists(newest, index.version, json.clone()));
                }
                (_, _) => newest -= 1,
            }
        }
    }

    /// A lock has moved: where little room is left for the next, the index makes some.
    pub(super) fn make_room(&mut self, frame: Option<&Frame>) {
        let little = frame.is_some_and(|frame| bytes(frame).saturating_add(HEADROOM) > MAX_CATALOGUE);
        if little && self.state.catalogue.newest != Some(0) {
            self.state.catalogue.stale.index = true;
        }
    }

    fn sign_index(&self, index: &Index) -> Result<Vec<u8>, Refusal> {
        let signed = index.sign(self.state.catalogue.key.signing());
        signed.map(|envelope| envelope.to_json()).map_err(|error| refused(&error))
    }

    fn lists(&mut self, newest: usize, version: u64, json: Vec<u8>) -> (u64, Vec<u8>) {
        if self.state.catalogue.newest.replace(newest) != Some(newest) && newest < NEWEST {
            tracing::warn!(
                newest,
                "agents cannot be told of more: beside what locks name, the index lists fewer versions of each \
                 connector than {NEWEST}"
            );
        }
        (version, json)
    }

    /// The bytes of the locks of the group that has the most.
    fn largest_locks(&self) -> usize {
        let mut groups: BTreeMap<GroupId, usize> = BTreeMap::new();
        for environment in self.state.environments.values() {
            let bytes = self.state.catalogue.believed.lock(&environment.name).map_or(0, |held| held.json().len());
            *groups.entry(environment.group).or_default() += bytes;
        }
        groups.into_values().max().unwrap_or_default()
    }
}

fn too_large() -> Refusal {
    let message = "with this release, the index of connectors is more than agents can be told of: use fewer connectors, \
                   or move environments to another group";
    Refusal::conflict("catalogue.too_large", message)
}
