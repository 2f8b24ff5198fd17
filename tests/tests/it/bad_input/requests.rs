//! Requests that make no sense, come from nobody, or are too large.

use anyhow::{Context, Result};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use wherry_tests::world::{Api, World};

use super::state;

const MALFORMED: &str = "request.invalid";
const RUNS: &str = "/v1/environments/prod/operations/read/runs";
const TOKENS: &str = "/v1/groups/berlin/enrolment-tokens";

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_its_code_and_changes_nothing() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let before = state(&world).await?;
    let api = &world.api;
    for body in ["", "{", "[]", "null", "{\"name\": \"x\"}", "{\"name\": 1, \"group\": \"g\"}", "\u{feff}{}"] {
        check(api, raw(api, "/v1/environments", body), 422, MALFORMED).await?;
    }
    let unknown = json!({ "name": "test", "group": "berlin", "colour": "red" });
    let refused = api.post("/v1/environments", &unknown).await?.refused(422, MALFORMED)?;
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("colour")), "{refused}");
    for (path, body, code) in [
        (TOKENS, json!({ "token_id": "../x", "auth_hash": hash(), "expires_in_s": 60 }), MALFORMED),
        (TOKENS, json!({ "token_id": "x", "auth_hash": "sha256:12", "expires_in_s": 60 }), MALFORMED),
        (TOKENS, json!({ "token_id": "x", "auth_hash": hash(), "expires_in_s": 86_401 }), "token.life_invalid"),
        (TOKENS, json!({ "token_id": "x", "auth_hash": hash(), "expires_in_s": 0 }), "token.life_invalid"),
        ("/v1/publishers", json!({ "name": "x", "key": "ed25519:short" }), MALFORMED),
        ("/v1/publishers", json!({ "name": "a b", "key": world.publisher.public().to_string() }), MALFORMED),
        ("/v1/tokens", json!({ "name": "", "scopes": ["read"] }), MALFORMED),
        ("/v1/tokens", json!({ "name": "x", "scopes": [] }), MALFORMED),
        ("/v1/tokens", json!({ "name": "x", "scopes": ["root"] }), MALFORMED),
        (RUNS, json!({ "variables": { "colour": "red" } }), "run.variable_unknown"),
        (RUNS, json!({ "variables": { "size": "x".repeat(33 << 10) } }), "run.variables_too_large"),
    ] {
        api.post(path, &body).await?.refused(422, code).with_context(|| body.to_string())?;
    }
    let key = "k".repeat(129);
    let long = api.request(Method::POST, RUNS).header("idempotency-key", key).json(&json!({}));
    check(api, long, 422, "request.idempotency_invalid").await?;
    for (path, code) in [
        ("/v1/runs?limit=0", "request.query_invalid"),
        ("/v1/runs?limit=201", "request.query_invalid"),
        ("/v1/runs?colour=red", "request.query_invalid"),
        ("/v1/runs?cursor=nonsense", "request.cursor_invalid"),
        ("/v1/runs/run_12", "request.path_invalid"),
        ("/v1/environments/PROD", "request.path_invalid"),
    ] {
        api.get(path).await?.refused(422, code)?;
    }
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn a_name_that_could_be_taken_for_something_else_is_refused() -> Result<()> {
    let world = World::start().await?;
    let before = state(&world).await?;
    let long = "x".repeat(64);
    let names = [
        "",
        "a/b",
        "a:b",
        "../x",
        "..",
        "-a",
        "A",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "\u{202e}a",
        "{{7*7}}",
        "${x}",
        "a_b",
        &long,
    ];
    for name in names {
        let answer = world.api.post("/v1/environments", &json!({ "name": name, "group": "berlin" })).await?;
        let refused = answer.refused(422, MALFORMED).with_context(|| format!("{name:?}"))?;
        let echoed =
            refused["detail"].as_str().is_some_and(|detail| detail.chars().any(|c| c.is_control() || c == '\u{202e}'));
        assert!(!echoed, "{refused}");
        world.api.post("/v1/environments", &json!({ "name": "test", "group": name })).await?.refused(422, MALFORMED)?;
    }
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_its_own_code() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let before = state(&world).await?;
    let run = format!("run_{:032x}", 7);
    let nobody = json!({ "token_id": "x", "auth_hash": hash(), "expires_in_s": 60 });
    for (method, path, body, code) in [
        (Method::GET, "/v1/environments/test", json!(null), "environment.not_found"),
        (Method::POST, "/v1/environments/test/operations/read/runs", json!({}), "environment.not_found"),
        (Method::POST, "/v1/environments/prod/operations/rea/runs", json!({}), "operation.not_found"),
        (Method::GET, "/v1/agents/nobody", json!(null), "agent.not_found"),
        (Method::POST, "/v1/agents/nobody/drain", json!({}), "agent.not_found"),
        (Method::GET, "/v1/connectors/nothing/versions", json!(null), "connector.not_found"),
        (Method::DELETE, "/v1/publishers/nobody", json!(null), "publisher.not_found"),
        (Method::POST, "/v1/groups/paris/enrolment-tokens", nobody, "group.not_found"),
        (Method::GET, &format!("/v1/runs/{run}"), json!(null), "run.not_found"),
        (Method::POST, &format!("/v1/runs/{run}/cancel"), json!({}), "run.not_found"),
        (Method::GET, "/v1/nowhere", json!(null), "request.path_unknown"),
    ] {
        let request = world.api.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        check(&world.api, request, 404, code).await.with_context(|| path.to_owned())?;
    }
    let near = world.api.post("/v1/environments/prod/operations/rea/runs", &json!({})).await?;
    assert!(near.body["detail"].as_str().is_some_and(|detail| detail.contains("did you mean read?")), "{near:?}");
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn a_body_that_is_too_large_or_of_another_kind_is_refused_unread() -> Result<()> {
    let world = World::start().await?;
    let before = state(&world).await?;
    let api = &world.api;
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20));
    check(api, raw(api, "/v1/environments", &large), 413, "request.too_large").await?;
    let package = vec![b'x'; 33 << 20];
    assert_eq!(api.publish(package).await?.code(), "request.too_large");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = api.request(Method::POST, "/v1/environments").header("content-type", kind).body("{}");
        check(api, request, 415, "request.media_type").await?;
        let request = api.request(Method::POST, "/v1/connectors").header("content-type", kind).body("{}");
        check(api, request, 415, "request.media_type").await?;
    }
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn nobody_does_more_than_the_token_allows() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let mut callers = Vec::new();
    for scope in ["read", "run", "deploy", "admin"] {
        let made = world.api.post("/v1/tokens", &json!({ "name": scope, "scopes": [scope] })).await?.accepted()?;
        callers.push(world.api.with_token(made["token"].as_str().context("no token")?));
    }
    let short = json!({ "name": "short", "scopes": ["admin"], "expires_in_s": 0 });
    let expired = world.api.post("/v1/tokens", &short).await?.accepted()?;
    let before = state(&world).await?;
    let needs = [
        (1, Method::POST, "/v1/environments/prod/operations/read/runs", json!({ "variables": { "x": 1 } })),
        (2, Method::POST, "/v1/environments/prod/deployments", json!({ "project": world.desk().json() })),
        (3, Method::POST, "/v1/environments", json!({ "name": "prod", "group": "berlin" })),
        (3, Method::POST, "/v1/agents/nobody/lock", json!({})),
        (3, Method::POST, "/v1/backup", json!({})),
        (3, Method::GET, "/v1/audit", json!(null)),
    ];
    for (least, method, path, body) in &needs {
        for (held, caller) in callers.iter().enumerate() {
            let request = caller.request(method.clone(), path);
            let answer = caller.send(if body.is_null() { request } else { request.json(body) }).await?;
            let refused = (answer.status, answer.code()) == (403, "auth.scope_missing");
            assert_eq!(refused, held < *least, "{path} with scope {held}: {answer:?}");
        }
        let expired = world.api.with_token(expired["token"].as_str().context("no token")?);
        for nobody in [world.api.with_token("whp_guessed"), expired] {
            check(&nobody, nobody.request(method.clone(), path), 401, "auth.token_invalid").await?;
        }
    }
    let bare = reqwest::Client::builder().no_proxy().build()?.get(world.api.address("/v1/status"));
    check(&world.api, bare, 401, "auth.token_missing").await?;
    assert_eq!(state(&world).await?, before);
    world.close().await
}

/// A POST of exactly these bytes as JSON.
fn raw(api: &Api, path: &str, body: &str) -> RequestBuilder {
    api.request(Method::POST, path).header("content-type", "application/json").body(body.to_owned())
}

async fn check(api: &Api, request: RequestBuilder, status: u16, code: &str) -> Result<Value> {
    api.send(request).await?.refused(status, code)
}

fn hash() -> String {
    format!("sha256:{}", "0".repeat(64))
}
