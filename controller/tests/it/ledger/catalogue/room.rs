//! What agents are told of fits into a frame, and a data folder of before locks gets its first ones.

use wherry_controller::{engine::Refusal, model::DEFINITIONS};
use wherry_daemon::store::{Batch, Direction, Store};
use wherry_domain::name::Name;
use wherry_trust::{
    keys::SigningKey,
    release::{Prefix, Publisher, sign_release},
};

use super::{Believer, deploy_with, publish};
use crate::support::{Bench, Disk, desk, name, package, publisher_key, release};

/// Versions of each of the small connectors.
const VERSIONS: usize = 5;

/// A connector whose entry in a lock is as large as one can be: it asks for as many hosts as a release may.
async fn publish_wide(bench: &Bench, key: &SigningKey, connector: &str) {
    let wasm = format!("the component of {connector}").into_bytes();
    let mut wide = release(connector, "1.0.0", &wasm);
    wide.capabilities.egress = (0..64).map(|n| format!("{n:02}{}", "x".repeat(251))).collect();
    let envelope = sign_release(&wide, key).unwrap().to_json();
    bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
}

async fn deploy_wide(bench: &Bench, environment: &Name) -> Result<(), Refusal> {
    bench.ledger.create_environment("test".to_owned(), environment.clone(), name("berlin")).await.unwrap();
    let mut project = desk();
    for connector in ["wide-a", "wide-b"] {
        let mut other = project.connections[&name("tracker")].clone();
        other.connector = name(connector);
        project.connections.insert(name(connector), other);
    }
    bench.ledger.deploy("test".to_owned(), environment.clone(), project, false).await.map(drop)
}

fn listed(believer: &Believer, connector: &str) -> usize {
    let index = &believer.believed.index().unwrap().document;
    index.releases.iter().filter(|one| one.name == name(connector)).count()
}

#[tokio::test]
async fn where_locks_leave_little_room_the_index_lists_fewer_versions_and_what_is_too_much_is_refused() {
    let bench = Bench::ready(Disk::memory()).await;
    let key = publisher_key();
    let trusted = Publisher { name: "wide".to_owned(), key: key.public(), prefix: Prefix::all() };
    bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
    publish_wide(&bench, &key, "wide-a").await;
    publish_wide(&bench, &key, "wide-b").await;
    for number in 0..12 {
        for version in 0..VERSIONS {
            let (envelope, wasm) = package(&format!("small-{number}"), &format!("1.{version}.0"), &key);
            bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
        }
    }
    let mut believer = Believer::online(&bench).await;
    assert_eq!(listed(&believer, "small-7"), VERSIONS);
    let mut refused = None;
    for number in 0..40 {
        let environment = name(&format!("quay-{number}"));
        if let Err(refusal) = deploy_wide(&bench, &environment).await {
            refused = Some(refusal);
            break;
        }
        believer.follow(&bench).await;
        let told = believer.believed.lock(&environment).unwrap();
        assert!(told.document.connectors.contains_key(&name("wide-b")), "agents were not told of {environment}");
    }
    assert_eq!(refused.unwrap().code.as_str(), "catalogue.too_large");
    assert!(listed(&believer, "small-7") < VERSIONS, "nothing was left out");
    assert_eq!((listed(&believer, "wide-a"), listed(&believer, "http")), (1, 1), "what locks name stays");
    // What was refused stands in nobody's way.
    believer.follow(&bench).await;
    let (envelope, wasm) = package("small-7", "1.9.0", &key);
    bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    believer.follow(&bench).await;
    believer.admits("http").unwrap();
}

#[tokio::test]
async fn a_data_folder_of_before_locks_gets_its_first_ones_from_what_is_deployed() {
    let bench = Bench::ready(Disk::memory()).await;
    publish(&bench, "acme-crm", "3.1.0").await;
    deploy_with(&bench, "acme-crm").await;
    bench.settle().await;
    let store = bench.memory().clone();
    let mut before = Batch::new();
    for kind in ["lock", "lock-before", "lock-history", "catalogue-publishers", "catalogue-versions"] {
        let prefix = format!("{kind}/");
        for (key, _) in store.scan(DEFINITIONS, prefix.as_bytes(), None, Direction::Ascending, 1_000).unwrap() {
            before.delete(DEFINITIONS, key);
        }
    }
    assert!(before.len() >= 3, "nothing of locks was stored");
    store.commit(before).await.unwrap();
    let bench = bench.restart().await;
    let mut believer = Believer::online(&bench).await;
    let versions: Vec<(String, String)> =
        believer.lock().connectors.iter().map(|(name, one)| (name.to_string(), one.version.to_string())).collect();
    let pinned = [("acme-crm", "3.1.0"), ("http", "1.0.0")].map(|(name, version)| (name.into(), version.into()));
    assert_eq!((believer.lock().version, versions), (1, pinned.to_vec()));
    believer.admits("http").unwrap();
    believer.admits("acme-crm").unwrap();
    // From then on it is a lock like any other.
    deploy_with(&bench, "http").await;
    believer.follow(&bench).await;
    assert_eq!(believer.lock().version, 1, "nothing was newly used");
}
