//! Catalogues of connectors, signed by a controller and an operator of ours.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::{
    digest::Digest,
    id::OrganisationId,
    lock::{Lock, Mode},
    name::Name,
};
use wherry_proto::frame::{Catalogue, FromAgent, FromController, Holding, HoldingState, Inventory};
use wherry_trust::{
    chain::{FORMAT, Index, Listed, PublishersList, entry, reread, sign_lock},
    keys::SigningKey,
    release::{Prefix, Publisher},
};

use super::{controller::Controller, package::Package};

/// Long enough for every test.
const LIFE_MS: u64 = 86_400_000;

/// Makes the documents of the environment `prod`, each under a newer version than the one before.
pub(crate) struct Catalogues {
    controller: SigningKey,
    operator: SigningKey,
    version: u64,
    publishers: BTreeMap<String, Publisher>,
    releases: Vec<Listed>,
    revoked: BTreeSet<Digest>,
    last: Catalogue,
}

impl Catalogues {
    pub(crate) fn new() -> Self {
        let (controller, operator) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (publishers, releases, revoked) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { controller, operator, version: 0, publishers, releases, revoked, last: Catalogue::default() }
    }

    /// The next index calls it revoked.
    pub(crate) fn revoke(&mut self, package: &Package) {
        self.revoked.insert(reread(&package.envelope).unwrap().0);
    }

    /// The version of the newest lock.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// A lock that names these packages and puts those on trial, with everything that belongs to it; the controller
    /// hands the packages out.
    pub(crate) fn lock(
        &mut self,
        controller: &Controller,
        packages: &[&Package],
        trials: &[&Package],
    ) -> FromController {
        self.version += 1;
        let mut lock = Lock::empty("prod".parse().unwrap(), Mode::Held);
        (lock.version, lock.index) = (self.version, self.version);
        for (package, on_trial) in packages.iter().map(|one| (one, false)).chain(trials.iter().map(|one| (one, true))) {
            let (digest, release) = reread(&package.envelope).unwrap();
            let locked = entry(digest, &release, [].into());
            let (name, version): (Name, _) = (package.name.parse().unwrap(), locked.version.clone());
            let listed = Listed { name: name.clone(), version, release: digest, wasm: locked.wasm };
            if !self.releases.contains(&listed) {
                self.releases.push(listed);
            }
            let publisher = Publisher {
                name: format!("us-{}", self.publishers.len()),
                key: package.publisher.key.parse().unwrap(),
                prefix: Prefix::all(),
            };
            self.publishers.entry(package.publisher.key.clone()).or_insert(publisher);
            let content = (package.envelope.clone(), package.component.clone());
            let mut script = controller.script();
            script.connectors.insert(digest, content.clone());
            script.connectors.insert(package.digest(), content);
            let entries = if on_trial { &mut lock.trials } else { &mut lock.connectors };
            entries.insert(name, locked);
        }
        self.sign(&lock)
    }

    /// The newest one again, for an agent that was away.
    pub(crate) fn again(&self) -> FromController {
        FromController::Catalogue(self.last.clone())
    }

    fn sign(&mut self, lock: &Lock) -> FromController {
        let issued_ms = now_ms();
        let publishers = PublishersList {
            v: FORMAT,
            organisation: OrganisationId::from_u128(1),
            version: self.version,
            issued_ms,
            expires_ms: issued_ms + LIFE_MS,
            publishers: self.publishers.values().cloned().collect(),
            catalogue_keys: vec![self.controller.public()],
            operators: vec![self.operator.public()],
            revoked_keys: [].into(),
        };
        let index = Index {
            v: FORMAT,
            version: self.version,
            issued_ms,
            expires_ms: issued_ms + LIFE_MS,
            releases: self.releases.clone(),
            revoked: self.revoked.clone(),
        };
        self.last = Catalogue {
            publishers: publishers.sign(&self.operator).unwrap().to_json(),
            index: index.sign(&self.controller).unwrap().to_json(),
            locks: vec![sign_lock(lock, &self.operator).unwrap().to_json()],
        };
        self.again()
    }
}

#[expect(clippy::disallowed_methods, reason = "documents are dated by the wall clock")]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

impl Controller {
    /// Waits for an inventory that fits.
    pub(crate) async fn inventory(&mut self, what: &str, fits: impl Fn(&Inventory) -> bool) -> Inventory {
        let wanted = |frame| if let FromAgent::Inventory(all) = frame { Some(all).filter(&fits) } else { None };
        self.frame(what, wanted).await
    }

    /// Waits until the agent follows a lock and can run everything it names.
    pub(crate) async fn stocked(&mut self, version: u64) -> Vec<Holding> {
        let ready = |holding: &Holding| holding.state == HoldingState::Ready;
        let fits = |all: &Inventory| {
            all.environments.iter().any(|one| one.lock_version == version && one.holdings.iter().all(ready))
        };
        self.inventory("a stock that is complete", fits).await.environments.remove(0).holdings
    }
}
