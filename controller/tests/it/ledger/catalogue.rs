//! Change control of connectors: what agents are told, and that they can take it over.

use std::time::Duration;

use wherry_controller::{
    ca::CatalogueKey,
    engine::{Kind, Settings},
};
use wherry_domain::{digest::Digest, lock::Lock};
use wherry_proto::frame::{Catalogue, FromController, Hello};
use wherry_trust::{
    chain::{Believed, ChainError, Context, Documents, Level, PublishersList, reread},
    keys::SigningKey,
    release::{Prefix, Publisher},
    token::{EnrolmentToken, SpkiPin},
};

use super::copies::{copied, restored};
use crate::support::{Agent, Bench, Disk, desk, name, on_each_store, package, publisher_key, settings};

mod room;
mod stolen;

const DAY: Duration = Duration::from_secs(86_400);

on_each_store!(
    an_agent_is_told_everything_after_its_welcome_and_can_take_it_over,
    what_a_deployment_newly_uses_is_added_to_the_lock,
    documents_are_signed_anew_each_day_and_agents_follow,
    agents_follow_a_controller_that_was_restarted,
    agents_follow_a_restored_controller_and_refuse_what_is_older,
    an_environment_that_is_made_again_goes_on_with_its_lock,
    a_revoked_release_is_told_at_once,
    a_revoked_publisher_is_told_and_never_trusted_again,
    whoever_needs_a_signature_that_cannot_be_made_is_told_so,
    a_revocation_that_nobody_could_sign_is_not_forgotten_by_a_restart,
    once_an_operator_signs_the_publishers_list_the_controller_changes_it_no_more,
    a_connector_is_handed_to_the_groups_whose_locks_name_it_and_to_nobody_else,
);

/// An agent that knows catalogues, with what it believes and the releases that it would fetch.
struct Believer {
    agent: Agent,
    believed: Believed,
}

impl Believer {
    async fn online(bench: &Bench) -> Self {
        let agent = Agent::enrol(bench, "pier-1", 1).await;
        let mut believer = Self { agent, believed: Believed::default() };
        believer.connect(bench).await;
        believer
    }

    async fn connect(&mut self, bench: &Bench) {
        let catalogue = self.hear(bench).await;
        self.take(bench, &catalogue).await;
    }

    /// What comes right after the welcome.
    async fn hear(&mut self, bench: &Bench) -> Catalogue {
        let hello = Hello { catalogue: true, ..self.agent.hello(&[]) };
        self.agent.greet(bench, hello).await.unwrap();
        let welcome = self.agent.frame().await;
        assert!(matches!(welcome, FromController::Welcome(_)), "{welcome:?}");
        let next = self.agent.frame().await;
        let FromController::Catalogue(catalogue) = next else { panic!("{next:?} came instead of the catalogue") };
        catalogue
    }

    /// Takes over everything that came since.
    async fn follow(&mut self, bench: &Bench) {
        bench.settle().await;
        for frame in self.agent.heard(bench).await {
            if let FromController::Catalogue(catalogue) = frame {
                self.take(bench, &catalogue).await;
            }
        }
    }

    async fn take(&mut self, bench: &Bench, catalogue: &Catalogue) {
        self.try_to_take(bench, catalogue).await.unwrap();
    }

    async fn try_to_take(&mut self, bench: &Bench, catalogue: &Catalogue) -> Result<(), ChainError> {
        let Catalogue { publishers, index, locks } = catalogue;
        let organisation = self.agent.identity.organisation();
        let context = Context { organisation, roster: None, now_ms: bench.clock.wall_unix_millis() };
        let mut proposed = self.believed.propose(&Documents { publishers, index, locks }, &context)?;
        for wanted in proposed.wanted() {
            let handed = bench.ledger.connector_for(self.agent.identity.clone(), wanted.locked.release).await.unwrap();
            proposed.supply(&wanted, handed.envelope.as_bytes())?;
        }
        self.believed = proposed.finish()?;
        Ok(())
    }

    fn lock(&self) -> &Lock {
        &self.believed.lock(&name("prod")).unwrap().document
    }

