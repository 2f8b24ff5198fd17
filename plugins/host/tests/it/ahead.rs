//! An instance may be made before it is needed: it is as fresh as any other, and belongs to one invocation alone.

use serde_json::{Value, json};
use wherry_host::{Call, ConnectorFault, Host, HostSettings, Limit};

use crate::support::components::{by_hand, hostile_with};
use crate::support::egress::{CREDENTIAL, ToServer};
use crate::support::invoke;
use crate::support::server::{Reply, Server};

/// With room for one, an invocation that made another instance would be refused.
fn room_for_one() -> HostSettings {
    HostSettings { instances: 1, ..HostSettings::default() }
}

#[tokio::test]
async fn it_is_the_one_that_the_next_invocation_uses_and_no_other_after_it() {
    let connector = hostile_with(room_for_one());
    for _ in 0..3 {
        connector.make_ahead().await;
        connector.make_ahead().await;
        let bomb = invoke("memory", &Value::Null).on(&connector).await;
        assert_eq!(bomb.fault(), &ConnectorFault::Limit(Limit::Memory { limit_bytes: 64 << 20 }));
        connector.make_ahead().await;
        assert_eq!(invoke("panic", &json!({"name": "Miller"})).on(&connector).await.code(), "sandbox.trap");
        assert_eq!(invoke("good", &Value::Null).on(&connector).await.output(), json!({}));
    }
}

#[tokio::test]
async fn it_finds_nothing_of_the_one_before() {
    let connector = by_hand(&Host::new(room_for_one()).unwrap(), "(start $mark)");
    for _ in 0..3 {
        connector.make_ahead().await;
        let finished = invoke("", &Value::Null).task(|task| task.call = Call::Test).on(&connector).await;
        // It breaks off later, at a handle it guesses; with a mark found it would not come that far.
        assert!(finished.fault().to_string().contains("handle"), "{finished:?}");
    }
}

#[tokio::test]
async fn it_has_what_its_own_invocation_brings() {
    let connector = hostile_with(room_for_one());
    let server = Server::start(|_| Reply::status(200)).await;
    connector.make_ahead().await;
    let finished = invoke("get", &json!({"authority": server.authority}))
        .egress(ToServer::new(&server.authority))
        .on(&connector)
        .await;
    assert_eq!(finished.output()["status"], 200);
    assert_eq!(server.received()[0].headers["authorization"], CREDENTIAL);
    connector.make_ahead().await;
    assert_eq!(invoke("log", &json!({"lines": 2})).on(&connector).await.logs().len(), 2);
    connector.make_ahead().await;
    let locked = invoke("get", &json!({"authority": server.authority})).on(&connector).await;
    assert_eq!(locked.code(), "egress.denied", "the way out of another invocation is not there any more");
}

#[tokio::test]
async fn of_two_at_once_one_makes_its_own() {
    let connector = hostile_with(HostSettings { instances: 2, ..HostSettings::default() });
    connector.make_ahead().await;
    let slow = || invoke("sleep", &Value::Null).task(|task| task.time_limit_ms = 500).on(&connector);
    let (one, two) = tokio::join!(slow(), slow());
    assert_eq!([one.code(), two.code()], ["sandbox.time_limit", "sandbox.time_limit"]);
}

#[tokio::test]
async fn one_that_does_not_get_ready_is_given_up_and_its_invocation_says_why() {
    let settings = HostSettings { describe_time: std::time::Duration::from_millis(50), ..room_for_one() };
    let connector = by_hand(&Host::new(settings).unwrap(), "(start $spin)");
    connector.make_ahead().await;
    let test = invoke("", &Value::Null).task(|task| (task.call, task.time_limit_ms) = (Call::Test, 50));
    assert_eq!(test.on(&connector).await.code(), "sandbox.time_limit");
}
