//! An organisation with a controller, an operator and publishers, and an agent that listens to it.

use std::collections::BTreeSet;

use wherry_domain::digest::Digest;
use wherry_domain::effects::SideEffects;
use wherry_domain::id::OrganisationId;
use wherry_domain::lock::{Lock, Locked, Mode};
use wherry_domain::name::Name;
use wherry_trust::chain::{
    Believed, ChainError, Context, Documents, FORMAT, INDEX_LIFE_MS, Index, Listed, PublishersList, entry, reread,
    sign_lock,
};
use wherry_trust::keys::{SigningKey, sha256};
use wherry_trust::release::{Activity, ActivityKind, CONTRACT, Capabilities, Publisher, Release, Wasm, sign_release};

pub(super) const NOW: u64 = 1_800_000_000_000;

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Everything that is signed, and everyone who signs.
pub(super) struct World {
    pub(super) catalogue: SigningKey,
    pub(super) operator: SigningKey,
    pub(super) acme: SigningKey,
    pub(super) list: PublishersList,
    pub(super) index: Index,
    pub(super) lock: Lock,
    pub(super) releases: Vec<(Digest, Vec<u8>)>,
    pub(super) believed: Believed,
    pub(super) now_ms: u64,
    /// The ways to authenticate of what is published next.
    pub(super) auth: BTreeSet<String>,
}

/// A published release.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) digest: Digest,
    pub(super) release: Release,
}

impl Published {
    pub(super) fn locked(&self) -> Locked {
        entry(self.digest, &self.release, self.release.asks())
    }
}

impl World {
    /// `acme-crm` 1.0.0 and 1.1.0 are published, and `prod` runs the first.
    pub(super) fn new() -> Self {
        let [catalogue, operator, acme] = [0, 1, 2].map(|_| SigningKey::generate().unwrap());
        let publisher = Publisher { name: "acme".into(), key: acme.public(), prefix: "acme-*".parse().unwrap() };
        let list = PublishersList {
            v: FORMAT,
            organisation: OrganisationId::from_u128(1),
            version: 1,
            issued_ms: NOW,
            expires_ms: NOW + INDEX_LIFE_MS,
            publishers: vec![publisher],
            catalogue_keys: vec![catalogue.public()],
            operators: Vec::new(),
            revoked_keys: BTreeSet::new(),
        };
        let index = Index {
            v: FORMAT,
            version: 1,
            issued_ms: NOW,
            expires_ms: NOW + INDEX_LIFE_MS,
            releases: Vec::new(),
            revoked: BTreeSet::new(),
        };
        let lock = Lock { version: 1, index: 1, ..Lock::empty(name("prod"), Mode::Automatic) };
        let (releases, believed) = (Vec::new(), Believed::default());
        let mut world = Self {
            catalogue,
            operator,
            acme,
            list,
            index,
            lock,
            releases,
            believed,
            now_ms: NOW,
            auth: BTreeSet::new(),
        };
        let first = world.publish("1.0.0", &[]);
        world.publish("1.1.0", &[]);
        world.lock.connectors.insert(name("acme-crm"), first.locked());
        world
    }

    /// An agent that took over the first catalogue.
    pub(super) fn running() -> Self {
        let mut world = Self::new();
        world.offer().unwrap();
        world
    }

    /// The same, after an operator took over the publishers list.
    pub(super) fn run_by_operators() -> Self {
        let mut world = Self::running();
        world.list.version += 1;
        world.list.operators = vec![world.operator.public()];
        world.offer_signed_by_operator().unwrap();
        world
    }

    /// Publishes a version of `acme-crm` that asks for these hosts.
    pub(super) fn publish(&mut self, version: &str, hosts: &[&str]) -> Published {
        let acme = SigningKey::from_pem(&self.acme.to_pem().unwrap()).unwrap();
        self.publish_as("acme-crm", version, hosts, &acme)
    }

