//! The catalogue of a controller that may lie: documents of any content, signed by whoever a test wants.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use semver::Version;
use wherry_domain::{
    effects::SideEffects,
    id::OrganisationId,
    lock::{Lock, Locked, Mode},
    name::Name,
};
use wherry_proto::frame::{Catalogue, FromAgent, FromController, Inventory};
use wherry_trust::{
    chain::{FORMAT, INDEX_LIFE_MS, Index, Listed, PublishersList, entry, reread, sign_lock},
    keys::SigningKey,
    release::{self, Activity, ActivityKind, CONTRACT, Capabilities, Publisher, Release, Wasm, sign_release},
};

use super::{agent::Agent, controller::Controller};

/// The connector that everything here is about. It is none, so that it never becomes ready; its lock is what counts.
pub(crate) const CONNECTOR: &str = "acme-crm";

pub(crate) struct Liar {
    pub(crate) controller: Controller,
    pub(crate) agent: Agent,
    pub(crate) catalogue: SigningKey,
    pub(crate) operator: SigningKey,
    pub(crate) acme: SigningKey,
    pub(crate) list: PublishersList,
    pub(crate) index: Index,
    pub(crate) lock: Lock,
}

pub(crate) fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "documents are dated by the clock that the agent has")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn connector() -> Name {
    CONNECTOR.parse().unwrap()
}

impl Liar {
    /// An agent that took over an honest catalogue: 1.0.0 runs in `prod`.
    pub(crate) async fn believed() -> Self {
        let mut controller = Controller::start().await;
        let agent = Agent::connected(&mut controller).await;
        let [catalogue, operator, acme] = [0, 1, 2].map(|_| SigningKey::generate().unwrap());
        let (issued_ms, expires_ms) = (now_ms(), now_ms() + INDEX_LIFE_MS);
        let publisher = Publisher { name: "acme".into(), key: acme.public(), prefix: "acme-*".parse().unwrap() };
        let list = PublishersList {
            v: FORMAT,
            organisation: OrganisationId::from_u128(1),
            version: 1,
            issued_ms,
            expires_ms,
            publishers: vec![publisher],
            catalogue_keys: vec![catalogue.public()],
            operators: Vec::new(),
            revoked_keys: BTreeSet::new(),
        };
        let (releases, revoked) = (Vec::new(), BTreeSet::new());
        let index = Index { v: FORMAT, version: 1, issued_ms, expires_ms, releases, revoked };
        let lock = Lock { version: 1, index: 1, ..Lock::empty("prod".parse().unwrap(), Mode::Automatic) };
        let mut liar = Self { controller, agent, catalogue, operator, acme, list, index, lock };
        let first = liar.publish(CONNECTOR, "1.0.0", &[]);
        liar.lock.connectors.insert(connector(), first);
        liar.offer().await;
        liar.in_force(1).await;
        liar
    }

    /// Publishes a version that asks for these hosts, and gives what a lock says of it.
    pub(crate) fn publish(&mut self, named: &str, version: &str, hosts: &[&str]) -> Locked {
        let component = format!("{named} {version}").into_bytes();
        let release = Release {
            v: release::FORMAT,
            name: named.parse().unwrap(),
            version: version.parse::<Version>().unwrap(),
            wasm: Wasm::of(&component),
            descriptor: None,
            contract: CONTRACT.into(),
            capabilities: Capabilities {
                egress: hosts.iter().map(|host| (*host).to_owned()).collect(),
                ..Capabilities::default()
            },
            min_agent: Version::new(0, 1, 0),
            activities: vec![Activity {
                name: "query".into(),
                kind: ActivityKind::Source,
                side_effects: SideEffects::Read,
            }],
            auth: BTreeSet::new(),
            notes: String::new(),
        };
        let json = sign_release(&release, &self.acme).unwrap().to_json();
        let (digest, _) = reread(&json).unwrap();
        let (name, version, wasm) = (release.name.clone(), release.version.clone(), release.wasm.sha256);
        self.index.releases.push(Listed { name, version, release: digest, wasm });
        let mut script = self.controller.script();
        script.connectors.insert(digest, (json.clone(), component.clone()));
        script.connectors.insert(wasm, (json, component));
        drop(script);
        entry(digest, &release, release.asks())
    }

    /// The next lock runs this.
    pub(crate) fn lock_to(&mut self, locked: Locked) {
        self.next_lock();
        self.lock.connectors.insert(connector(), locked);
    }

    pub(crate) fn next_lock(&mut self) {
        self.lock.version += 1;
        self.lock.index = self.index.version;
    }

    /// Everything as the controller signs it.
    pub(crate) fn signed(&self) -> Catalogue {
        Catalogue {
            publishers: self.list.sign(&self.catalogue).unwrap().to_json(),
            index: self.index.sign(&self.catalogue).unwrap().to_json(),
            locks: vec![sign_lock(&self.lock, &self.catalogue).unwrap().to_json()],
        }
    }

    pub(crate) async fn offer(&self) {
        self.say(self.signed()).await;
    }

    pub(crate) async fn say(&self, catalogue: Catalogue) {
        self.controller.say(FromController::Catalogue(catalogue)).await;
    }

    /// Waits until the agent says that this version of the lock is in force.
    pub(crate) async fn in_force(&mut self, version: u64) {
        let fits = move |inventory: &Inventory| {
            inventory.refusal.is_none() && inventory.environments.iter().any(|one| one.lock_version == version)
        };
        self.inventory("a lock in force", fits).await;
    }

    /// Offers what a controller must not, and gives the code of the refusal. The lock in force stays.
    pub(crate) async fn refused(&mut self, catalogue: Catalogue, stays: u64) -> String {
        self.say(catalogue).await;
        let inventory = self.inventory("a refusal", |inventory| inventory.refusal.is_some()).await;
        let versions: Vec<u64> = inventory.environments.iter().map(|one| one.lock_version).collect();
        assert_eq!(versions, [stays], "something of a refused catalogue is in force");
        inventory.refusal.unwrap().0.as_str().to_owned()
    }

    pub(crate) async fn inventory(&mut self, what: &str, fits: impl Fn(&Inventory) -> bool) -> Inventory {
        let wanted = |frame| match frame {
            FromAgent::Inventory(inventory) => Some(inventory).filter(&fits),
            FromAgent::Hello(_)
            | FromAgent::Heartbeat(_)
            | FromAgent::Result(_)
            | FromAgent::Declined { .. }
            | FromAgent::Progress { .. }
            | FromAgent::Checkpoint { .. }
            | FromAgent::Log { .. }
            | FromAgent::Answer(_)
            | FromAgent::Keyring(_)
            | FromAgent::OAuth(_)
            | FromAgent::Goodbye { .. } => None,
        };
        self.controller.frame(what, wanted).await
    }
}
