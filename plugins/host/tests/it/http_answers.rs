//! Answers that are not what they should be, each with an error of its own.

use serde_json::json;
use wherry_domain::failure::FailureClass;
use wherry_host::ConnectorFault;

use crate::support::components::http;
use crate::support::egress::ToServer;
use crate::support::server::{Received, Reply, Server};
use crate::support::{Finished, invoke};

async fn queried(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Finished {
    let server = Server::start(handler).await;
    invoke("query", &json!({"records": "items"}))
        .connection(&server.url())
        .egress(ToServer::new(&server.authority))
        .on(&http())
        .await
}

#[tokio::test]
async fn every_kind_of_wrong_answer_has_its_code() {
    let code = async |body: &'static str| queried(move |_| Reply::text(200, "application/json", body)).await.code();
    assert_eq!(code("<html>Sign in</html>").await, "http.html_answer");
    assert_eq!(code("").await, "http.empty_answer");
    assert_eq!(code("{\"items\": [1, 2").await, "http.truncated_answer");
    assert_eq!(code("items: 1").await, "http.not_json");
    assert_eq!(code("{\"data\": []}").await, "http.records_missing");
    assert_eq!(code("{\"items\": 5}").await, "http.records_missing");
}

#[tokio::test]
async fn no_content_means_no_records() {
    assert_eq!(queried(|_| Reply::status_only(204)).await.output()["records"], 0);
}

#[tokio::test]
async fn half_an_answer_is_reported_as_one() {
    let half = b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n{\"items\": [1, 2]}".to_vec();
    let finished = queried(move |_| Reply::Raw(half.clone())).await;
    assert_eq!(finished.code(), "egress.response_incomplete");
    assert_eq!(finished.fault().class(), FailureClass::Retry);
    let ConnectorFault::Reported(error) = finished.fault() else { panic!("{finished:?}") };
    assert_eq!(error.code, "http.broken_answer", "the connector's own words stay beside the cause");
    assert!(finished.records().is_empty());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_left() {
    let finished = queried(|_| Reply::Endless).await;
    assert_eq!(finished.code(), "http.answer_too_large");
}

#[tokio::test]
async fn garbage_instead_of_http_is_a_failure_that_may_pass() {
    let finished = queried(|_| Reply::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec())).await;
    assert_eq!(finished.code(), "egress.response_incomplete");
}

#[tokio::test]
async fn a_host_outside_the_connection_is_forbidden() {
    let finished = invoke("query", &json!({}))
        .connection("http://other.example")
        .egress(ToServer::new("127.0.0.1:1"))
        .on(&http())
        .await;
    assert_eq!(finished.code(), "egress.denied");
    assert!(finished.fault().failure().message.contains("other.example:80"));
}

#[tokio::test]
async fn parameters_are_checked_before_anything_is_sent() {
    let server = Server::start(|_| Reply::status(200)).await;
    for (activity, params, code) in [
        ("query", json!({"pth": "/"}), "http.params_invalid"),
        ("query", json!({"path": "/../admin"}), "http.path_invalid"),
        ("query", json!({"paging": {"scroll": {}}}), "http.params_invalid"),
        ("nothing", json!({}), "http.unsupported"),
    ] {
        let invocation = invoke(activity, &params).connection(&server.url()).egress(ToServer::new(&server.authority));
        assert_eq!(invocation.on(&http()).await.code(), code, "{params}");
    }
    assert!(server.paths().is_empty());
}
