//! A catalogue key that was stolen, or lost: the controller makes another one, and operators name that alone.

use wherry_controller::{ca::CatalogueKey, engine::Settings};
use wherry_proto::frame::Catalogue;
use wherry_trust::{
    chain::{Believed, Level, PublishersList},
    keys::{PublicKey, SigningKey},
};

use super::Believer;
use crate::support::{Agent, Bench, Disk, name, on_each_store, publisher_key, settings};

on_each_store!(
    a_stolen_catalogue_key_counts_no_more_once_operators_name_another,
    a_catalogue_key_that_only_the_controller_named_is_replaced_by_an_operator,
);

/// The next list, under the operator's key, with this key of the controller alone.
async fn sign(bench: &Bench, operator: &SigningKey, key: PublicKey) {
    let view = bench.ledger.publishers_list().await.unwrap();
    assert_eq!(view.catalogue_key, key);
    let (mut list, _) = PublishersList::read(&view.envelope).unwrap();
    list.version += 1;
    list.expires_ms = bench.clock.wall_unix_millis() + 86_400_000;
    list.operators = vec![operator.public()];
    list.catalogue_keys = vec![key];
    let signed = list.sign(operator).unwrap().to_json();
    bench.ledger.replace_publishers("ann".to_owned(), signed).await.unwrap();
}

async fn a_stolen_catalogue_key_counts_no_more_once_operators_name_another(disk: Disk) {
    replaced(disk, true).await;
}

async fn a_catalogue_key_that_only_the_controller_named_is_replaced_by_an_operator(disk: Disk) {
    replaced(disk, false).await;
}

async fn replaced(disk: Disk, signed_before: bool) {
    let (bench, operator) = (Bench::ready(disk).await, publisher_key());
    let mut believer = Believer::online(&bench).await;
    if signed_before {
        sign(&bench, &operator, settings().catalogue.public()).await;
        believer.follow(&bench).await;
    }
    let (old, before) = (believer.hear(&bench).await, believer.lock().clone());
    let renewed = Settings { catalogue: CatalogueKey::generate().unwrap(), ..settings() };
    let key = renewed.catalogue.public();
    let bench = bench.restart_with(renewed).await;
    sign(&bench, &operator, key).await;
    // Agents that know everything go on, and those that come later believe all of it.
    believer.connect(&bench).await;
    let listed = believer.believed.publishers().unwrap();
    assert_eq!((listed.level, &*listed.document.catalogue_keys), (Level::Operator, &[key][..]));
    assert_eq!(believer.lock().connectors, before.connectors);
    assert!(believer.lock().version > before.version, "the lock is still that of the old key");
    believer.admits("http").unwrap();
    let mut late = Believer { agent: Agent::enrol(&bench, "pier-2", 1).await, believed: Believed::default() };
    late.connect(&bench).await;
    late.admits("http").unwrap();
    // What the thief has is good for nothing.
    let new = believer.hear(&bench).await;
    let index = Catalogue { index: old.index, ..new.clone() };
    let refused = late.try_to_take(&bench, &index).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "catalogue.signer_unknown");
    let list = Catalogue { publishers: old.publishers, ..new };
    let refused = late.try_to_take(&bench, &list).await.unwrap_err();
    let code = if signed_before { "catalogue.rolled_back" } else { "catalogue.signer_unknown" };
    assert_eq!(refused.code().as_str(), code);
    // And the controller goes on.
    let index = believer.believed.index().unwrap().document.version;
    let version = "1.0.0".parse().unwrap();
    bench.ledger.revoke_release("ann".to_owned(), name("http"), version).await.unwrap();
    believer.follow(&bench).await;
    assert!(believer.believed.index().unwrap().document.version > index);
    assert_eq!(believer.admits("http").unwrap_err(), "release.revoked");
}
