//! Publishers whose keys are revoked, and what becomes of their connectors.

use serde_json::{Value, json};
use wherry_trust::{
    chain::PublishersList,
    keys::SigningKey,
    release::{Prefix, Publisher},
};

use super::{
    actions::restarted,
    catalogue::{raw, trusted, upload},
};
use crate::support::{Api, Bench, Disk, desk, name, package, publisher_key};

/// 1.0.0 is signed by a key that is trusted beside the one of the newer versions, and deployed nowhere.
async fn two_publishers() -> (Api, SigningKey) {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let old = trusted(&api, "acme-old").await;
    api.send(upload(&api, "acme-crm", "1.0.0", &old)).await.with(201);
    let key = trusted(&api, "acme-new").await;
    api.send(upload(&api, "acme-crm", "1.1.0", &key)).await.with(201);
    (api, key)
}

async fn deploy_acme(api: &Api) -> Value {
    let mut project = serde_json::to_value(desk()).unwrap();
    project["connections"]["tracker"]["connector"] = json!("acme-crm");
    api.post("/v1/environments/prod/deployments", &json!({ "project": project })).await.with(201)
}

async fn versions(api: &Api) -> Vec<(String, bool, bool)> {
    let listed = api.get("/v1/connectors/acme-crm/versions").await.with(200);
    let of = |one: &Value| {
        let text = one["version"].as_str().unwrap().to_owned();
        (text, one["revoked_at"].is_string(), one["key_revoked"] == true)
    };
    listed["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_shown_as_revoked_and_is_not_the_newest() {
    let (api, key) = two_publishers().await;
    let made = deploy_acme(&api).await;
    assert_eq!(made["connectors"]["acme-crm"]["version"], "1.1.0");
    let revoked = api.post("/v1/publishers/acme-new/revoke", &json!({})).await.with(200);
    let expected = json!({ "names": ["acme-new"], "key": key.public().to_string(), "environments": ["prod"] });
    assert_eq!(revoked, expected);
    assert_eq!(versions(&api).await, [("1.1.0".to_owned(), true, true), ("1.0.0".to_owned(), false, false)]);
    let newest = api.get("/v1/connectors").await.with(200);
    let newest = newest["items"].as_array().unwrap().iter().find(|one| one["name"] == "acme-crm").unwrap().clone();
    assert_eq!((&newest["version"], newest.get("revoked_at")), (&json!("1.0.0"), None));

    // Nobody gets it by name either, and it is not published again.
    let asked = json!({ "action": "upgrade", "version": "1.1.0" });
    api.post("/v1/environments", &json!({ "name": "quay", "group": "berlin" })).await.with(201);
    let refused = api.post("/v1/environments/quay/connectors/acme-crm/move", &asked).await;
    assert_eq!(refused.problem(409), "publisher.key_revoked");
    assert_eq!(api.send(upload(&api, "acme-crm", "1.2.0", &key)).await.problem(409), "publisher.key_revoked");

    let bench = restarted(api).await;
    let marks = async || {
        let all = bench.ledger.connectors(Some(name("acme-crm"))).await.unwrap();
        all.into_iter().map(|one| (one.revoked_ms.is_some(), one.key_revoked)).collect::<Vec<_>>()
    };
    assert_eq!(marks().await, [(true, true), (false, false)]);
    // By itself it can be revoked, too.
    let version = "1.1.0".parse().unwrap();
    let (_, stopped) = bench.ledger.revoke_release("ada".to_owned(), name("acme-crm"), version).await.unwrap();
    assert_eq!((stopped, marks().await[0]), ([name("prod")].into(), (true, false)));
}

#[tokio::test]
async fn a_new_environment_gets_no_version_of_a_revoked_key() {
    let (api, _) = two_publishers().await;
    api.post("/v1/publishers/acme-new/revoke", &json!({})).await.with(200);
    let made = deploy_acme(&api).await;
    assert_eq!(made["connectors"]["acme-crm"]["version"], "1.0.0");
}

#[tokio::test]
async fn a_key_has_one_name() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let key = trusted(&api, "acme").await;
    let again = json!({ "name": "other", "key": key.public().to_string(), "prefix": "*" });
    assert_eq!(api.post("/v1/publishers", &again).await.problem(409), "publisher.key_named");
    assert_eq!(api.delete("/v1/publishers/acme").await.status, 204);
    api.post("/v1/publishers", &again).await.with(201);
}

#[tokio::test]
async fn a_list_of_operators_names_no_key_twice_and_what_it_revokes_is_not_published() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let key = trusted(&api, "acme").await;
    api.send(upload(&api, "acme-crm", "1.0.0", &key)).await.with(201);
    let operator = publisher_key();
    let shown = api.get("/v1/catalogue/publishers").await.with(200);
    let (mut list, _) = PublishersList::read(shown["envelope"].to_string().as_bytes()).unwrap();
    list.version += 1;
    list.operators = vec![operator.public()];
    list.expires_ms += 86_400_000;
    let put = async |list: &PublishersList| {
        let envelope: Value = serde_json::from_slice(&list.sign(&operator).unwrap().to_json()).unwrap();
        api.put("/v1/catalogue/publishers", &json!({ "envelope": envelope })).await
    };
    let mut twice = list.clone();
    twice.publishers.push(Publisher { name: "other".to_owned(), key: key.public(), prefix: Prefix::all() });
    assert_eq!(put(&twice).await.problem(409), "publisher.key_named");
    // It names the publisher still, as a hand-made list may.
    list.revoked_keys.insert(key.public());
    put(&list).await.with(200);
    assert_eq!(versions(&api).await, [("1.0.0".to_owned(), true, true)]);
    assert_eq!(api.get("/v1/publishers").await.with(200)["items"], json!([]));
    let (envelope, wasm) = package("acme-crm", "1.1.0", &key);
    assert_eq!(api.send(raw(&api, &envelope, &wasm)).await.problem(409), "publisher.key_revoked");
}
