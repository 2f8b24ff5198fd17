//! The connector `http` as a target: one request for each record, and what becomes of those that fail.

use serde_json::{Value, json};
use wherry_host::{ErrorKind, ToConnector};

use crate::support::components::http;
use crate::support::egress::ToServer;
use crate::support::server::{Reply, Server};
use crate::support::{Finished, Invocation, invoke};

fn at(server: &Server, params: &Value, records: &[Value]) -> Invocation {
    invoke("send", params).connection(&server.url()).egress(ToServer::new(&server.authority)).input(&[records])
}

async fn send(server: &Server, params: Value, records: &[Value]) -> Finished {
    at(server, &params, records).on(&http()).await
}

/// Row and code of every rejected record.
fn rejected(finished: &Finished) -> Vec<(u64, &str)> {
    finished.rejections().iter().map(|(row, error)| (*row, error.code.as_str())).collect()
}

#[tokio::test]
async fn each_record_becomes_a_request() {
    let server = Server::start(|_| Reply::status(201)).await;
    let params = json!({
        "method": "PUT", "path": "/users/{{ record.id }}", "query": {"notify": "{{ record.notify }}"},
        "headers": {"x-source": "row {{ record.id }}"}, "body": {"name": "{{ record.name }}", "tags": "{{ record.tags }}"},
        "idempotency_header": "Idempotency-Key",
    });
    let records = [json!({"id": "a/b", "name": "A", "tags": [1], "notify": true}), json!({"id": 2, "name": "B"})];
    let finished = at(&server, &params, &records).task(|task| task.first_row = 100).on(&http()).await;
    assert_eq!(finished.output(), json!({"records": 2, "rejected": 0, "dry_run": false}));
    assert_eq!(finished.acks().last().copied(), Some(2));
    assert_eq!(server.paths(), ["/users/a%2Fb?notify=true", "/users/2"]);
    let requests = server.received();
    assert_eq!(requests[0].json(), json!({"name": "A", "tags": [1]}));
    assert_eq!(requests[1].json(), json!({"name": "B", "tags": null}));
    assert_eq!(requests[0].headers["x-source"], "row a/b");
    let keys: Vec<_> = requests.iter().map(|request| request.headers["idempotency-key"].as_str()).collect();
    assert_eq!(keys, ["key-100", "key-101"]);
}

#[tokio::test]
async fn without_a_body_the_record_is_sent_as_it_is() {
    let server = Server::start(|_| Reply::status(200)).await;
    let mut invocation = at(&server, &json!({}), &[]);
    let data = "{\"n\": 123456789012345678901234567890}\n".into();
    invocation.input = vec![ToConnector::Batch(wherry_host::Batch { count: 1, data }), ToConnector::End];
    invocation.on(&http()).await.output();
    assert_eq!(server.received()[0].body, b"{\"n\": 123456789012345678901234567890}");
    assert_eq!(server.received()[0].headers["content-type"], "application/json");
}

#[tokio::test]
async fn records_that_the_system_refuses_do_not_stop_the_others() {
    let server = Server::start(|request| Reply::status(request.json()["status"].as_u64().unwrap() as u16)).await;
    let records = [200, 400, 403, 404, 409, 422, 200].map(|status| json!({"status": status}));
    let finished = send(&server, json!({}), &records).await;
    let expected =
        [(1, "http.refused"), (2, "http.forbidden"), (3, "http.not_found"), (4, "http.refused"), (5, "http.refused")];
    assert_eq!(rejected(&finished), expected);
    assert_eq!(finished.output(), json!({"records": 7, "rejected": 5, "dry_run": false}));
    let details = finished.rejections()[0].1.details.clone();
    let details: Value = serde_json::from_str(&details.unwrap()).unwrap();
    assert_eq!(details, json!({"status": 400, "answer": "the system's own words"}));
}

