//! The behaviour that demonstrations and fault tests rely on.
#![cfg(test)]

mod jsm;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use wherry_sandbox::{Outcome, Sandbox};

#[tokio::test]
async fn the_desk_pages_through_every_request_exactly_once() {
    let sandbox = Sandbox::new(25);
    let mut ids = Vec::new();
    for page in 1..=4 {
        let answer = send(&sandbox, desk(&sandbox, &format!("/rest/requests?page={page}&size=10"))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = json_of(answer).await;
        assert_eq!(body["total"], 25);
        ids.extend(body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
    }
    let expected: Vec<_> = (1..=25).map(|n| format!("REQ-{n:06}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn both_systems_refuse_callers_without_their_credentials() {
    let sandbox = Sandbox::new(1);
    for path in ["/rest/requests", "/rest/requests/REQ-000001", "/api/issues"] {
        let bare = Request::get(path).header("authorization", "Bearer guessed").body(Body::empty()).unwrap();
        let answer = send(&sandbox, bare).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.headers().contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_key_makes_a_repeated_create_one_effect_and_the_ledger_counts_both() {
    let sandbox = Sandbox::new(0);
    let issue = json!({"title": "Laptop", "external_id": "REQ-1"});
    let first = send(&sandbox, create(&sandbox, Some("k1"), &issue)).await;
    let again = send(&sandbox, create(&sandbox, Some("k1"), &issue)).await;
    assert_eq!((first.status(), again.status()), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(again.headers()["idempotent-replay"], "true");
    assert_eq!(json_of(first).await, json_of(again).await);
    let other = send(&sandbox, create(&sandbox, Some("k1"), &json!({"title": "Other"}))).await;
    assert_eq!(other.status(), StatusCode::CONFLICT);
    let ledger = sandbox.ledger();
    assert_eq!((ledger.created, ledger.replayed), (1, 1));
    assert!(ledger.duplicates.is_empty());
    assert_eq!(ledger.entries[1].outcome, Outcome::Replayed);
}

#[tokio::test]
async fn without_a_key_a_repeated_create_is_a_duplicate_that_the_ledger_names() {
    let sandbox = Sandbox::new(0);
    let issue = json!({"title": "Laptop", "external_id": "REQ-1"});
    for _ in 0..2 {
        assert_eq!(send(&sandbox, create(&sandbox, None, &issue)).await.status(), StatusCode::CREATED);
    }
    let ledger = json_of(send(&sandbox, Request::get("/_ledger").body(Body::empty()).unwrap()).await).await;
    assert_eq!(ledger["created"], 2);
    assert_eq!(ledger["duplicates"], json!({"REQ-1": 2}));
}

#[tokio::test]
async fn records_without_a_name_of_their_own_are_known_by_their_content() {
    let sandbox = Sandbox::new(0);
    for issue in
        [json!({"title": "a"}), json!({"title": "b"}), json!({"title": "a"}), json!({"title": "a", "labels": ["x"]})]
    {
        send(&sandbox, create(&sandbox, None, &issue)).await;
    }
    let ledger = sandbox.ledger();
    assert_eq!((ledger.created, ledger.duplicates.len()), (4, 1));
    let (record, issues) = ledger.duplicates.first_key_value().unwrap();
    assert_eq!((record, *issues), (&format!("content {}", ledger.entries[0].content), 2));
}

#[tokio::test]
async fn the_tracker_refuses_an_issue_it_does_not_understand() {
    let sandbox = Sandbox::new(0);
    let bad = [json!({}), json!({"title": " "}), json!({"title": "x", "colour": "red"}), json!({"title": 7})];
    for issue in bad {
        let answer = send(&sandbox, create(&sandbox, None, &issue)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{issue}");
    }
    assert_eq!(sandbox.ledger().created, 0);
}

#[tokio::test]
async fn a_fault_strikes_as_often_as_its_rule_says_and_after_the_effect_if_told_so() {
    let sandbox = Sandbox::new(0);
    set_faults(
        &sandbox,
        json!([{"path": "/api/issues", "method": "POST", "fault": "error", "when": "after", "skip": 1, "times": 1}]),
    )
    .await;
    let mut statuses = Vec::new();
    for key in ["a", "b", "b"] {
        let issue = json!({"title": "t", "external_id": key});
        statuses.push(send(&sandbox, create(&sandbox, Some(key), &issue)).await.status().as_u16());
    }
    assert_eq!(statuses, [201, 500, 200]);
    assert_eq!((sandbox.ledger().created, sandbox.ledger().replayed), (2, 1));
}

#[tokio::test]
async fn every_kind_of_fault_answers_as_its_name_says() {
    let sandbox = Sandbox::new(0);
    for (fault, status) in [
        ("throttle", 429),
        ("reset", 429),
        ("unavailable", 503),
        ("error", 500),
        ("html", 200),
        ("empty", 200),
        ("slow", 200),
    ] {
        let request = Request::get(format!("/boom?fault={fault}&delay_ms=1")).body(Body::empty()).unwrap();
        let answer = send(&sandbox, request).await;
        assert_eq!(answer.status().as_u16(), status, "{fault}");
        assert_eq!(answer.headers().contains_key("retry-after"), matches!(fault, "throttle" | "unavailable"));
    }
    let half = send(&sandbox, Request::get("/boom?fault=half").body(Body::empty()).unwrap()).await;
    assert!(half.into_body().collect().await.is_err());
}

#[tokio::test]
async fn the_benchmark_answer_has_exactly_1024_bytes() {
    let sandbox = Sandbox::new(0);
    let answer = send(&sandbox, Request::get("/json/1k").body(Body::empty()).unwrap()).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 1024);
    assert!(serde_json::from_slice::<Value>(&body).is_ok());
}

async fn send(sandbox: &Arc<Sandbox>, request: Request<Body>) -> Response {
    sandbox.clone().router().oneshot(request).await.unwrap()
}

async fn set_faults(sandbox: &Arc<Sandbox>, rules: Value) {
    let request = Request::put("/_faults").header("content-type", "application/json");
    let answer = send(sandbox, request.body(Body::from(rules.to_string())).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

fn desk(sandbox: &Sandbox, path: &str) -> Request<Body> {
    let basic = &sandbox.credentials().desk;
    let value = STANDARD.encode(format!("{}:{}", basic.username, basic.password));
    Request::get(path).header("authorization", format!("Basic {value}")).body(Body::empty()).unwrap()
}

fn create(sandbox: &Sandbox, key: Option<&str>, issue: &Value) -> Request<Body> {
    let token = &sandbox.credentials().tracker.token;
    let mut request = Request::post("/api/issues").header("authorization", format!("Bearer {token}"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(Body::from(issue.to_string())).unwrap()
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}
