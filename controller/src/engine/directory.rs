//! What every request looks up and hardly anything changes: access tokens, and names for people.
//!
//! The writer keeps it true; readers need not wait for a turn.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use wherry_domain::id::{AgentId, EnvironmentId, OrganisationId};
use wherry_trust::access::AccessToken as Secret;

use super::Caller;
use crate::model::AccessToken;

/// A handle to the directory; cheap to clone.
#[derive(Clone)]
pub struct Directory {
    organisation: OrganisationId,
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    environments: BTreeMap<EnvironmentId, String>,
    agents: BTreeMap<AgentId, String>,
    tokens: BTreeMap<String, AccessToken>,
}

impl Directory {
    pub(super) fn new(organisation: OrganisationId) -> Self {
        Self { organisation, inner: Arc::default() }
    }

    /// Name of an environment; its id if it was removed.
    pub fn environment(&self, id: EnvironmentId) -> String {
        self.read().environments.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Name of an agent; its id if it was removed.
    pub fn agent(&self, id: AgentId) -> String {
        self.read().agents.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Whom a token belongs to; nobody if it is unknown, expired or its secret wrong.
    pub(super) fn caller(&self, secret: &Secret, wall_ms: u64) -> Option<Caller> {
        let inner = self.read();
        let known = inner.tokens.get(secret.id().as_str())?;
        let expired = known.expires_ms.is_some_and(|at| at <= wall_ms);
        (!expired && secret.matches(&known.hash)).then(|| Caller {
            name: known.name.clone(),
            scopes: known.scopes.clone(),
            organisation: self.organisation,
        })
    }

    pub(super) fn tokens(&self) -> Vec<AccessToken> {
        self.read().tokens.values().cloned().collect()
    }

    pub(super) fn learn_environment(&self, id: EnvironmentId, name: impl ToString) {
        self.write().environments.insert(id, name.to_string());
    }

    pub(super) fn learn_agent(&self, id: AgentId, name: impl ToString) {
        self.write().agents.insert(id, name.to_string());
    }

    pub(super) fn add_token(&self, token: AccessToken) {
        self.write().tokens.insert(token.id.clone(), token);
    }

    pub(super) fn remove_token(&self, id: &str) -> Option<AccessToken> {
        self.write().tokens.remove(id)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}