#[tokio::test]
async fn failures_of_the_system_end_the_run_behind_what_was_sent() {
    for (status, code, kind) in [
        (401, "http.unauthorized", ErrorKind::Auth),
        (429, "http.throttled", ErrorKind::Throttled),
        (500, "http.server_error", ErrorKind::Transient),
        (301, "http.redirected", ErrorKind::Config),
    ] {
        let server = Server::start(|request| {
            Reply::status(request.json()["status"].as_u64().unwrap() as u16).header("retry-after", "70")
        })
        .await;
        let records = [200, status, 200].map(|status| json!({"status": status}));
        let finished = send(&server, json!({}), &records).await;
        let wherry_host::ConnectorFault::Reported(error) = finished.fault() else { panic!("{finished:?}") };
        assert_eq!((error.code.as_str(), error.kind), (code, kind));
        assert_eq!(error.retry_after_ms.is_some(), matches!(kind, ErrorKind::Throttled | ErrorKind::Transient));
        assert_eq!((finished.acks().last().copied(), server.paths().len()), (Some(1), 2), "{status}");
    }
}

#[tokio::test]
async fn a_record_that_does_not_fit_the_template_is_rejected_unsent() {
    let server = Server::start(|_| Reply::status(200)).await;
    let params = json!({"method": "DELETE", "path": "/users/{{ record.id }}"});
    let finished =
        send(&server, params, &[json!({"no": 1}), json!({"id": ""}), json!({"id": ".."}), json!({"id": 4})]).await;
    assert_eq!(rejected(&finished), [0, 1, 2].map(|row| (row, "http.template_missing")));
    assert_eq!(server.paths(), ["/users/4"]);
}

#[tokio::test]
async fn a_login_page_is_not_taken_for_success() {
    let server = Server::start(|_| Reply::text(200, "text/html", "<!DOCTYPE html><html>Sign in</html>")).await;
    assert_eq!(send(&server, json!({}), &[json!(1)]).await.code(), "http.html_answer");
    let webhook = Server::start(|_| Reply::text(200, "text/html", "ok")).await;
    assert_eq!(send(&webhook, json!({}), &[json!(1)]).await.output()["records"], 1, "some systems call this a page");
}

#[tokio::test]
async fn an_answer_that_never_ends_or_breaks_off_is_good_enough_if_its_status_is() {
    let half = b"HTTP/1.1 201 X\r\ncontent-length: 1000\r\n\r\n{".to_vec();
    let server =
        Server::start(move |request| if request.body == b"1" { Reply::Endless } else { Reply::Raw(half.clone()) })
            .await;
    let finished = send(&server, json!({}), &[json!(1), json!(2)]).await;
    assert_eq!(finished.output(), json!({"records": 2, "rejected": 0, "dry_run": false}));
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_sends_nothing() {
    let server = Server::start(|_| Reply::status(200)).await;
    let params = json!({"path": "/{{ record.id }}"});
    let finished =
        at(&server, &params, &[json!({"id": 1}), json!({})]).task(|task| task.dry_run = true).on(&http()).await;
    assert_eq!(finished.output(), json!({"records": 2, "rejected": 1, "dry_run": true}));
    assert!(server.paths().is_empty());
}

#[tokio::test]
async fn headers_of_the_agent_cannot_be_parameters() {
    let server = Server::start(|_| Reply::status(200)).await;
    for header in ["Authorization", "x-session", "Host"] {
        let finished = send(&server, json!({"headers": {header: "mine"}}), &[json!(1)]).await;
        assert_eq!(finished.code(), "http.header_forbidden", "{header}");
    }
}

#[tokio::test]
async fn a_large_body_goes_through_in_pieces() {
    let server = Server::start(|_| Reply::status(200)).await;
    let large = json!({"text": "x".repeat(3 << 20)});
    let finished = send(&server, json!({}), std::slice::from_ref(&large)).await;
    assert_eq!(finished.output()["records"], 1);
    assert_eq!(server.received()[0].json(), large);
}
