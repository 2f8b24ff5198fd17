//! Versions of connectors in an environment: tests of connections that bring them up to date, upgrades, pins, canaries,
//! and what the policy says.

use std::time::Duration;

use wherry_controller::{
    engine::{Freshened, Move, Plan, Refusal, Wish},
    model::RolloutRecord,
};
use wherry_domain::{
    failure::{Code, Failure},
    lock::{Lock, Mode},
    name::Name,
    policy::Policy,
    rollout::{Reason, Share, Terms, Verdict},
    run::Outcome,
};
use wherry_proto::frame::{FromAgent, FromController, Hello, Holding, HoldingState, Inventory, Offer, Stock};
use wherry_trust::{
    chain::{peek_lock, sign_lock},
    keys::SigningKey,
    release::{Prefix, Publisher, sign_release},
};

use crate::support::{Agent, Bench, Crew, Disk, name, on_each_store, package, publisher_key, release, soon};

mod bounds;
mod classes;
mod holding;
mod tallies;

on_each_store!(
    when_the_connection_is_tested_the_latest_version_is_downloaded_by_the_agents_of_the_group,
    a_test_says_nothing_changed_where_nothing_may_follow_without_a_person,
    an_upgrade_is_planned_made_and_remembered,
    a_pinned_connector_stays_until_it_is_unpinned,
    a_canary_that_does_well_becomes_the_version_of_everyone,
    a_canary_that_fails_is_rolled_back_and_says_why,
    a_canary_survives_a_restart,
    an_agent_that_refuses_the_new_version_ends_a_canary,
    a_person_ends_a_canary_either_way,
    a_held_lock_moves_under_an_operators_signature_alone,
    capabilities_that_grow_need_a_persons_word_and_signature,
);

/// BMC Helix ITSM connection and Jira Service Management connection, *Test*, word for word.
const SEED: &str = "When the connection is tested, the latest version of the connector is downloaded by the agent(s) in \
    the agent group associated with the current environment. This connector supports suspending the download of the \
    latest connector version by using the Disable Auto Connector Update organization policy.";

struct Shop {
    bench: Bench,
    key: SigningKey,
}

impl Shop {
    async fn open(disk: Disk) -> Self {
        let bench = Bench::ready(disk).await;
        let key = publisher_key();
        let trusted = Publisher { name: "workshop".to_owned(), key: key.public(), prefix: Prefix::all() };
        bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
        Self { bench, key }
    }

    async fn publish(&self, version: &str) {
        let (envelope, wasm) = package("http", version, &self.key);
        self.bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    }

    async fn lock(&self) -> Lock {
        self.bench.ledger.stand(name("prod")).await.unwrap().lock.as_ref().clone()
    }

    async fn version(&self) -> String {
        self.lock().await.connectors[&name("http")].version.to_string()
    }

    async fn canary(&self) -> RolloutRecord {
        let stand = self.bench.ledger.stand(name("prod")).await.unwrap();
        stand.connectors.into_iter().find_map(|one| one.rollout).unwrap()
    }

    fn asked(wish: Wish) -> Move {
        let why = "the seeds say so".to_owned();
        Move { environment: name("prod"), connector: name("http"), wish, approved: false, envelope: None, why }
    }

    async fn plan(&self, wish: Wish) -> Result<Plan, Refusal> {
        soon(self.bench.ledger.plan_move(Self::asked(wish))).await
    }

    async fn perform(&self, wish: Wish) -> Result<Lock, Refusal> {
        let moved = soon(self.bench.ledger.move_connector("ada".to_owned(), Self::asked(wish))).await;
        moved.map(|moved| moved.lock.as_ref().clone())
    }

