//! The catalogue: trusted publishers and the connectors they signed.

use std::collections::BTreeSet;

use wherry_daemon::store::{MAX_VALUE_BYTES, record};
use wherry_domain::{
    digest::Digest,
    failure::Code,
    id::GroupId,
    name::Name,
    project::{
        Snapshot,
        check::{ActivityFacts, Connectors, Schemes},
    },
};
use wherry_proto::frame::Publisher as WirePublisher;
use wherry_trust::{
    dsse::{DsseError, Envelope, Limits},
    keys::PublicKey,
    names::AgentIdentity,
    release::{Publisher as Trusted, Release, ReleaseError, verify_release},
};

use super::{
    Ledger, Refusal, Turn,
    catalogue::{is_signed_by, named_already},
};
use crate::model::{Connector, Publisher, SCHEMA};

/// Most publishers of an organisation.
const MAX_PUBLISHERS: usize = 200;
/// Most versions of one connector.
const MAX_VERSIONS: usize = 1_000;

impl Ledger {
    /// Trusts a publisher.
    ///
    /// # Errors
    /// If one of that name is trusted with another key.
    pub async fn trust_publisher(&self, who: String, trusted: Trusted) -> Result<Publisher, Refusal> {
        self.begin(move |turn| {
            if let Some(known) = turn.state.publishers.get(&trusted.name) {
                if known.trusted == trusted {
                    return Ok(known.clone());
                }
                let message =
                    format!("publisher {} is trusted with another key or prefix: remove it first", trusted.name);
                return Err(Refusal::conflict("publisher.exists", message));
            }
            turn.publishers_are_ours()?;
            if turn.is_revoked(&trusted.key) {
                let message = "this key was revoked and stays so: ask the publisher for a new one";
                return Err(Refusal::conflict("publisher.key_revoked", message));
            }
            if let Some(known) = turn.state.publishers.values().find(|known| known.trusted.key == trusted.key) {
                return Err(named_already(&known.trusted.name));
            }
            if turn.state.publishers.len() >= MAX_PUBLISHERS {
                let message = format!("an organisation trusts at most {MAX_PUBLISHERS} publishers");
                return Err(Refusal::conflict("publisher.too_many", message));
            }
            let publisher = Publisher { trusted, created_ms: turn.wall_ms };
            let name = publisher.trusted.name.clone();
            turn.audit(&who, "publisher.trust", &name, &publisher.trusted.key.to_string());
            turn.define("publisher", &name, &publisher);
            turn.state.publishers.insert(name, publisher.clone());
            turn.publishers_changed();
            turn.desire();
            Ok(publisher)
        })
        .await
    }

