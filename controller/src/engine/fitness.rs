//! What of a new version of a connector would take something away: activities, ways to authenticate, or agents that are too
//! old for it. A person who upgrades is told; what nobody is asked about stays.

use semver::Version;
use wherry_domain::name::Name;
use wherry_trust::release::Release;

use super::{Refusal, Turn};
use crate::model::Connector;

impl Turn<'_> {
    /// Agents of an environment, in words, that are too old to run a release. Those that were never here count as new.
    pub(super) fn too_old(&self, environment: &Name, release: &Release) -> Result<Vec<String>, Refusal> {
        let group = self.environment(environment)?.group;
        let members = self.state.agents.values().map(|state| &state.agent).filter(|agent| agent.group == group);
        let version = |agent: &str| Version::parse(agent).ok();
        let older = members.filter(|agent| version(&agent.version).is_some_and(|own| own < release.min_agent));
        Ok(older
            .map(|agent| format!("{} has {}, {} is needed", agent.name, agent.version, release.min_agent))
            .collect())
    }
}

/// Whether something that worked with the old version cannot work with the new one.
pub(super) fn takes_away(
    (old, old_release): (&Connector, &Release),
    (new, new_release): (&Connector, &Release),
) -> bool {
    let stays = |name: &str, kind| new.activities.iter().any(|one| one.name == name && one.kind == kind);
    let activities = old.activities.iter().any(|one| !stays(&one.name, one.kind));
    // A release that names no way to authenticate says nothing about them.
    let says = !old_release.auth.is_empty() && !new_release.auth.is_empty();
    activities || says && !old_release.auth.is_subset(&new_release.auth)
}
