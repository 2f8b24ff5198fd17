//! Which releases are believed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use semver::Version;
use wherry_domain::{
    failure::{Code, Failure},
    name::Name,
    project::ConnectorPin,
};
use wherry_proto::frame;
use wherry_trust::{
    dsse::{Envelope, Limits},
    keys::PublicKey,
    release::{Prefix, Publisher, Release, VerifiedRelease, verify_release},
};

use crate::{VERSION, policy::Policy};

/// The release says something else than the deployment.
const RELEASE_MISMATCH: Code = Code::new("connector.release_mismatch");
/// The release wants a newer agent.
const AGENT_TOO_OLD: Code = Code::new("connector.agent_too_old");
/// The owner's list of publishers does not have the one who signed.
const NOT_ALLOWED: Code = Code::new("envelope.signer_unknown");

/// The publishers in force.
pub(super) struct Trust {
    only: Vec<PublicKey>,
    policy: Policy,
    publishers: ArcSwap<Vec<Publisher>>,
}

/// The publishers that were in force at one moment.
pub(super) type InForce = Arc<Vec<Publisher>>;

impl Trust {
    pub(super) fn new(only: Vec<PublicKey>, policy: Policy) -> Self {
        Self { only, policy, publishers: ArcSwap::from_pointee(Vec::new()) }
    }

    /// Takes the organisation's list, narrowed by the owner's; whether anything changed. An entry that cannot be
    /// read trusts nobody.
    pub(super) fn replace(&self, list: &[frame::Publisher]) -> bool {
        let readable = list.iter().filter_map(read).filter(|publisher| self.allows(publisher));
        let publishers: Vec<Publisher> = readable.collect();
        let changed = **self.publishers.load() != publishers;
        if changed {
            self.publishers.store(Arc::new(publishers));
        }
        changed
    }

    /// The publishers in force now.
    pub(super) fn in_force(&self) -> InForce {
        self.publishers.load_full()
    }

    fn allows(&self, publisher: &Publisher) -> bool {
        self.only.is_empty() || self.only.contains(&publisher.key)
    }

    /// Believes a release that a publisher in force signed, that says what the pin says, and that this agent can run.
    pub(super) fn check(&self, envelope: &[u8], name: &Name, pin: &ConnectorPin) -> Result<VerifiedRelease, Failure> {
        let envelope = Envelope::from_json(envelope, &Limits::default())
            .map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        let verified = verify_release(&envelope, &self.publishers.load())
            .map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        let (release, rules) = (&verified.release, self.policy.rules());
        let allowed = rules.connector(name).and_then(|()| rules.publisher(&verified.key, &verified.publisher));
        allowed.map_err(|refusal| refusal.failure())?;
        let differs = |what: &str| {
            let message = format!("the signed release of {name} has another {what} than the deployment, deploy again");
            Err(Failure::permanent(RELEASE_MISMATCH, message))
        };
        if release.name != *name {
            return differs("name");
        }
        if release.version != pin.version {
            return differs("version");
        }
        if release.wasm.sha256 != pin.digest || release.wasm.length != pin.length {
            return differs("component");
        }
        new_enough(release)?;
        Ok(verified)
    }

    /// Whether the owner of this agent allows who signed a release that others believe, and this agent can run it.
    pub(super) fn suits(&self, verified: &VerifiedRelease) -> Result<(), Failure> {
        if !self.only.is_empty() && !self.only.contains(&verified.key) {
            let message = format!(
                "the owner of this agent does not allow connectors that {} signed, see [connectors] in its configuration",
                verified.publisher
            );
            return Err(Failure::permanent(NOT_ALLOWED, message));
        }
        new_enough(&verified.release)
    }
}

fn new_enough(release: &Release) -> Result<(), Failure> {
    if Version::parse(VERSION).is_ok_and(|own| own < release.min_agent) {
        let Release { name, version, min_agent, .. } = release;
        let message = format!("{name} {version} needs agent {min_agent} or newer, this is {VERSION}");
        return Err(Failure::permanent(AGENT_TOO_OLD, message));
    }
    Ok(())
}

/// An empty prefix allows all names, on the wire as in the controller's interface.
fn read(publisher: &frame::Publisher) -> Option<Publisher> {
    let prefix = if publisher.prefix.is_empty() { Ok(Prefix::all()) } else { publisher.prefix.parse() };
    match (publisher.key.parse(), prefix) {
        (Ok(key), Ok(prefix)) => Some(Publisher { name: publisher.name.clone(), key, prefix }),
        (Err(_), _) | (_, Err(_)) => {
            tracing::warn!(publisher = publisher.name, "a publisher's key or prefix cannot be read, it is not trusted");
            None
        }
    }
}