    async fn sign(&self, wish: Wish, key: &SigningKey) -> Result<Lock, Refusal> {
        let plan = self.plan(wish.clone()).await?;
        assert!(plan.signature.is_some(), "nobody has to sign");
        let envelope = sign_lock(&plan.lock, key).unwrap().to_json();
        assert_eq!(peek_lock(&envelope).unwrap(), plan.lock);
        let asked = Move { envelope: Some(envelope), approved: true, ..Self::asked(wish) };
        let moved = soon(self.bench.ledger.move_connector("ada".to_owned(), asked)).await;
        moved.map(|moved| moved.lock.as_ref().clone())
    }

    async fn test(&self) -> Freshened {
        let fresh = self.bench.ledger.freshen("ada".to_owned(), name("prod"), None, name("tracker"));
        soon(fresh).await.unwrap().unwrap()
    }

    async fn history(&self) -> Vec<(String, String)> {
        let changes = self.bench.ledger.lock_history(name("prod"), Some(name("http"))).await.unwrap();
        changes.into_iter().map(|change| (change.who, change.why)).collect()
    }
}

/// An agent of the group that knows locks.
async fn keeper(bench: &Bench, called: &str) -> Agent {
    let mut agent = Agent::enrol(bench, called, 1).await;
    let hello = Hello { catalogue: true, ..agent.hello(&[]) };
    agent.greet(bench, hello).await.unwrap();
    agent
}

/// What an agent says that it has of the lock it heard of last.
fn stocked(lock: &Lock, state: &HoldingState) -> FromAgent {
    let entries = lock.connectors.iter().chain(&lock.trials);
    let holding = |(connector, locked): (&Name, &wherry_domain::lock::Locked)| Holding {
        connector: connector.clone(),
        version: locked.version.clone(),
        digest: locked.wasm,
        state: state.clone(),
        instead: None,
    };
    let holdings = entries.map(holding).collect();
    let stock = Stock { environment: lock.environment.clone(), lock_version: lock.version, holdings };
    FromAgent::Inventory(Inventory { environments: vec![stock], ..Inventory::default() })
}

/// The lock of the newest catalogue that the agent is sent.
async fn told(agent: &mut Agent, version: u64) -> Lock {
    agent
        .find(|frame| {
            let FromController::Catalogue(catalogue) = frame else { return None };
            let locks = catalogue.locks.iter().filter_map(|json| peek_lock(json).ok());
            locks
                .filter(|lock| lock.environment == name("prod") && lock.version >= version)
                .max_by_key(|lock| lock.version)
        })
        .await
}

fn version(text: &str) -> Option<semver::Version> {
    Some(text.parse().unwrap())
}

fn upgrade() -> Wish {
    Wish::Upgrade { version: None, canary: None }
}

fn canary(attempts: u32) -> Wish {
    let terms = Terms { share: Share::of_hundred(50).unwrap(), time: Duration::from_secs(600), attempts };
    Wish::Upgrade { version: None, canary: Some(terms) }
}

fn broken(_: &Offer) -> Outcome {
    Outcome::Failed(Failure::permanent(Code::new("http.server_error"), "it is down"))
}