    /// Every trusted publisher.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn publishers(&self) -> Result<Vec<Publisher>, Refusal> {
        self.act(|turn| Ok(turn.state.publishers.values().cloned().collect())).await
    }

    /// Trusts a publisher no longer. What it signed stays where it is deployed.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn distrust_publisher(&self, who: String, name: String) -> Result<(), Refusal> {
        self.act(move |turn| {
            let missing = || Refusal::not_found("publisher.not_found", "there is no publisher of that name");
            turn.publishers_are_ours()?;
            turn.state.publishers.remove(&name).ok_or_else(missing)?;
            turn.audit(&who, "publisher.distrust", &name, "");
            turn.undefine("publisher", &name);
            turn.publishers_changed();
            turn.desire();
            Ok(())
        })
        .await
    }

    /// Publishes a connector: its release is checked, its descriptor and component stored as files, then all
    /// become known in one commit. `rest` is what follows the envelope in a package. Publishing the same bytes again changes nothing: `false`.
    ///
    /// # Errors
    /// If the envelope is malformed, its signature or publisher not trusted, the component not the
    /// one that was signed, or the version exists with other bytes.
    pub async fn publish(&self, who: String, envelope: Vec<u8>, rest: Vec<u8>) -> Result<(Connector, bool), Refusal> {
        let (publishers, revoked) =
            self.act(|turn| Ok((turn.sound_publishers(), Vec::from_iter(turn.revoked_keys())))).await?;
        let parsed = Envelope::from_json(&envelope, &Limits::default())
            .map_err(|error| Refusal::invalid("connector.release_malformed", error.to_string()))?;
        let verified = verify_release(&parsed, &publishers).map_err(|error| unbelieved(&error, &parsed, &revoked))?;
        let contents = verified.release.contents(&rest).map_err(|error| refused(&error))?;
        // The descriptor first: what is known of a connector is there when its component is.
        let descriptor = match contents.descriptor {
            Some(line) => Some(self.write_file(line.to_vec()).await?),
            None => None,
        };
        let digest = self.write_file(contents.component.to_vec()).await?;
        let envelope = String::from_utf8_lossy(&envelope).into_owned();
        self.begin(move |turn| {
            turn.publish(&who, verified.release, verified.publisher, envelope, Files { digest, descriptor })
        })
        .await
    }

    /// Every version of every connector, or of one.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn connectors(&self, name: Option<Name>) -> Result<Vec<Connector>, Refusal> {
        self.act(move |turn| {
            let wanted =
                turn.state.connectors.iter().filter(|(known, _)| name.as_ref().is_none_or(|name| name == *known));
            Ok(wanted.flat_map(|(_, versions)| versions.values().rev().cloned()).collect())
        })
        .await
    }

    /// The connector whose component or release has this digest, if a lock or a deployment that the agent's group still
    /// needs names it.
    ///
    /// # Errors
    /// If the agent is unknown or locked; otherwise one answer whether the connector does not exist
    /// or is not for this group.
    pub async fn connector_for(&self, agent: AgentIdentity, digest: Digest) -> Result<Connector, Refusal> {
        let missing = || Refusal::not_found("connector.not_found", "there is no connector of that digest");
        let (newest, older) = self
            .act(move |turn| {
                let group = turn.member(&agent)?;
                let locked = turn.locked_for(group, digest);
                let newest =
                    locked.or_else(|| turn.snapshots_of(group).find_map(|current| pin_of(&current.snapshot, digest)));
                let older = if newest.is_some() { BTreeSet::new() } else { turn.older_snapshots(group) };
                Ok((newest, older))
            })
            .await?;
        let mut pinned = newest;
        for snapshot in older {
            if pinned.is_none() {
                let document = self.read_file(snapshot).await?;
                pinned = serde_json::from_slice(&document).ok().and_then(|snapshot| pin_of(&snapshot, digest));
            }
        }
        let (name, version) = pinned.ok_or_else(missing)?;
        self.act(move |turn| {
            let found = turn.state.connectors.get(&name).and_then(|versions| versions.get(&version));
            found.cloned().ok_or_else(missing)
        })
        .await
    }
}

/// Which connector a snapshot means by this digest: the same component may be published again.
fn pin_of(snapshot: &Snapshot, digest: Digest) -> Option<(Name, semver::Version)> {
    let (name, pin) = snapshot.connectors.iter().find(|(_, pin)| pin.digest == digest)?;
    Some((name.clone(), pin.version.clone()))
}

/// Where the parts of a package are.
struct Files {
    digest: Digest,
    descriptor: Option<Digest>,
}

