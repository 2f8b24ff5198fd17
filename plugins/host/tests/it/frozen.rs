//! Contract 1.0 does not move: its text stays, and a component that was built when it was frozen keeps running.

use serde_json::{Value, json};
use wherry_host::{Call, ToConnector};

use crate::support::components::{PLUGINS, frozen};
use crate::support::egress::ToServer;
use crate::support::server::{Reply, Server};
use crate::support::{Invocation, invoke};

const FROZEN: &str = include_str!("../fixtures/connector-1.0.0.wit");

fn at(server: &Server, activity: &str, params: &Value) -> Invocation {
    invoke(activity, params).connection(&server.url()).egress(ToServer::new(&server.authority))
}

#[test]
fn the_text_of_the_contract_is_the_frozen_one() {
    let current = std::fs::read_to_string(format!("{PLUGINS}/wit/v1/connector.wit")).unwrap();
    assert_eq!(
        meaning(&current),
        meaning(FROZEN),
        "contract 1.0.0 is frozen: what a connector exports never changes within a major version, and what the host \
         offers grows only in a minor version with a frozen copy of its own; the header of connector.wit has the rule"
    );
}

#[tokio::test]
async fn a_component_of_contract_1_0_0_still_describes_itself_and_tests_a_connection() {
    let connector = frozen();
    let descriptor = connector.describe().await.unwrap();
    assert_eq!((descriptor.name.as_str(), descriptor.activities.len()), ("http", 4));
    let server = Server::start(|_| Reply::status(200)).await;
    let test = at(&server, "", &Value::Null).task(|task| task.call = Call::Test).on(&connector).await;
    assert_eq!(test.output(), json!({"status": 200}));
}

#[tokio::test]
async fn a_component_of_contract_1_0_0_still_reads() {
    let server = Server::start(|request| {
        let page = if request.path.contains("p=1") { json!([{"n": 1}, {"n": 2}]) } else { json!([]) };
        Reply::json(&page)
    })
    .await;
    let finished = at(&server, "query", &json!({"paging": {"page": {"parameter": "p"}}})).on(&frozen()).await;
    assert_eq!(finished.records(), [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(finished.output(), json!({"records": 2, "pages": 2, "complete": true}));
    assert!(finished.cursor().is_some());
}

#[tokio::test]
async fn a_component_of_contract_1_0_0_still_writes() {
    let server =
        Server::start(|request| Reply::status(if request.json()["ok"] == json!(true) { 201 } else { 422 })).await;
    let records = [json!({"ok": true}), json!({"ok": false})];
    let finished = at(&server, "send", &json!({"idempotency_header": "key"})).input(&[&records]).on(&frozen()).await;
    assert_eq!(finished.output(), json!({"records": 2, "rejected": 1, "dry_run": false}));
    assert_eq!((finished.acks(), finished.rejections()[0].0), (vec![2], 1));
    assert_eq!(server.received()[1].headers["key"], "key-1");
}

#[tokio::test]
async fn a_component_of_contract_1_0_0_still_obeys() {
    let server = Server::start(|_| Reply::status(200)).await;
    let mut invocation = at(&server, "send", &json!({})).input(&[]);
    invocation.input = vec![ToConnector::Cancel];
    assert_eq!(invocation.on(&frozen()).await.code(), "sandbox.cancelled");
}

#[tokio::test]
async fn a_component_without_discovery_says_so() {
    let connector = frozen();
    assert!(!connector.has_discovery());
    let asked = invoke("query", &json!({})).task(|task| task.call = Call::Discover).on(&connector).await;
    assert_eq!(asked.code(), "connector.no_discovery");
}

/// The text without comments and layout.
fn meaning(wit: &str) -> String {
    let lines = wit.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
