//! The only way out: what gets through, what does not, and what is remembered of it.

use serde_json::json;
use wherry_domain::failure::FailureClass;
use wherry_host::{ConnectorFault, EgressError};

use crate::support::components::hostile;
use crate::support::egress::{CREDENTIAL, ToServer};
use crate::support::invoke;
use crate::support::server::{Reply, Server};

#[tokio::test]
async fn a_forbidden_host_is_refused_and_named_however_the_connector_wraps_it() {
    let params = json!({"authority": "evil.example:8080"});
    for activity in ["get", "get-and-lie", "get-and-panic"] {
        let finished = invoke(activity, &params).egress(ToServer::new("127.0.0.1:1")).on(&hostile()).await;
        assert_eq!(finished.code(), "egress.denied", "{activity}");
        let failure = finished.fault().failure();
        assert!(failure.message.contains("evil.example:8080"), "{failure}");
        assert_eq!(failure.class, FailureClass::Permanent);
    }
}

#[tokio::test]
async fn a_refused_connection_may_be_tried_again() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let finished = invoke("get", &json!({"authority": unused})).egress(ToServer::new(&unused)).on(&hostile()).await;
    assert_eq!(finished.code(), "egress.connect_refused");
    assert_eq!(finished.fault().class(), FailureClass::Retry);
}

#[tokio::test]
async fn credentials_go_out_and_are_never_seen_inside() {
    let server = Server::start(|request| {
        let seen = request.headers["authorization"].clone();
        Reply::status(200).header("authorization", &seen).header("x-session", &seen).header("x-plain", "yes")
    })
    .await;
    let finished = invoke("get", &json!({"authority": server.authority}))
        .egress(ToServer::new(&server.authority))
        .on(&hostile())
        .await;
    assert_eq!(server.received()[0].headers["authorization"], CREDENTIAL);
    let output = finished.output().to_string();
    assert!(output.contains("x-plain") && !output.contains("canary"), "{output}");
}

#[tokio::test]
async fn protected_headers_cannot_be_set() {
    for header in ["authorization=mine", "X-Session=mine", "host=evil", "proxy-authorization=x", "transfer-encoding=x"]
    {
        let finished = invoke("get", &json!({"authority": "127.0.0.1:1", "header": header}))
            .egress(ToServer::new("127.0.0.1:1"))
            .on(&hostile())
            .await;
        let ConnectorFault::Reported(error) = finished.fault() else { panic!("{finished:?}") };
        assert_eq!((error.code.as_str(), &error.cause), ("hostile.header", &None), "{header}: {}", error.message);
    }
}

#[tokio::test]
async fn tunnels_and_user_names_are_refused_before_any_egress() {
    for (activity, authority) in [("connect", "127.0.0.1:1"), ("get", "127.0.0.1:1@evil.example")] {
        let finished = invoke(activity, &json!({"authority": authority}))
            .egress(ToServer::new("127.0.0.1:1"))
            .on(&hostile())
            .await;
        assert_eq!(finished.code(), "egress.invalid_request", "{activity} {authority}");
    }
}

#[tokio::test]
async fn exchanges_in_flight_are_limited() {
    let server = Server::start(|_| Reply::Silence).await;
    let finished = invoke("flood", &json!({"authority": server.authority}))
        .egress(ToServer::new(&server.authority))
        .on(&hostile())
        .await;
    assert_eq!(finished.output(), json!({"refused": 100 - 32}));
}

#[tokio::test]
async fn a_success_erases_the_memory_of_a_failure() {
    let error = EgressError::ConnectRefused { host: "h".into(), port: 1 };
    assert!(!error.may_have_arrived());
    let server = Server::start(|_| Reply::status(200)).await;
    let finished = invoke("get", &json!({"authority": server.authority}))
        .egress(ToServer::new(&server.authority))
        .on(&hostile())
        .await;
    assert_eq!(finished.output()["status"], 200);
}