    fn admits(&self, connector: &str) -> Result<(), String> {
        let connector = name(connector);
        let judged = self.believed.admit(&connector, &self.lock().connectors[&connector]);
        judged.map(drop).map_err(|error| error.code().to_string())
    }
}

async fn publish(bench: &Bench, connector: &str, version: &str) -> (Digest, Digest) {
    let key = SigningKey::generate().unwrap();
    let publisher = format!("{connector}-{version}");
    let trusted = Publisher { name: publisher, key: key.public(), prefix: Prefix::all() };
    bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
    let (envelope, wasm) = package(connector, version, &key);
    let release = reread(&envelope).unwrap().0;
    let (connector, _) = bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    (release, connector.digest)
}

/// `desk` with a second connection, of another connector.
async fn deploy_with(bench: &Bench, connector: &str) {
    let mut project = desk();
    let mut other = project.connections[&name("tracker")].clone();
    other.connector = name(connector);
    project.connections.insert(name("other"), other);
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
}

async fn an_agent_is_told_everything_after_its_welcome_and_can_take_it_over(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let believer = Believer::online(&bench).await;
    assert_eq!(believer.lock().connectors[&name("http")].version.to_string(), "1.0.0");
    believer.admits("http").unwrap();
    // Agents that do not know catalogues hear of none.
    let mut old = Agent::online(&bench, "pier-2", 1).await;
    bench.settle().await;
    assert!(old.heard(&bench).await.iter().all(|frame| !matches!(frame, FromController::Catalogue(_))));
}

async fn what_a_deployment_newly_uses_is_added_to_the_lock(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let before = believer.lock().version;
    publish(&bench, "acme-crm", "3.1.0").await;
    deploy_with(&bench, "acme-crm").await;
    believer.follow(&bench).await;
    assert_eq!(believer.lock().version, before + 1);
    believer.admits("acme-crm").unwrap();
    believer.admits("http").unwrap();
}

async fn documents_are_signed_anew_each_day_and_agents_follow(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let first = believer.believed.index().unwrap().document.version;
    for day in 1..=9_u64 {
        let later = bench.clock.wall_unix_millis() + u64::try_from(DAY.as_millis()).unwrap();
        bench.hand.set_wall_unix_millis(later);
        bench.settle().await;
        believer.follow(&bench).await;
        let index = &believer.believed.index().unwrap().document;
        assert_eq!((index.version, index.issued_ms), (first + day, later));
        assert_eq!(believer.believed.publishers().unwrap().document.issued_ms, later);
    }
}

async fn agents_follow_a_controller_that_was_restarted(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let before = believer.lock().clone();
    let bench = bench.restart().await;
    believer.connect(&bench).await;
    assert_eq!(*believer.lock(), before);
    publish(&bench, "acme-crm", "3.1.0").await;
    deploy_with(&bench, "acme-crm").await;
    believer.follow(&bench).await;
    assert_eq!(believer.lock().version, before.version + 1);
}

async fn agents_follow_a_restored_controller_and_refuse_what_is_older(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let copy = copied(&bench).await;
    let (_folder, unchanged) = restored(&bench, &copy);
    let before = believer.lock().version;
    believer.connect(&unchanged).await;
    assert!(believer.lock().version > before + 1_000, "it is not higher than whatever was signed since the copy");
    // What moved after the copy is not taken back, until it is there again.
    let key = publisher_key();
    let (envelope, wasm) = package("acme-crm", "3.1.0", &key);
    let trusted = Publisher { name: "crm".to_owned(), key: key.public(), prefix: Prefix::all() };
    let (_other, again) = {
        unchanged.ledger.trust_publisher("test".to_owned(), trusted.clone()).await.unwrap();
        unchanged.ledger.publish("test".to_owned(), envelope.clone(), wasm.clone()).await.unwrap();
        let copy = copied(&unchanged).await;
        deploy_with(&unchanged, "acme-crm").await;
        believer.follow(&unchanged).await;
        restored(&unchanged, &copy)
    };
    let offered = believer.hear(&again).await;
    let refused = believer.try_to_take(&again, &offered).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "lock.connector_dropped");
    drop(believer.agent.heard(&again).await);
    deploy_with(&again, "acme-crm").await;
    believer.follow(&again).await;
    believer.admits("acme-crm").unwrap();
}