async fn when_the_connection_is_tested_the_latest_version_is_downloaded_by_the_agents_of_the_group(disk: Disk) {
    let shop = Shop::open(disk).await;
    let (mut one, mut other) = (keeper(&shop.bench, "pier-1").await, keeper(&shop.bench, "pier-2").await);
    shop.publish("1.1.0").await;
    shop.publish("1.2.0").await;
    assert_eq!(shop.version().await, "1.0.0", "publishing moves nothing");
    // "When the connection is tested, the latest version of the connector is downloaded by the agent(s) in the agent
    // group associated with the current environment."
    assert!(SEED.contains("the latest version of the connector is downloaded by the agent(s) in the agent group"));
    let before = shop.lock().await.version;
    let agents = async {
        for agent in [&mut one, &mut other] {
            let lock = told(agent, before + 1).await;
            assert_eq!(lock.connectors[&name("http")].version.to_string(), "1.2.0");
            agent.say(&shop.bench, stocked(&lock, &HoldingState::Ready)).await;
        }
    };
    let (fresh, ()) = futures::join!(shop.test(), agents);
    assert_eq!((fresh.from.to_string(), fresh.to.to_string()), ("1.0.0".to_owned(), "1.2.0".to_owned()));
    assert_eq!((fresh.agents_updated, fresh.agents_total), (2, 2), "the answer comes once the agents have it");
    assert_eq!(shop.history().await[0], ("ada".to_owned(), "test of connection tracker".to_owned()));
    // "This connector supports suspending the download of the latest connector version by using the Disable Auto
    // Connector Update organization policy."
    assert!(SEED.ends_with("by using the Disable Auto Connector Update organization policy."));
    let policy = Policy::DisableAutoConnectorUpdate;
    shop.bench.ledger.set_policy("ada".to_owned(), None, policy, "true".to_owned()).await.unwrap();
    shop.publish("1.3.0").await;
    let lock = shop.lock().await;
    let fresh = shop.test().await;
    assert_eq!((fresh.from.to_string(), fresh.to.to_string()), ("1.2.0".to_owned(), "1.2.0".to_owned()));
    assert_eq!(shop.lock().await, lock, "the test changed the lock");
    // The lock moves by `wherry connector upgrade` alone.
    shop.perform(upgrade()).await.unwrap();
    assert_eq!(shop.version().await, "1.3.0");
}

async fn a_test_says_nothing_changed_where_nothing_may_follow_without_a_person(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("2.0.0").await;
    shop.publish("1.9.0-beta.1").await;
    let grown = {
        let wasm = b"the component of http 1.5.0".to_vec();
        let mut release = release("http", "1.5.0", &wasm);
        release.capabilities.oauth.insert("authorization_code".to_owned());
        (sign_release(&release, &shop.key).unwrap().to_json(), wasm)
    };
    shop.bench.ledger.publish("test".to_owned(), grown.0, grown.1).await.unwrap();
    let fresh = shop.test().await;
    assert_eq!(fresh.from, fresh.to, "another major version, a beta or more capabilities came without a word");
    assert_eq!((fresh.agents_updated, fresh.agents_total), (0, 0));
}

async fn an_upgrade_is_planned_made_and_remembered(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    let plan = shop.plan(upgrade()).await.unwrap();
    assert_eq!((plan.from.as_ref(), plan.to.to_string()), (version("1.0.0").as_ref(), "1.1.0".to_owned()));
    assert!(plan.changed && plan.signature.is_none());
    assert_eq!(plan.changes.connections, ["desk/tracker"]);
    assert!(plan.changes.operations.contains(&"desk/look".to_owned()), "{:?}", plan.changes.operations);
    assert_eq!((plan.changes.publisher.as_str(), plan.changes.schemas.as_ref()), ("workshop", None));
    assert_eq!(shop.version().await, "1.0.0", "a plan changes nothing");
    shop.perform(upgrade()).await.unwrap();
    assert_eq!(shop.version().await, "1.1.0");
    assert_eq!(shop.history().await[0], ("ada".to_owned(), "upgrade: the seeds say so".to_owned()));
    assert!(!shop.plan(upgrade()).await.unwrap().changed);
    // Runs of before and after name the lock that holds.
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.bench.submit("look").await;
    assert_eq!(agent.offer().await.lock_version, shop.lock().await.version);
    let missing = shop.perform(Wish::Upgrade { version: version("3.0.0"), canary: None }).await.unwrap_err();
    assert_eq!(missing.code.as_str(), "connector.not_found");
}

async fn a_pinned_connector_stays_until_it_is_unpinned(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    shop.perform(Wish::Pin).await.unwrap();
    assert_eq!(shop.test().await.to.to_string(), "1.0.0");
    assert_eq!(shop.perform(upgrade()).await.unwrap_err().code.as_str(), "lock.pinned");
    shop.perform(Wish::Unpin).await.unwrap();
    assert_eq!(shop.test().await.to.to_string(), "1.1.0");
}

