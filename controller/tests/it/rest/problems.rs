//! What is refused, and how: each time a problem with a stable code that has a page.

use axum::{
    body::Body,
    http::{Method, header},
};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{Api, Bench, Disk};

const JSON: &str = "application/json";

#[tokio::test]
async fn a_request_that_makes_no_sense_is_a_problem_with_a_code() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let good = r#"{"name":"test","group":"berlin"}"#;
    let cases = [
        (422, "request.invalid", "POST", "/v1/environments", JSON, r#"{"name":"test","group":"berlin","owner":"me"}"#),
        (422, "request.invalid", "POST", "/v1/environments", JSON, r#"{"name":"Test","group":"berlin"}"#),
        (422, "request.invalid", "POST", "/v1/environments", JSON, r#"{"name":"test"}"#),
        (422, "request.invalid", "POST", "/v1/environments", JSON, r#"{"name":"test","group":"ber"#),
        (422, "request.invalid", "POST", "/v1/environments", JSON, "\u{0}\u{1}not json at all"),
        (422, "request.invalid", "POST", "/v1/environments", JSON, ""),
        (422, "request.invalid", "POST", "/v1/environments", "application/json; charset=utf-8", "[]"),
        // Its members in their order are no object either.
        (422, "request.invalid", "POST", "/v1/environments", JSON, " \r\n\t[\"test\",\"berlin\"]"),
        (415, "request.media_type", "POST", "/v1/environments", "text/plain", good),
        (415, "request.media_type", "POST", "/v1/environments", "application/jsonp", good),
        (415, "request.media_type", "POST", "/v1/environments", "", good),
        (415, "request.media_type", "POST", "/v1/connectors", JSON, good),
        (422, "connector.package_malformed", "POST", "/v1/connectors", "application/vnd.wherry.connector", "one line"),
        (422, "connector.release_malformed", "POST", "/v1/connectors", "application/vnd.wherry.connector", "{}\nwasm"),
        (422, "request.path_invalid", "GET", "/v1/environments/Prod", "", ""),
        (422, "request.path_invalid", "GET", "/v1/environments/%2e%2e%2fetc", "", ""),
        (422, "request.path_invalid", "GET", "/v1/runs/run_1", "", ""),
        (422, "request.path_invalid", "GET", "/v1/runs/agt_00000000000000000000000000000001", "", ""),
        (422, "request.query_invalid", "GET", "/v1/runs?limit=0", "", ""),
        (422, "request.query_invalid", "GET", "/v1/runs?limit=201", "", ""),
        (422, "request.query_invalid", "GET", "/v1/runs?limit=many", "", ""),
        (422, "request.query_invalid", "GET", "/v1/runs?sort=name", "", ""),
        (422, "request.query_invalid", "GET", "/v1/runs?state=done", "", ""),
        (422, "request.query_invalid", "GET", "/v1/audit?limit=-1", "", ""),
        (422, "request.cursor_invalid", "GET", "/v1/runs?cursor=next", "", ""),
        (422, "request.cursor_invalid", "GET", "/v1/audit?cursor=run_1", "", ""),
        (404, "request.path_unknown", "GET", "/v1/secrets", "", ""),
        (404, "request.path_unknown", "GET", "/", "", ""),
        (404, "request.path_unknown", "GET", "/v1/runs/", "", ""),
        (405, "request.method_unknown", "DELETE", "/v1/environments", "", ""),
        (405, "request.method_unknown", "PUT", "/v1/environments/prod", JSON, good),
        (404, "environment.not_found", "GET", "/v1/environments/nowhere", "", ""),
        (404, "environment.not_found", "DELETE", "/v1/environments/nowhere", "", ""),
        (404, "environment.not_found", "GET", "/v1/environments/nowhere/operations", "", ""),
        (404, "agent.not_found", "GET", "/v1/agents/nobody", "", ""),
        (404, "agent.not_found", "POST", "/v1/agents/%1b[2Jnobody/drain", "", ""),
        (404, "connector.not_found", "GET", "/v1/connectors/nothing/versions", "", ""),
        (404, "lock.connector_missing", "GET", "/v1/environments/prod/connectors/nothing/history", "", ""),
        (404, "publisher.not_found", "DELETE", "/v1/publishers/nobody", "", ""),
        (404, "run.not_found", "GET", "/v1/runs/run_00000000000000000000000000000001", "", ""),
        (404, "run.not_found", "GET", "/v1/runs/run_00000000000000000000000000000001/events", "", ""),
        (404, "run.not_found", "POST", "/v1/runs/run_00000000000000000000000000000001/cancel", "", ""),
        (404, "deployment.not_found", "GET", "/v1/deployments/dep_00000000000000000000000000000001", "", ""),
        (404, "group.not_found", "POST", "/v1/groups/nowhere/enrolment-tokens", JSON, TOKEN),
        (422, "token.life_invalid", "POST", "/v1/groups/berlin/enrolment-tokens", JSON, LONG_TOKEN),
        (409, "environment.exists", "POST", "/v1/environments", JSON, r#"{"name":"prod","group":"berlin"}"#),
    ];
    for (status, code, method, path, kind, body) in cases {
        let mut request = api.request(method.parse::<Method>().unwrap(), path, Body::from(body));
        if !kind.is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        let answer = api.send(request).await;
        let text = answer.text();
        assert!(!text.contains('\u{1b}'), "{method} {path} plays back what a terminal obeys");
        assert_eq!(answer.problem(status), code, "{method} {path} {body}: {text}");
    }
}

const TOKEN: &str = r#"{"token_id":"aaaaaaaaaa","expires_in_s":600,
    "auth_hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}"#;
const LONG_TOKEN: &str = r#"{"token_id":"aaaaaaaaaa","expires_in_s":90000,
    "auth_hash":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}"#;

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_without_being_kept() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let large = json!({ "name": "test", "group": "x".repeat(1 << 20) });
    assert_eq!(api.post("/v1/environments", &large).await.problem(413), "request.too_large");
    // Said by nobody beforehand: the length shows only as it arrives.
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])).take(10_000);
    let mut request = api.json("/v1/environments", &Value::Null);
    *request.body_mut() = Body::from_stream(endless);
    assert_eq!(api.send(request).await.problem(413), "request.too_large");
    let package = vec![b'x'; (33 << 20) + 1];
    let mut request = api.request(Method::POST, "/v1/connectors", Body::from(package));
    request.headers_mut().insert(header::CONTENT_TYPE, "application/vnd.wherry.connector".parse().unwrap());
    assert_eq!(api.send(request).await.problem(413), "request.too_large");
}

#[tokio::test]
async fn a_controller_that_cannot_answer_now_says_when_to_ask_again() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    api.bench.memory().set_full(true);
    let submit = "/v1/environments/prod/operations/look/runs";
    assert_eq!(api.post(submit, &json!({})).await.problem(507), "store.full");
    api.bench.memory().set_full(false);
    api.bench.memory().break_down();
    let answer = api.post(submit, &json!({})).await;
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert_eq!(answer.json()["retry_after_ms"], 1_000);
    assert_eq!(answer.problem(503), "controller.stopping");
}
