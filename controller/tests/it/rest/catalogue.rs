//! Publishers, connectors and deployments.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};
use wherry_trust::keys::SigningKey;

use crate::support::{Api, Bench, Disk, desk, package, publisher_key};

#[tokio::test]
async fn a_connector_is_published_once_and_listed_by_its_newest_version() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let key = trusted(&api, "acme").await;
    let first = api.send(upload(&api, "acme-crm", "1.2.0", &key)).await.with(201);
    assert_eq!((&first["publisher"], &first["version"]), (&json!("acme"), &json!("1.2.0")));
    assert_eq!(first["activities"][0], json!({ "name": "list", "kind": "source", "side_effects": "read" }));
    assert_eq!(first.get("unchanged"), None);
    let again = api.send(upload(&api, "acme-crm", "1.2.0", &key)).await.with(200);
    let seen = |one: &Value| [&one["digest"], &one["published_at"]].map(Clone::clone);
    assert_eq!((seen(&again), &again["unchanged"]), (seen(&first), &json!(true)));
    api.send(upload(&api, "acme-crm", "1.10.0", &key)).await.with(201);
    api.send(upload(&api, "acme-crm", "1.9.0", &key)).await.with(201);
    let newest = api.get("/v1/connectors").await.with(200);
    let shown: Vec<_> = newest["items"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(shown, ["1.10.0"]);
    let versions = api.get("/v1/connectors/acme-crm/versions").await.with(200);
    let shown: Vec<_> = versions["items"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(shown, ["1.10.0", "1.9.0", "1.2.0"]);
}

#[tokio::test]
async fn a_connector_that_is_not_what_was_signed_or_by_nobody_trusted_is_refused() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let key = trusted(&api, "acme").await;
    let (envelope, mut wasm) = package("acme-crm", "1.0.0", &key);
    wasm[0] ^= 1;
    assert_eq!(api.send(raw(&api, &envelope, &wasm)).await.problem(422), "connector.altered");
    let (envelope, wasm) = package("acme-crm", "1.0.0", &publisher_key());
    assert_eq!(api.send(raw(&api, &envelope, &wasm)).await.problem(422), "connector.publisher_untrusted");
    let (envelope, wasm) = package("other-crm", "1.0.0", &key);
    assert_eq!(api.send(raw(&api, &envelope, &wasm)).await.problem(422), "release.prefix_foreign");
    let (envelope, wasm) = package("acme-crm", "1.0.0", &key);
    let mut forged: Value = serde_json::from_slice(&envelope).unwrap();
    let (other, _) = package("acme-crm", "2.0.0", &key);
    forged["payload"] = serde_json::from_slice::<Value>(&other).unwrap()["payload"].clone();
    let refused = api.send(raw(&api, forged.to_string().as_bytes(), &wasm)).await;
    assert_eq!(refused.problem(422), "connector.signature_invalid");
    assert_eq!(api.get("/v1/connectors").await.with(200)["items"], json!([]), "a refused one was kept");

    api.send(raw(&api, &envelope, &wasm)).await.with(201);
    let changed = {
        let wasm = b"the component, built again".to_vec();
        let release = crate::support::release("acme-crm", "1.0.0", &wasm);
        (wherry_trust::release::sign_release(&release, &key).unwrap().to_json(), wasm)
    };
    assert_eq!(api.send(raw(&api, &changed.0, &changed.1)).await.problem(409), "connector.version_exists");
    assert_eq!(api.delete("/v1/publishers/acme").await.status, 204);
    let (envelope, wasm) = package("acme-crm", "3.0.0", &key);
    assert_eq!(api.send(raw(&api, &envelope, &wasm)).await.problem(422), "connector.publisher_untrusted");
}

#[tokio::test]
async fn a_publisher_is_trusted_with_one_key() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let key = publisher_key().public().to_string();
    let new = |key: &str| json!({ "name": "acme", "key": key, "prefix": "acme-*" });
    api.post("/v1/publishers", &new(&key)).await.with(201);
    api.post("/v1/publishers", &new(&key)).await.with(201);
    let another = publisher_key().public().to_string();
    assert_eq!(api.post("/v1/publishers", &new(&another)).await.problem(409), "publisher.exists");
    for (field, value) in [("key", "ed25519:x"), ("prefix", "acme*"), ("name", "a b"), ("name", "")] {
        let mut wrong = new(&another);
        wrong[field] = json!(value);
        assert_eq!(api.post("/v1/publishers", &wrong).await.problem(422), "request.invalid", "{field} {value}");
    }
    let listed = api.get("/v1/publishers").await.with(200);
    assert_eq!((&listed["items"][0]["key"], &listed["items"][0]["prefix"]), (&json!(key), &json!("acme-*")));
}

