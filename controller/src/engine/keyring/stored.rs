//! Where a keyring lies in the store.

use wherry_daemon::store::{Direction, Store, StoreError, record};
use wherry_domain::id::GroupId;
use wherry_trust::sealing::{
    key::SealingPublic,
    roster::{Roster, RosterError},
    wrap::Wrap,
};

use super::{Keyring, MAX_FORGOTTEN, SecretKey};
use crate::{
    engine::{Turn, state::State},
    model::{ForgottenRosters, KEYRINGS, RosterEntry, SCHEMA, SecretRecord, StoredWrap},
};

/// Bytes of a sealed secret in one record; the store takes 64 KiB with JSON's escapes around them.
const PART: usize = 40 << 10;
/// Records read at a time.
const PAGE: usize = 1_000;

const ENTRY: u8 = b'e';
const WRAP: u8 = b'w';
const SECRET: u8 = b's';
const PARTS: u8 = b'p';
const FORGOTTEN: u8 = b'f';

fn forgotten_key(group: GroupId) -> Vec<u8> {
    [&[FORGOTTEN][..], &group.to_bytes()].concat()
}

fn entry_key(group: GroupId, n: u64) -> Vec<u8> {
    [&[ENTRY][..], &group.to_bytes(), &n.to_be_bytes()].concat()
}

fn wrap_key(group: GroupId, recipient: &SealingPublic, epoch: u32) -> Vec<u8> {
    [&[WRAP][..], &group.to_bytes(), recipient.as_bytes(), &epoch.to_be_bytes()].concat()
}

fn secret_key(kind: u8, group: GroupId, (environment, what, name): &SecretKey) -> Vec<u8> {
    let text = format!("{environment}/{what}/{name}");
    [&[kind][..], &group.to_bytes(), text.as_bytes()].concat()
}

fn part_key(group: GroupId, secret: &SecretKey, part: u8) -> Vec<u8> {
    let mut key = secret_key(PARTS, group, secret);
    key.extend([b'/', part]);
    key
}

/// Reads every keyring back.
pub(in crate::engine) fn load(store: &dyn Store, state: &mut State) -> Result<(), StoreError> {
    each(store, ENTRY, |stored: RosterEntry| {
        let keyring = state.keyrings.entry(stored.group).or_default();
        let read = match &mut keyring.roster {
            Some(roster) => roster.extend(stored.entry.as_bytes()),
            None => Roster::found(stored.entry.as_bytes()).map(|roster| keyring.roster = Some(roster)),
        };
        keyring.entries.push(stored.entry);
        read.map_err(|error: RosterError| broken::<RosterEntry>(error.to_string()))
    })?;
    each(store, WRAP, |stored: StoredWrap| {
        let wrap = Wrap::from_json(stored.wrap.as_bytes()).map_err(|error| broken::<StoredWrap>(error.to_string()))?;
        let keyring = state.keyrings.entry(stored.group).or_default();
        keyring.wraps.insert((*wrap.recipient(), wrap.epoch()), stored.wrap);
        Ok(())
    })?;
    each(store, FORGOTTEN, |ForgottenRosters { group, foundings }| {
        state.keyrings.entry(group).or_default().forgotten = foundings;
        Ok(())
    })?;
    each(store, SECRET, |secret: SecretRecord| {
        let keyring = state.keyrings.entry(secret.group).or_default();
        let key = (secret.environment.clone(), secret.kind, secret.name.clone());
        keyring.by_revision.insert(secret.revision, key.clone());
        keyring.secrets.insert(key, secret);
        Ok(())
    })
}

fn each<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    kind: u8,
    mut take: impl FnMut(T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(KEYRINGS, &[kind], after.as_deref(), Direction::Ascending, PAGE)?;
        for (_, bytes) in &page {
            take(record::decode(SCHEMA, bytes)?)?;
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

fn broken<T>(reason: String) -> StoreError {
    StoreError::Record { type_name: std::any::type_name::<T>(), reason: reason.into() }
}

impl Turn<'_> {
    pub(super) fn keep_entry(&mut self, group: GroupId, n: u64, entry: String) {
        self.put(KEYRINGS, entry_key(group, n), &RosterEntry { group, entry });
    }

    pub(super) fn keep_wrap(&mut self, group: GroupId, wrap: &Wrap, text: String) {
        let key = wrap_key(group, wrap.recipient(), wrap.epoch());
        self.put(KEYRINGS, key, &StoredWrap { group, wrap: text });
    }

    /// Keeps what is known of a secret, and its sealed bytes in as many parts as `record` says.
    pub(super) fn keep_secret(&mut self, record: &SecretRecord, sealed: &str) {
        let key = (record.environment.clone(), record.kind, record.name.clone());
        let mut rest = sealed;
        for part in 0..record.parts {
            // Base64 and JSON of our own: every byte is a character.
            let (head, tail) = rest.split_at_checked(PART.min(rest.len())).unwrap_or((rest, ""));
            self.put(KEYRINGS, part_key(record.group, &key, part), &head);
            rest = tail;
        }
        self.put(KEYRINGS, secret_key(SECRET, record.group, &key), record);
    }

    /// Forgets the sealed bytes beyond the first `kept` parts.
    pub(super) fn drop_parts(&mut self, group: GroupId, key: &SecretKey, kept: u8, had: u8) {
        for part in kept..had {
            self.delete(KEYRINGS, part_key(group, key, part));
        }
    }

    /// The sealed bytes of a secret as the last turn left them.
    pub(super) fn sealed_bytes(&self, record: &SecretRecord) -> Option<Vec<u8>> {
        let key = (record.environment.clone(), record.kind, record.name.clone());
        let mut whole = Vec::new();
        for part in 0..record.parts {
            let bytes = self.store.get(KEYRINGS, &part_key(record.group, &key, part)).ok()??;
            whole.extend(record::decode::<String>(SCHEMA, &bytes).ok()?.into_bytes());
        }
        Some(whole)
    }

    /// Forgets everything of a group, its roster, keys and secrets, but which roster that was.
    pub(super) fn drop_keyring(&mut self, group: GroupId, keyring: Keyring) {
        for n in 1..=keyring.entries.len() as u64 {
            self.delete(KEYRINGS, entry_key(group, n));
        }
        for (recipient, epoch) in keyring.wraps.keys() {
            self.delete(KEYRINGS, wrap_key(group, recipient, *epoch));
        }
        for (key, record) in &keyring.secrets {
            self.drop_parts(group, key, 0, record.parts);
            self.delete(KEYRINGS, secret_key(SECRET, group, key));
        }
        let mut foundings = keyring.forgotten;
        foundings.extend(keyring.roster.as_ref().map(Roster::founding));
        foundings.drain(..foundings.len().saturating_sub(MAX_FORGOTTEN));
        self.put(KEYRINGS, forgotten_key(group), &ForgottenRosters { group, foundings: foundings.clone() });
        self.state.keyrings.entry(group).or_default().forgotten = foundings;
        self.relane(group);
    }
}

/// In how many parts a sealed secret of this length lies.
pub(super) fn parts(length: usize) -> u8 {
    u8::try_from(length.div_ceil(PART)).unwrap_or(u8::MAX)
}
