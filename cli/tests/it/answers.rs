//! What scripts build on: exit codes of actions, how long one waits, JSON that is nothing but JSON, names that are none.

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

const RUN: &str = "run_019900000000700080000000000000aa";
const ACTION: &str = "/v1/environments/prod/actions/crm/query";
const CALL: [&str; 6] = ["action", "call", "crm", "query", "--environment", "prod"];

#[tokio::test]
async fn an_action_whose_time_is_up_or_that_failed_has_its_own_exit_code_and_is_not_sent_again() {
    let table = [
        (504, "action.timed_out", 7),
        (504, "action.unknown", 8),
        (502, "http.server_error", 8),
        (422, "http.params_invalid", 8),
        (403, "agent_policy.host", 8),
    ];
    for (status, code, exit) in table {
        let sent = Arc::new(Mutex::new(0));
        let counter = sent.clone();
        let answer = move || async move {
            *counter.lock().unwrap() += 1;
            refusal(status, json!({"code": code, "detail": "no", "run": RUN}))
        };
        let ended = wherry(Router::new().route(ACTION, post(answer)), &CALL).await;
        assert_eq!((ended.status.code(), *sent.lock().unwrap()), (Some(exit), 1), "{code}: {}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains(code));
    }
    let input = json!({"code": "action.input_invalid", "detail": "no"});
    let ended = wherry(Router::new().route(ACTION, post(move || async { refusal(422, input) })), &CALL).await;
    assert_eq!(ended.status.code(), Some(2));
}

#[tokio::test]
async fn a_throttled_action_waits_no_longer_than_its_caller_and_then_with_the_time_that_is_left() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let router = |wait: u64, refusals: usize| {
        let asked = asked.clone();
        let answer = move |Query(query): Query<Vec<(String, String)>>| async move {
            let timeout = query.into_iter().find(|(key, _)| key == "timeout").unwrap().1;
            let mut asked = asked.lock().unwrap();
            asked.push(timeout);
            if asked.len() <= refusals {
                refusal(429, json!({"code": "action.throttled", "detail": "called too often", "retry_after_ms": wait}))
            } else {
                Json(json!({"run": RUN, "read": 1})).into_response()
            }
        };
        Router::new().route(ACTION, post(answer))
    };
    let call = [CALL.as_slice(), &["--timeout", "2s"]].concat();
    // Far less than it would take to come back.
    let ended = tokio::time::timeout(Duration::from_secs(15), wherry(router(20_000, 9), &call)).await.unwrap();
    assert_eq!(ended.status.code(), Some(9), "{}", text(&ended.stderr));
    assert_eq!(asked.lock().unwrap().drain(..).count(), 1, "it was asked again");
    let call = [CALL.as_slice(), &["--timeout", "30s"]].concat();
    let ended = wherry(router(300, 1), &call).await;
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let left: Vec<u64> = asked.lock().unwrap().iter().map(|text| milliseconds(text)).collect();
    assert!(left.len() == 2 && left[0] <= 30_000 && left[1] <= left[0] - 300, "{left:?}");
}

fn milliseconds(text: &str) -> u64 {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().unwrap(),
        None => text.strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1_000,
    }
}

#[tokio::test]
async fn with_json_stderr_has_one_document_whatever_a_command_remarks() {
    let base = "/v1/environments/prod/connectors/http/plan";
    let plan = json!({"from": "1.0.0", "to": "1.1.0", "activities_added": ["update"], "schemas_changed": []});
    let router = Router::new().route(base, post(move || async { Json(plan) }));
    let ended = wherry(router, &["connector", "upgrade", "http", "--environment", "prod", "--output", "json"]).await;
    assert_eq!(ended.status.code(), Some(2));
    let problem: Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!(problem["code"], "client.confirmation_needed");
    assert!(problem["notes"].as_array().unwrap().contains(&json!("new activity: update")), "{problem}");
    let revoked = json!({"name": "http", "version": "1.0.0", "environments": ["prod"]});
    let path = "/v1/connectors/http/versions/1.0.0/revoke";
    let router = || {
        Router::new().route(
            path,
            post({
                let revoked = revoked.clone();
                move || async { Json(revoked) }
            }),
        )
    };
    let command = ["connector", "revoke", "http", "1.0.0", "--yes"];
    let ended = wherry(router(), &[command.as_slice(), &["--output", "json"]].concat()).await;
    assert_eq!(serde_json::from_slice::<Value>(&ended.stdout).unwrap(), revoked);
    let remarks: Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert!(remarks["notes"][0].as_str().unwrap().starts_with("prod still names it"), "{remarks}");
    let ended = wherry(router(), &command).await;
    assert!(text(&ended.stderr).starts_with("prod still names it"), "{}", text(&ended.stderr));
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_before_anything_is_asked() {
    for name in ["", ".", ".."] {
        // Without it the request would mean the list.
        let router = Router::new().route("/v1/agents", get(|| async { Json(json!({"items": []})) }));
        let ended = wherry(router, &["agent", "show", name]).await;
        assert_eq!(ended.status.code(), Some(2), "{}", text(&ended.stdout));
        let said = text(&ended.stderr);
        assert!(said.contains("client.name_empty") && said.contains("among agents"), "{said}");
    }
}

#[tokio::test]
async fn a_connector_that_an_environment_does_not_use_is_not_found() {
    let listed = json!({"items": [{"connector": "http", "version": "1.0.0"}], "next_cursor": null});
    let router = || {
        let listed = listed.clone();
        Router::new().route("/v1/environments/dev/connectors", get(move || async { Json(listed) }))
    };
    let ended = wherry(router(), &["connector", "versions", "nosuch", "--environment", "dev"]).await;
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stdout));
    assert!(text(&ended.stderr).contains("lock.connector_missing"));
    let ended = wherry(router(), &["connector", "versions", "http", "--environment", "dev"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
}

fn refusal(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the tool against the router.
async fn wherry(router: Router, arguments: &[&str]) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_wherry"));
    command.env("WHERRY_CONFIG", "/nowhere/config.toml").env("WHERRY_URL", url).env("WHERRY_TOKEN", "whp_test");
    tokio::select! {
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
        output = command.args(arguments).kill_on_drop(true).output() => output.unwrap(),
    }
}