impl Turn<'_> {
    fn publish(
        &mut self,
        who: &str,
        release: Release,
        publisher: String,
        envelope: String,
        files: Files,
    ) -> Result<(Connector, bool), Refusal> {
        let Release { name, version, wasm, activities, auth, .. } = release;
        let Files { digest, descriptor } = files;
        let versions = self.state.connectors.entry(name.clone()).or_default();
        if let Some(known) = versions.get(&version) {
            if known.digest == digest {
                return Ok((known.clone(), false));
            }
            let message = format!("{name} {version} is published with other bytes: raise the version");
            return Err(Refusal::conflict("connector.version_exists", message));
        }
        if versions.len() >= MAX_VERSIONS {
            return Err(Refusal::conflict("connector.too_many", format!("{name} has {MAX_VERSIONS} versions already")));
        }
        let published_ms = self.wall_ms;
        let length = wasm.length;
        let connector = Connector {
            name,
            version,
            digest,
            length,
            publisher,
            published_ms,
            activities,
            auth,
            descriptor,
            revoked_ms: None,
            key_revoked: false,
            envelope,
        };
        if record::encode(SCHEMA, &connector).is_ok_and(|bytes| bytes.len() > MAX_VALUE_BYTES) {
            let message = "the signed release is too large to be kept: shorten its notes or offer fewer activities";
            return Err(Refusal::invalid("connector.release_too_large", message));
        }
        versions.insert(connector.version.clone(), connector.clone());
        let key = format!("{}/{}", connector.name, connector.version);
        self.audit(who, "connector.publish", &key, &digest.to_string());
        self.define("connector", &key, &connector);
        self.index_changed();
        Ok((connector, true))
    }

    /// Snapshots that runs of the group still need although newer ones are deployed.
    fn older_snapshots(&self, group: GroupId) -> BTreeSet<Digest> {
        let runs = self.state.runs.values().map(|run| &run.record.spec).filter(|spec| spec.group == group);
        runs.map(|spec| spec.snapshot).collect()
    }

    pub(super) fn trusted_publishers(&self) -> Vec<WirePublisher> {
        let wire = |publisher: &Publisher| {
            let Trusted { name, key, prefix } = &publisher.trusted;
            WirePublisher { name: name.clone(), key: key.to_string(), prefix: prefix.to_string() }
        };
        self.state.publishers.values().map(wire).collect()
    }

    /// The version of a connector that runs in an environment: the one in its lock; of a connector that is not used
    /// there yet, the newest that may be.
    pub(super) fn chosen(&self, environment: &Name, name: &Name) -> Option<&Connector> {
        let versions = self.state.connectors.get(name)?;
        let lock = self.lock_of(environment);
        if let Some(locked) = lock.as_ref().and_then(|lock| lock.connectors.get(name)) {
            return versions.get(&locked.version);
        }
        let allowed = self.policies(environment).allowed_publishers;
        let mut newest = versions.values().rev();
        let sound = newest.clone().filter(|connector| connector.revoked_ms.is_none());
        // If no version may run there, the newest one says why.
        sound
            .clone()
            .find(|connector| allowed.has(&connector.publisher))
            .or_else(|| sound.clone().next())
            .or_else(|| newest.next())
    }

    /// Every connector, each in the version that runs in the environment.
    fn chosen_here(&self, environment: &Name) -> impl Iterator<Item = &Connector> {
        self.state.connectors.keys().filter_map(|name| self.chosen(environment, name))
    }

    /// The ways to authenticate that each connector names.
    pub(super) fn schemes(&self, environment: &Name) -> Schemes {
        self.chosen_here(environment).map(|connector| (connector.name.clone(), connector.auth.clone())).collect()
    }

    /// What each connector offers.
    pub(super) fn offered(&self, environment: &Name) -> Connectors {
        let facts = |connector: &Connector| {
            let of = |activity: &wherry_trust::release::Activity| {
                let facts = ActivityFacts { kind: activity.kind, side_effects: activity.side_effects };
                (activity.name.clone(), facts)
            };
            connector.activities.iter().map(of).collect()
        };
        self.chosen_here(environment).map(|connector| (connector.name.clone(), facts(connector))).collect()
    }
}

/// Why a release is not taken; a key that was revoked is more than one that nobody trusts.
fn unbelieved(error: &ReleaseError, envelope: &Envelope, revoked: &[PublicKey]) -> Refusal {
    if matches!(error, ReleaseError::Envelope(DsseError::TooFewSigners { .. })) && is_signed_by(envelope, revoked) {
        let message = "the key that signed this release is revoked: publish it signed with a new one";
        return Refusal::conflict("publisher.key_revoked", message);
    }
    refused(error)
}

fn refused(error: &ReleaseError) -> Refusal {
    let code = match error {
        ReleaseError::Envelope(DsseError::SignatureInvalid(_)) => Code::new("connector.signature_invalid"),
        ReleaseError::Envelope(DsseError::TooFewSigners { .. }) => Code::new("connector.publisher_untrusted"),
        ReleaseError::Envelope(
            DsseError::Malformed(_) | DsseError::TooLarge { .. } | DsseError::TypeUnexpected { .. },
        )
        | ReleaseError::Malformed(_)
        | ReleaseError::Unacceptable { .. }
        | ReleaseError::Altered(_)
        | ReleaseError::PrefixForeign { .. } => error.code(),
    };
    Refusal { code, ..Refusal::invalid("connector.release_malformed", error.to_string()) }
}