    pub(super) fn publish_as(&mut self, named: &str, version: &str, hosts: &[&str], key: &SigningKey) -> Published {
        let component = format!("{named} {version}");
        let release = Release {
            v: wherry_trust::release::FORMAT,
            name: name(named),
            version: version.parse().unwrap(),
            wasm: Wasm::of(component.as_bytes()),
            descriptor: None,
            contract: CONTRACT.into(),
            capabilities: Capabilities {
                egress: hosts.iter().map(|host| (*host).to_owned()).collect(),
                ..Capabilities::default()
            },
            min_agent: "0.1.0".parse().unwrap(),
            activities: vec![Activity {
                name: "query".into(),
                kind: ActivityKind::Source,
                side_effects: SideEffects::Read,
            }],
            auth: self.auth.clone(),
            notes: String::new(),
        };
        let json = sign_release(&release, key).unwrap().to_json();
        let (digest, _) = reread(&json).unwrap();
        self.index.releases.push(Listed {
            name: release.name.clone(),
            version: release.version.clone(),
            release: digest,
            wasm: release.wasm.sha256,
        });
        self.releases.push((digest, json));
        Published { digest, release }
    }

    /// What `acme-crm` is at this version.
    pub(super) fn known(&self, version: &str) -> Locked {
        let (digest, json) = self
            .releases
            .iter()
            .find(|(_, json)| reread(json).unwrap().1.version == version.parse().unwrap())
            .expect("it was published");
        let release = reread(json).unwrap().1;
        entry(*digest, &release, release.asks())
    }

    pub(super) fn next_index(&mut self) {
        self.index.version += 1;
    }

    pub(super) fn next_lock(&mut self) {
        self.lock.version += 1;
        self.lock.index = self.index.version;
    }

    /// The environment is to run this version.
    pub(super) fn lock_to(&mut self, locked: Locked) {
        self.next_lock();
        self.lock.connectors.insert(name("acme-crm"), locked);
    }

    /// Offers everything, signed by the controller.
    pub(super) fn offer(&mut self) -> Result<(), ChainError> {
        let list = self.list.sign(&self.catalogue).unwrap().to_json();
        let lock = sign_lock(&self.lock, &self.catalogue).unwrap().to_json();
        self.offer_these(&list, &lock, None)
    }

    /// Offers everything; the operator signed list and lock.
    pub(super) fn offer_signed_by_operator(&mut self) -> Result<(), ChainError> {
        let list = self.list.sign(&self.operator).unwrap().to_json();
        let lock = sign_lock(&self.lock, &self.operator).unwrap().to_json();
        self.offer_these(&list, &lock, None)
    }

    pub(super) fn offer_these(
        &mut self,
        list: &[u8],
        lock: &[u8],
        roster: Option<Vec<wherry_trust::keys::PublicKey>>,
    ) -> Result<(), ChainError> {
        let index = self.index.sign(&self.catalogue).unwrap().to_json();
        let locks = [lock.to_vec()];
        let documents = Documents { publishers: list, index: &index, locks: &locks };
        self.take(&documents, roster)
    }

    /// What an agent does with a catalogue; the releases come as they were published.
    pub(super) fn take(
        &mut self,
        documents: &Documents<'_>,
        roster: Option<Vec<wherry_trust::keys::PublicKey>>,
    ) -> Result<(), ChainError> {
        let context = Context { organisation: OrganisationId::from_u128(1), roster, now_ms: self.now_ms };
        let mut proposed = self.believed.propose(documents, &context)?;
        for wanted in proposed.wanted() {
            let found = self.releases.iter().find(|(digest, _)| *digest == wanted.locked.release);
            proposed.supply(&wanted, &found.expect("it was published").1)?;
        }
        // As from disk: what is not in the file is not believed.
        self.believed = Believed::from_json(&proposed.finish()?.to_json()).unwrap();
        Ok(())
    }

    /// The code of a refusal, which has changed nothing.
    pub(super) fn refused(&mut self, offer: impl FnOnce(&mut Self) -> Result<(), ChainError>) -> String {
        let before = self.believed.clone();
        let error = offer(self).expect_err("it was taken over");
        assert_eq!(self.believed, before, "something of a refused catalogue is believed");
        assert!(!error.to_string().is_empty());
        error.code().to_string()
    }

    /// The version of `acme-crm` that runs in `prod`.
    pub(super) fn runs(&self) -> String {
        self.believed.lock(&name("prod")).unwrap().document.connectors[&name("acme-crm")].version.to_string()
    }

    pub(super) fn digest_of(&self, text: &str) -> Digest {
        sha256(text.as_bytes())
    }
}