async fn an_environment_that_is_made_again_goes_on_with_its_lock(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let before = believer.lock().version;
    bench.ledger.undeploy("test".to_owned(), name("prod"), name("desk")).await.unwrap();
    bench.ledger.delete_environment("test".to_owned(), name("prod")).await.unwrap();
    bench.ledger.create_environment("test".to_owned(), name("prod"), name("berlin")).await.unwrap();
    let bench = bench.restart().await;
    bench.ledger.deploy("test".to_owned(), name("prod"), desk(), false).await.unwrap();
    believer.connect(&bench).await;
    assert!(believer.lock().version >= before);
    believer.admits("http").unwrap();
}

async fn a_revoked_release_is_told_at_once(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    believer.admits("http").unwrap();
    let version = "1.0.0".parse().unwrap();
    let (_, environments) = bench.ledger.revoke_release("test".to_owned(), name("http"), version).await.unwrap();
    assert_eq!(environments, [name("prod")].into());
    believer.follow(&bench).await;
    assert_eq!(believer.admits("http").unwrap_err(), "release.revoked");
    let again = bench.ledger.revoke_release("test".to_owned(), name("http"), "9.0.0".parse().unwrap()).await;
    assert_eq!(again.unwrap_err().code.as_str(), "connector.not_found");
}

async fn whoever_needs_a_signature_that_cannot_be_made_is_told_so(disk: Disk) {
    let bench = Bench::ready(disk).await;
    // The key that agents know is lost.
    let lost = Settings { catalogue: CatalogueKey::generate().unwrap(), ..settings() };
    let bench = bench.restart_with(lost).await;
    bench.ledger.create_environment("test".to_owned(), name("quay"), name("berlin")).await.unwrap();
    let refusal = bench.ledger.deploy("test".to_owned(), name("quay"), desk(), false).await.unwrap_err();
    assert_eq!(refusal.code.as_str(), "catalogue.signer_unknown", "it was deployed where nothing may run");
    assert!(bench.ledger.deployments(name("quay"), None).await.unwrap().is_empty());
    let stand = bench.ledger.stand(name("quay")).await.unwrap();
    assert_eq!((stand.lock.version, stand.connectors.len()), (0, 0), "who only looks is told what there is");
    for _ in 0..2 {
        let version = "1.0.0".parse().unwrap();
        let refusal = bench.ledger.revoke_release("test".to_owned(), name("http"), version).await.unwrap_err();
        assert_eq!(refusal.code.as_str(), "catalogue.signer_unknown");
        assert!(refusal.message.starts_with("it is revoked here"), "{}", refusal.message);
    }
    let refusal = bench.ledger.revoke_publisher("test".to_owned(), "acme".to_owned()).await.unwrap_err();
    assert_eq!(refusal.code.as_str(), "catalogue.signer_unknown");
    let stand = bench.ledger.stand(name("prod")).await.unwrap();
    assert_eq!(stand.connectors.len(), 1, "agents have it still");
}

async fn a_revocation_that_nobody_could_sign_is_not_forgotten_by_a_restart(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let acme = bench.ledger.publishers().await.unwrap().remove(0).trusted;
    let lost = Settings { catalogue: CatalogueKey::generate().unwrap(), ..settings() };
    let bench = bench.restart_with(lost).await;
    bench.ledger.revoke_publisher("test".to_owned(), "acme".to_owned()).await.unwrap_err();
    // The key that agents know is found again.
    let bench = bench.restart_with(settings()).await;
    let again = bench.ledger.trust_publisher("test".to_owned(), acme.clone()).await.unwrap_err();
    assert_eq!(again.code.as_str(), "publisher.key_revoked");
    let believer = Believer::online(&bench).await;
    assert!(believer.believed.publishers().unwrap().document.revoked_keys.contains(&acme.key));
    assert_eq!(believer.admits("http").unwrap_err(), "envelope.signer_unknown");
}

