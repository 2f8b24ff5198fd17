//! App registrations.

use serde_json::{Value, json};
use wherry_controller::model::Scope;

use crate::support::{Api, Bench, Disk};

const PATH: &str = "/v1/app-registrations";
const DEPLOY: &str = "/v1/environments/prod/deployments";

#[tokio::test]
async fn a_registration_completes_connections_and_a_choice_is_asked_for_only_where_there_is_one() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    assert_eq!(deploy(&api, &json!({})).await.0, 422);
    let added = api.post(PATH, &registration("ours", "http")).await.with(201);
    assert_eq!(added["redirect_uri"], "https://controller.example:8443/oauth/callback");
    assert_eq!((&added["client_secret"], &added["public_client"]), (&json!("client-secret"), &json!(false)));
    api.post(PATH, &registration("other", "helix")).await.with(201);
    let (status, deployed) = deploy(&api, &json!({})).await;
    assert_eq!(status, 201, "{deployed}");
    let shown = api.get(&format!("/v1/deployments/{}", deployed["id"].as_str().unwrap())).await.with(200);
    let auth = &shown["snapshot"]["project"]["connections"]["jira"]["auth"];
    assert_eq!((&auth["client_id"], &auth["application"]), (&json!("id-1"), &json!("ours")), "{shown}");
    assert_eq!(auth["token_url"], "https://auth.example/token");

    api.post(PATH, &registration("second", "http")).await.with(201);
    let (status, refused) = deploy(&api, &json!({})).await;
    assert_eq!((status, &refused["errors"][0]["code"]), (422, &json!("project.application_needed")));
    assert_eq!(refused["errors"][0]["path"], json!(["connections", "jira", "auth", "application"]));
    assert_eq!(deploy(&api, &json!({ "application": "second" })).await.0, 201);
    let refused = deploy(&api, &json!({ "application": "secod" })).await.1;
    assert_eq!((&refused["errors"][0]["suggestion"]), &json!("second"));
}

#[tokio::test]
async fn registrations_are_an_administrators_and_refused_field_by_field() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let token = api.token.clone();
    let deployer = Api { token: api.token(&[Scope::Deploy], None).await, ..api };
    assert_eq!(deployer.post(PATH, &registration("ours", "http")).await.problem(403), "auth.scope_missing");
    let api = Api { token, ..deployer };
    api.post(PATH, &registration("ours", "http")).await.with(201);
    assert_eq!(api.post(PATH, &registration("ours", "http")).await.problem(409), "application.exists");
    for (key, value) in [
        ("authorization_url", json!("http://auth.example/authorize")),
        ("token_url", json!("https://user@auth.example/token")),
        ("client_id", json!("")),
        ("redirect_uri", json!("javascript:alert(1)")),
    ] {
        let mut wrong = registration("wrong", "http");
        wrong[key] = value;
        assert_eq!(api.post(PATH, &wrong).await.problem(422), "application.invalid", "{key}");
    }
    let mut extra = registration("extra", "http");
    extra["client_secret_value"] = json!("hunter2");
    assert_eq!(api.post(PATH, &extra).await.problem(422), "request.invalid");
    let listed = api.get(PATH).await.with(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.delete(&format!("{PATH}/none")).await.problem(404), "application.not_found");
    assert_eq!(deploy(&api, &json!({})).await.0, 201);
    assert_eq!(api.delete(&format!("{PATH}/ours")).await.problem(409), "resource.in_use");
    api.delete("/v1/environments/prod/projects/accounts").await.with(204);
    api.delete(&format!("{PATH}/ours")).await.with(204);
    let Api { bench, router, .. } = api;
    drop(router);
    let bench = bench.restart().await;
    assert_eq!(bench.ledger.applications().await.unwrap().len(), 0);
}

fn registration(name: &str, connector: &str) -> Value {
    json!({
        "name": name, "connector": connector, "client_id": "id-1", "client_secret": "client-secret",
        "authorization_url": "https://auth.example/authorize", "token_url": "https://auth.example/token",
    })
}

/// Deploys a connection that leaves its client open.
async fn deploy(api: &Api, more: &Value) -> (u16, Value) {
    let mut auth = json!({ "type": "oauth2", "grant": "authorization_code" });
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let project = json!({
        "name": "accounts",
        "connections": { "jira": { "connector": "http", "url": "https://jira.example", "auth": auth } },
    });
    let answer = api.post(DEPLOY, &json!({ "project": project })).await;
    (answer.status.as_u16(), answer.json())
}