async fn a_canary_that_does_well_becomes_the_version_of_everyone(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    let lock = shop.perform(canary(5)).await.unwrap();
    assert_eq!(lock.connectors[&name("http")].version.to_string(), "1.0.0");
    assert_eq!(lock.trials[&name("http")].version.to_string(), "1.1.0");
    let tried = shop.attempts(&mut agent, 40, |_| Outcome::Succeeded).await;
    assert!((8..=32).contains(&tried), "{tried} of 40 tried the new version");
    let record = shop.canary().await;
    assert_eq!((record.stored.new.attempts, record.stored.old.attempts), (tried as u32, 40 - tried as u32));
    assert_eq!(record.stored.settled, None);
    let again = shop.perform(canary(5)).await.unwrap_err();
    assert_eq!(again.code.as_str(), "rollout.under_way");
    shop.bench.pass(Duration::from_secs(601)).await;
    let lock = shop.lock().await;
    assert_eq!((lock.connectors[&name("http")].version.to_string(), lock.trials.len()), ("1.1.0".to_owned(), 0));
    assert!(matches!(shop.canary().await.stored.settled, Some((Verdict::Everyone, Reason::Healthy { .. }))));
    let (who, why) = shop.history().await[0].clone();
    assert_eq!(who, "controller");
    assert!(why.starts_with("canary of 1.1.0 ended: "), "{why}");
}

async fn a_canary_that_fails_is_rolled_back_and_says_why(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    shop.perform(canary(5)).await.unwrap();
    let ends = |offer: &Offer| if offer.trial.is_empty() { Outcome::Succeeded } else { broken(offer) };
    shop.attempts(&mut agent, 40, ends).await;
    let lock = shop.lock().await;
    assert_eq!((lock.connectors[&name("http")].version.to_string(), lock.trials.len()), ("1.0.0".to_owned(), 0));
    let record = shop.canary().await;
    assert!(
        matches!(record.stored.settled, Some((Verdict::Back, Reason::Failing { old_failed: 0, .. }))),
        "{record:?}"
    );
    assert!(record.settled_ms.is_some());
    let (_, why) = shop.history().await[0].clone();
    assert!(why.starts_with("canary of 1.1.0 rolled back: "), "{why}");
    assert_eq!(shop.attempts(&mut agent, 10, |_| Outcome::Succeeded).await, 0, "what was rolled back is tried no more");
}

async fn a_canary_survives_a_restart(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    shop.perform(canary(1)).await.unwrap();
    let tried = shop.attempts(&mut agent, 10, |_| Outcome::Succeeded).await;
    assert!(tried > 0);
    shop.bench.pass(Duration::from_secs(300)).await;
    let shop = Shop { bench: shop.bench.restart().await, key: shop.key };
    let record = shop.canary().await;
    assert_eq!((record.stored.new.attempts, record.stored.settled), (tried as u32, None));
    shop.bench.pass(Duration::from_secs(601)).await;
    assert_eq!(shop.version().await, "1.1.0");
    assert!(shop.lock().await.trials.is_empty());
}

async fn an_agent_that_refuses_the_new_version_ends_a_canary(disk: Disk) {
    let shop = Shop::open(disk).await;
    let agent = keeper(&shop.bench, "pier-1").await;
    shop.publish("1.1.0").await;
    let lock = shop.perform(canary(5)).await.unwrap();
    let (code, message) = (Code::new("sandbox.trap"), "it broke three times".to_owned());
    agent.say(&shop.bench, stocked(&lock, &HoldingState::Quarantined { code: code.clone(), message })).await;
    shop.bench.settle().await;
    assert_eq!(shop.canary().await.stored.settled, Some((Verdict::Back, Reason::Refused { code })));
    assert!(shop.lock().await.trials.is_empty());
}