#[tokio::test]
async fn a_project_is_checked_deployed_numbered_and_shown() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let path = "/v1/environments/prod/deployments";
    let deploy =
        async |project: &Value, dry_run: bool| api.post(path, &json!({ "project": project, "dry_run": dry_run })).await;
    let mut project = serde_json::to_value(desk()).unwrap();
    let same = deploy(&project, false).await.with(200);
    assert_eq!((&same["unchanged"], &same["number"]), (&json!(true), &json!(1)));
    project["description"] = json!("tickets");
    let trial = deploy(&project, true).await.with(200);
    assert_eq!((&trial["dry_run"], &trial["number"], trial.get("unchanged")), (&json!(true), &json!(2), None));
    let made = deploy(&project, false).await.with(201);
    assert_eq!((&made["number"], &made["created_by"]), (&json!(2), &json!("administrator")));
    assert_eq!(made["connectors"]["http"]["version"], "1.0.0");
    let shown = api.get(&format!("/v1/deployments/{}", made["id"].as_str().unwrap())).await.with(200);
    assert_eq!(shown["snapshot"]["project"]["description"], "tickets");
    let listed = api.get(&format!("{path}?project=desk")).await.with(200);
    assert_eq!(listed["items"].as_array().unwrap().iter().map(|one| &one["number"]).collect::<Vec<_>>(), [2, 1]);
    let operations = api.get("/v1/environments/prod/operations").await.with(200);
    let post = operations["items"].as_array().unwrap().iter().find(|one| one["name"] == "post").unwrap();
    assert_eq!((&post["side_effects"], &post["target"]["activity"]), (&json!("unsafe"), &json!("post")));

    project["operations"]["look"]["source"]["activity"] = json!("lst");
    project["operations"]["copy"]["timeout"] = json!("48h");
    let refused = deploy(&project, false).await;
    let errors = refused.json()["errors"].clone();
    assert_eq!(refused.problem(422), "project.invalid");
    assert_eq!(errors.as_array().unwrap().len(), 2);
    let expected = ["operations", "look", "source", "activity"].map(Value::from);
    let fault = errors.as_array().unwrap().iter().find(|fault| fault["suggestion"] == "list").unwrap();
    assert_eq!(
        (fault["path"].as_array().unwrap().as_slice(), &fault["code"]),
        (expected.as_slice(), &json!("project.activity_unknown"))
    );
    project["operations"]["look"]["colour"] = json!("blue");
    assert_eq!(deploy(&project, false).await.problem(422), "request.invalid");
}

#[tokio::test]
async fn programs_are_compiled_before_a_project_is_deployed_and_kept_as_they_are() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let path = "/v1/environments/prod/deployments";
    let mut project = serde_json::to_value(desk()).unwrap();
    project["operations"]["copy"]["when"] = json!(".open and\n  $vrs.all");
    project["operations"]["look"]["transform"] = json!(".a | env");
    let refused = api.post(path, &json!({ "project": project })).await;
    let errors = refused.json()["errors"].clone();
    assert_eq!(refused.problem(422), "project.invalid");
    let told = |index: usize, key: &str| errors[index][key].clone();
    assert_eq!(told(0, "path"), json!(["operations", "copy", "when"]));
    assert_eq!((told(0, "code"), told(0, "at")), (json!("transform.invalid"), json!({ "line": 2, "column": 3 })));
    assert_eq!((told(0, "suggestion"), told(1, "at")), (json!("$vars"), json!({ "line": 1, "column": 6 })));
    project["operations"]["copy"]["when"] = json!(".open");
    project["operations"]["look"]["transform"] = json!("def f: f; f");
    let made = api.post(path, &json!({ "project": project })).await.with(201);
    let shown = api.get(&format!("/v1/deployments/{}", made["id"].as_str().unwrap())).await.with(200);
    assert_eq!(shown["snapshot"]["project"]["operations"]["copy"]["when"], ".open");
}

#[tokio::test]
async fn the_same_component_under_a_new_version_is_handed_out_as_that_version() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let agent = crate::support::Agent::enrol(&api.bench, "pier-1", 1).await;
    let key = trusted(&api, "crm-team").await;
    let wasm = b"a build that can be repeated".to_vec();
    for version in ["1.0.0", "1.0.1"] {
        let release = crate::support::release("acme-crm", version, &wasm);
        let envelope = wherry_trust::release::sign_release(&release, &key).unwrap().to_json();
        api.send(raw(&api, &envelope, &wasm)).await.with(201);
    }
    let mut project = serde_json::to_value(desk()).unwrap();
    project["connections"]["tracker"]["connector"] = json!("acme-crm");
    let body = json!({ "project": project });
    let made = api.post("/v1/environments/prod/deployments", &body).await.with(201);
    let pin = &made["connectors"]["acme-crm"];
    assert_eq!(pin["version"], "1.0.1");
    let digest = pin["digest"].as_str().unwrap().parse().unwrap();
    let handed = api.bench.ledger.connector_for(agent.identity, digest).await.unwrap();
    assert_eq!(handed.version.to_string(), "1.0.1", "the agent would refuse the release of another version");
}

/// A key that may sign for `acme-*`.
pub(super) async fn trusted(api: &Api, called: &str) -> SigningKey {
    let key = publisher_key();
    let new = json!({ "name": called, "key": key.public().to_string(), "prefix": "acme-*" });
    api.post("/v1/publishers", &new).await.with(201);
    key
}

pub(super) fn upload(api: &Api, connector: &str, version: &str, key: &SigningKey) -> Request<Body> {
    let (envelope, wasm) = package(connector, version, key);
    raw(api, &envelope, &wasm)
}

pub(super) fn raw(api: &Api, envelope: &[u8], wasm: &[u8]) -> Request<Body> {
    let package = [envelope, b"\n", wasm].concat();
    let mut request = api.request(Method::POST, "/v1/connectors", Body::from(package));
    request.headers_mut().insert("content-type", "application/vnd.wherry.connector".parse().unwrap());
    request
}
