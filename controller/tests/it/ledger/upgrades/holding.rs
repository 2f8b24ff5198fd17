//! Operators who come after the policy, and what only they may add.

use wherry_controller::engine::Move;
use wherry_domain::{lock::Mode, name::Name, policy::Policy};
use wherry_trust::{
    chain::{PublishersList, sign_lock},
    keys::SigningKey,
};

use super::{Shop, upgrade};
use crate::support::{Crew, Disk, desk, name, on_each_store, package, publisher_key, soon};

on_each_store!(
    a_lock_is_held_as_soon_as_there_is_an_operator_who_comes_after_the_policy,
    an_operator_who_signs_the_publishers_list_holds_the_locks,
    a_held_environment_takes_a_new_connector_from_an_operator_alone,
);

async fn forbid_updates(shop: &Shop) {
    let policy = Policy::DisableAutoConnectorUpdate;
    shop.bench.ledger.set_policy("ada".to_owned(), None, policy, "true".to_owned()).await.unwrap();
}

async fn operators(shop: &Shop) -> SigningKey {
    let mut crew = Crew::of(&shop.bench).await;
    let mut hand = crew.enrol(&shop.bench, "pier-1").await;
    crew.found(&shop.bench, &mut hand).await;
    shop.bench.settle().await;
    crew.operator
}

/// The environments that the policy's view calls held.
async fn held_in(shop: &Shop, environment: Option<Name>) -> Vec<Name> {
    let views = shop.bench.ledger.policies(environment).await.unwrap();
    let view = views.into_iter().find(|view| view.policy == Policy::DisableAutoConnectorUpdate).unwrap();
    view.held_in.into_iter().collect()
}

/// Whether each place of `http` says that it is held.
async fn placed_held(shop: &Shop) -> Vec<bool> {
    let placements = shop.bench.ledger.placements(name("http")).await.unwrap();
    placements.into_values().flatten().map(|one| one.held).collect()
}

async fn a_lock_is_held_as_soon_as_there_is_an_operator_who_comes_after_the_policy(disk: Disk) {
    let shop = Shop::open(disk).await;
    forbid_updates(&shop).await;
    assert_eq!(shop.lock().await.mode, Mode::Automatic, "nobody could move it");
    assert_eq!((held_in(&shop, None).await, placed_held(&shop).await), (vec![], vec![false]));
    operators(&shop).await;
    assert_eq!(shop.lock().await.mode, Mode::Held);
    assert_eq!((held_in(&shop, None).await, placed_held(&shop).await), (vec![name("prod")], vec![true]));
    let newest = shop.bench.ledger.lock_history(name("prod"), None).await.unwrap().remove(0);
    let told = (newest.who.as_str(), newest.why.as_str());
    assert_eq!(told, ("controller", "policy disable_auto_connector_update"));
    // So is one that is made under the policy.
    shop.bench.ledger.create_environment("test".to_owned(), name("quay"), name("berlin")).await.unwrap();
    shop.bench.settle().await;
    assert_eq!(shop.bench.ledger.stand(name("quay")).await.unwrap().lock.mode, Mode::Held);
    assert_eq!(held_in(&shop, Some(name("quay"))).await, [name("quay")]);
}

async fn an_operator_who_signs_the_publishers_list_holds_the_locks(disk: Disk) {
    let shop = Shop::open(disk).await;
    forbid_updates(&shop).await;
    let operator = publisher_key();
    let view = shop.bench.ledger.publishers_list().await.unwrap();
    let (list, _) = PublishersList::read(&view.envelope).unwrap();
    let list = PublishersList { version: list.version + 1, operators: vec![operator.public()], ..list };
    let signed = list.sign(&operator).unwrap().to_json();
    shop.bench.ledger.replace_publishers("ann".to_owned(), signed).await.unwrap();
    shop.bench.settle().await;
    assert_eq!(shop.lock().await.mode, Mode::Held);
}

async fn a_held_environment_takes_a_new_connector_from_an_operator_alone(disk: Disk) {
    let shop = Shop::open(disk).await;
    forbid_updates(&shop).await;
    let operator = operators(&shop).await;
    let (envelope, wasm) = package("acme-crm", "3.1.0", &shop.key);
    shop.bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    let mut project = desk();
    let mut other = project.connections[&name("tracker")].clone();
    other.connector = name("acme-crm");
    project.connections.insert(name("other"), other);
    let deploy = || shop.bench.ledger.deploy("test".to_owned(), name("prod"), project.clone(), false);
    let refused = deploy().await.unwrap_err();
    assert_eq!(refused.code.as_str(), "lock.connector_missing");
    assert!(refused.message.contains("wherry connector upgrade acme-crm --environment prod"), "{}", refused.message);
    assert!(!shop.lock().await.connectors.contains_key(&name("acme-crm")));
    let asked = Move { connector: name("acme-crm"), approved: true, ..Shop::asked(upgrade()) };
    let plan = soon(shop.bench.ledger.plan_move(asked.clone())).await.unwrap();
    let envelope = sign_lock(&plan.lock, &operator).unwrap().to_json();
    let signed = Move { envelope: Some(envelope), ..asked };
    soon(shop.bench.ledger.move_connector("ada".to_owned(), signed)).await.unwrap();
    deploy().await.unwrap();
    assert_eq!(shop.lock().await.mode, Mode::Held);
}
