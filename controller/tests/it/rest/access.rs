//! Who may call, and what.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use serde_json::json;
use wherry_controller::model::Scope;

use crate::support::{Api, Bench, Disk};

#[tokio::test]
async fn a_caller_without_a_valid_token_is_told_so_and_nothing_more() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let expiring = api.token(&[Scope::Admin], Some(60)).await;
    let with = |value: &str| {
        let request = Request::builder().uri("/v1/whoami").header(header::AUTHORIZATION, value);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(api.send(with(&format!("Bearer {expiring}"))).await.status, 200);
    api.bench.pass(Duration::from_secs(60)).await;

    let missing = Request::builder().uri("/v1/whoami").body(Body::empty()).unwrap();
    let answer = api.send(missing).await;
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(answer.problem(401), "auth.token_missing");
    assert_eq!(api.send(with("Basic YTpi")).await.problem(401), "auth.token_missing");
    let unknown = wherry_trust::access::AccessToken::generate().unwrap().reveal().to_string();
    let mut altered = api.token.clone();
    let last = if altered.pop() == Some('0') { '1' } else { '0' };
    altered.push(last);
    let mut bodies = Vec::new();
    for token in [expiring.as_str(), &unknown, &altered, "", "whp_", "x", &"x".repeat(9_000)] {
        let answer = api.send(with(&format!("Bearer {token}"))).await;
        bodies.push(answer.json()["detail"].clone());
        assert_eq!(answer.problem(401), "auth.token_invalid", "{token}");
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the answers tell apart why a token is refused: {bodies:?}");
    assert_eq!(api.send(with(&format!("bearer {}", api.token))).await.status, 200, "a scheme has no case");
}

#[tokio::test]
async fn a_token_does_what_its_scope_says_and_no_more() {
    let mut api = Api::of(Bench::ready(Disk::memory()).await).await;
    let run = format!("/v1/runs/{}", api.bench.submit("look").await);
    let submit = "/v1/environments/prod/operations/look/runs";
    let deployment = json!({ "project": crate::support::desk(), "dry_run": true });
    let environment = json!({ "name": "test", "group": "berlin" });
    let tokens = [Scope::Read, Scope::Run, Scope::Deploy, Scope::Admin];
    for scope in tokens {
        api.token = api.token(&[scope], None).await;
        let answers = [
            (Scope::Read, api.get(&run).await),
            (Scope::Run, api.post(submit, &json!({})).await),
            (Scope::Run, api.post(&format!("{run}/cancel"), &json!(null)).await),
            (Scope::Deploy, api.post("/v1/environments/prod/deployments", &deployment).await),
            (Scope::Admin, api.get("/v1/tokens").await),
            (Scope::Admin, api.get("/v1/audit").await),
            (Scope::Admin, api.post("/v1/environments", &environment).await),
        ];
        for (needed, answer) in answers {
            if scope >= needed {
                assert!(answer.status.is_success(), "{scope:?} may not {needed:?}: {}", answer.text());
            } else {
                assert_eq!(answer.problem(403), "auth.scope_missing", "{scope:?} may {needed:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends_when_it_is_revoked() {
    let mut api = Api::of(Bench::open(Disk::memory())).await;
    let new = json!({ "name": "ci", "scopes": ["run", "read"], "expires_in_s": 3600 });
    let made = api.post("/v1/tokens", &new).await.with(201);
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whp_"));
    let listed = api.get("/v1/tokens").await;
    assert!(!listed.text().contains(&secret[15..40]), "the list shows a secret");
    let listed = listed.with(200);
    let one = listed["items"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
    assert_eq!((one["name"].as_str(), one["expires_at"].is_string()), (Some("ci"), true));

    let administrator = std::mem::replace(&mut api.token, secret);
    let whoami = api.get("/v1/whoami").await.with(200);
    assert_eq!((&whoami["token"], &whoami["scopes"]), (&json!("ci"), &json!(["run", "read"])));
    assert!(whoami["organisation"].as_str().unwrap().starts_with("org_"));
    let ci = std::mem::replace(&mut api.token, administrator);
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.delete(&path).await.problem(404), "token.not_found");
    api.token = ci;
    assert_eq!(api.get("/v1/whoami").await.problem(401), "auth.token_invalid");
}

#[tokio::test]
async fn a_body_is_not_read_before_its_sender_is_known() {
    let api = Api::of(Bench::open(Disk::memory())).await;
    let body =
        Body::from_stream(futures::stream::poll_fn(|_| -> std::task::Poll<Option<Result<Vec<u8>, std::io::Error>>> {
            panic!("the body was read")
        }));
    let request = Request::builder().method(Method::POST).uri("/v1/connectors");
    let request = request.header(header::CONTENT_TYPE, "application/vnd.wherry.connector").body(body).unwrap();
    assert_eq!(api.send(request).await.problem(401), "auth.token_missing");
}