async fn a_revoked_publisher_is_told_and_never_trusted_again(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let acme = bench.ledger.publishers().await.unwrap().remove(0).trusted;
    bench.ledger.revoke_publisher("test".to_owned(), "acme".to_owned()).await.unwrap();
    believer.follow(&bench).await;
    assert_eq!(believer.admits("http").unwrap_err(), "envelope.signer_unknown");
    let bench = bench.restart().await;
    let again = bench.ledger.trust_publisher("test".to_owned(), acme).await.unwrap_err();
    assert_eq!(again.code.as_str(), "publisher.key_revoked");
}

async fn once_an_operator_signs_the_publishers_list_the_controller_changes_it_no_more(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let view = bench.ledger.publishers_list().await.unwrap();
    assert_eq!(view.level, Level::Controller);
    let (operator, newcomer) = (publisher_key(), publisher_key());
    let (mut list, _) = PublishersList::read(&view.envelope).unwrap();
    list.version += 1;
    list.operators = vec![operator.public()];
    list.expires_ms += 86_400_000;
    let stranger = list.sign(&newcomer).unwrap().to_json();
    let refused = bench.ledger.replace_publishers("eve".to_owned(), stranger).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "catalogue.signer_unknown");
    list.publishers.push(Publisher { name: "new".to_owned(), key: newcomer.public(), prefix: Prefix::all() });
    let signed = list.sign(&operator).unwrap().to_json();
    bench.ledger.replace_publishers("ann".to_owned(), signed.clone()).await.unwrap();
    believer.follow(&bench).await;
    assert_eq!(believer.believed.publishers().unwrap().level, Level::Operator);
    let names: Vec<_> = bench.ledger.publishers().await.unwrap().into_iter().map(|one| one.trusted.name).collect();
    assert_eq!(names, ["acme", "new"]);
    // From here on the controller asks for an operator, also after a restart.
    let bench = bench.restart().await;
    believer.connect(&bench).await;
    let trusted = Publisher { name: "other".to_owned(), key: publisher_key().public(), prefix: Prefix::all() };
    let refused = bench.ledger.trust_publisher("bob".to_owned(), trusted).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "publisher.operator_required");
    let refused = bench.ledger.distrust_publisher("bob".to_owned(), "acme".to_owned()).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "publisher.operator_required");
    let replayed = bench.ledger.replace_publishers("eve".to_owned(), view.envelope).await.unwrap_err();
    assert_eq!(replayed.code.as_str(), "catalogue.rolled_back");
}

async fn a_connector_is_handed_to_the_groups_whose_locks_name_it_and_to_nobody_else(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut believer = Believer::online(&bench).await;
    let (release, wasm) = publish(&bench, "acme-crm", "3.1.0").await;
    let asks = |agent: &Agent, digest| bench.ledger.connector_for(agent.identity.clone(), digest);
    // Published, and in no lock: it does not exist.
    for digest in [release, wasm] {
        assert_eq!(asks(&believer.agent, digest).await.unwrap_err().kind, Kind::NotFound);
    }
    deploy_with(&bench, "acme-crm").await;
    believer.follow(&bench).await;
    for digest in [release, wasm] {
        assert_eq!(asks(&believer.agent, digest).await.unwrap().name, name("acme-crm"));
    }
    bench.ledger.create_environment("test".to_owned(), name("stage"), name("hamburg")).await.unwrap();
    let token = EnrolmentToken::generate(SpkiPin::of_spki(b"root")).unwrap();
    let (id, proof) = (token.id().as_str().to_owned(), token.auth_hash());
    let made = bench.ledger.create_enrolment_token("test".to_owned(), name("hamburg"), id, proof, 600, None);
    made.await.unwrap();
    let stranger = Agent::enrol_with(&bench, "quay-1", 1, &token).await;
    for digest in [release, wasm] {
        let refused = asks(&stranger, digest).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::NotFound, "connector.not_found"));
    }
}
