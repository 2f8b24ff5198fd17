//! Descriptors of published connectors: files by digest, with the ones used last kept ready.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use semver::Version;
use wherry_domain::{digest::Digest, name::Name};
use wherry_trust::release::Described;

use super::{Kind, Ledger, Refusal, schemas::Schema};

/// Descriptors kept ready. A large one takes a megabyte in memory; most take a few kilobytes.
const KEPT: usize = 64;

/// What was read last.
#[derive(Default)]
pub(super) struct Ready {
    described: Kept<Digest, Described>,
    inputs: Kept<(Digest, String), InputSchemas>,
}

/// The newest of something, oldest first.
struct Kept<K, V>(Mutex<VecDeque<(K, Arc<V>)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V> Kept<K, V> {
    fn get(&self, key: &K) -> Option<Arc<V>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, value)| Arc::clone(value))
    }

    fn put(&self, key: K, value: &Arc<V>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_back((key, Arc::clone(value)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

/// What the input of an activity is held against, as far as its connector says.
pub(super) struct InputSchemas {
    /// Of its parameters.
    pub(super) with: Option<Schema>,
    /// Of each record.
    pub(super) record: Option<Schema>,
}

impl Ledger {
    /// What a published connector says of itself: `None` if it is not published, or was without its descriptor.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub async fn descriptor(&self, name: Name, version: Version) -> Result<Option<Arc<Described>>, Refusal> {
        let find = move |turn: &mut super::Turn<'_>| {
            let versions = turn.state.connectors.get(&name);
            Ok(versions.and_then(|versions| versions.get(&version)?.descriptor))
        };
        match self.glance(find).await? {
            Some(digest) => self.described(digest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn described(&self, digest: Digest) -> Result<Arc<Described>, Refusal> {
        if let Some(described) = self.ready.described.get(&digest) {
            return Ok(described);
        }
        let file = self.read_file(digest).await?;
        let described = Described::parse(&file).map_err(|error| {
            let message = format!("the descriptor {digest} in the store cannot be read: {error}");
            Refusal::new(Kind::Busy, "store.unreadable", message)
        })?;
        let described = Arc::new(described);
        self.ready.described.put(digest, &described);
        Ok(described)
    }

    /// What an activity's input is held against; nothing, if the descriptor has no such activity.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn input_schemas(
        &self,
        descriptor: Digest,
        activity: &str,
    ) -> Result<Option<Arc<InputSchemas>>, Refusal> {
        let key = (descriptor, activity.to_owned());
        if let Some(schemas) = self.ready.inputs.get(&key) {
            return Ok(Some(schemas));
        }
        let described = self.described(descriptor).await?;
        let name = key.1.clone();
        // A large schema takes a while.
        let read = tokio::task::spawn_blocking(move || {
            let activity = described.activity(&name)?;
            let record = activity.input_schema.as_ref().and_then(Schema::read);
            Some(Arc::new(InputSchemas { with: Schema::read(&activity.config_schema), record }))
        });
        let schemas = read.await.map_err(|_| Refusal::stopping())?;
        if let Some(schemas) = &schemas {
            self.ready.inputs.put(key, schemas);
        }
        Ok(schemas)
    }
}