async fn a_person_ends_a_canary_either_way(disk: Disk) {
    let shop = Shop::open(disk).await;
    shop.publish("1.1.0").await;
    shop.perform(canary(5)).await.unwrap();
    shop.publish("1.2.0").await;
    assert_eq!(shop.perform(upgrade()).await.unwrap_err().code.as_str(), "rollout.under_way");
    shop.perform(Wish::Rollback { version: None }).await.unwrap();
    assert_eq!(shop.canary().await.stored.settled, Some((Verdict::Back, Reason::Asked)));
    assert_eq!((shop.version().await.as_str(), shop.lock().await.trials.len()), ("1.0.0", 0));
    shop.perform(canary(5)).await.unwrap();
    shop.perform(upgrade()).await.unwrap();
    assert_eq!(shop.canary().await.stored.settled, Some((Verdict::Everyone, Reason::Asked)));
    assert_eq!((shop.version().await.as_str(), shop.lock().await.trials.len()), ("1.2.0", 0));
}

async fn a_held_lock_moves_under_an_operators_signature_alone(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut crew = Crew::of(&shop.bench).await;
    let mut hand = crew.enrol(&shop.bench, "pier-1").await;
    crew.found(&shop.bench, &mut hand).await;
    shop.publish("1.1.0").await;
    let policy = Policy::DisableAutoConnectorUpdate;
    shop.bench.ledger.set_policy("ada".to_owned(), Some(name("prod")), policy, "true".to_owned()).await.unwrap();
    assert_eq!(shop.lock().await.mode, Mode::Held, "agents are told that only operators move it");
    assert_eq!(shop.perform(upgrade()).await.unwrap_err().code.as_str(), "lock.held");
    let stranger = SigningKey::generate().unwrap();
    shop.sign(upgrade(), &stranger).await.unwrap_err();
    assert_eq!(shop.version().await, "1.0.0");
    shop.sign(upgrade(), &crew.operator).await.unwrap();
    assert_eq!((shop.version().await.as_str(), shop.lock().await.mode), ("1.1.0", Mode::Held));
    // A rollback pins, so that nothing undoes it.
    shop.sign(Wish::Rollback { version: None }, &crew.operator).await.unwrap();
    let locked = shop.lock().await.connectors[&name("http")].clone();
    assert_eq!((locked.version.to_string().as_str(), locked.pinned), ("1.0.0", true));
    shop.sign(Wish::Unpin, &crew.operator).await.unwrap();
    // The controller may settle a canary that an operator began, and nothing else.
    shop.sign(canary(5), &crew.operator).await.unwrap();
    let refused =
        stocked(&shop.lock().await, &HoldingState::Refused { code: Code::new("sandbox.trap"), message: String::new() });
    hand.agent.say(&shop.bench, refused).await;
    shop.bench.settle().await;
    assert_eq!((shop.lock().await.trials.len(), shop.lock().await.mode), (0, Mode::Held));
}

async fn capabilities_that_grow_need_a_persons_word_and_signature(disk: Disk) {
    let shop = Shop::open(disk).await;
    let mut crew = Crew::of(&shop.bench).await;
    let mut hand = crew.enrol(&shop.bench, "pier-1").await;
    crew.found(&shop.bench, &mut hand).await;
    let wasm = b"the component of http 1.1.0".to_vec();
    let mut grown = release("http", "1.1.0", &wasm);
    grown.capabilities.oauth.insert("authorization_code".to_owned());
    let envelope = sign_release(&grown, &shop.key).unwrap().to_json();
    shop.bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    let plan = shop.plan(upgrade()).await.unwrap();
    assert_eq!(plan.changes.capabilities.len(), 1, "{:?}", plan.changes);
    assert_eq!(plan.signature.unwrap().code.as_str(), "lock.capabilities_grown");
    assert_eq!(shop.perform(upgrade()).await.unwrap_err().code.as_str(), "lock.capabilities_grown");
    shop.sign(upgrade(), &crew.operator).await.unwrap();
    assert_eq!(shop.version().await, "1.1.0");
}
