//! Descriptors of published connectors: files by digest, with the ones used last kept ready.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use semver::Version;
use wherry_domain::{digest::Digest, name::Name};
use wherry_trust::release::Described;

use super::{Kind, Ledger, Refusal};

/// Descriptors kept ready. A large one takes a megabyte in memory; most take a few kilobytes.
const KEPT: usize = 64;

/// What was read last, oldest first.
#[derive(Default)]
pub(super) struct Ready(Mutex<VecDeque<(Digest, Arc<Described>)>>);

impl Ready {
    fn get(&self, digest: Digest) -> Option<Arc<Described>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| *known == digest).map(|(_, described)| Arc::clone(described))
    }

    fn put(&self, digest: Digest, described: &Arc<Described>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != digest);
        kept.push_back((digest, Arc::clone(described)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
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
        let Some(digest) = self.glance(find).await? else { return Ok(None) };
        if let Some(described) = self.described.get(digest) {
            return Ok(Some(described));
        }
        let file = self.read_file(digest).await?;
        let described = Described::parse(&file).map_err(|error| {
            let message = format!("the descriptor {digest} in the store cannot be read: {error}");
            Refusal::new(Kind::Busy, "store.unreadable", message)
        })?;
        let described = Arc::new(described);
        self.described.put(digest, &described);
        Ok(Some(described))
    }
}
