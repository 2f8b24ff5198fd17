//! A system that asks for patience, and a connector on the kit that waits inside the box: no wall takes that for a hang.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wherry_host::{ConnectorFault, HostSettings, ToConnector};

use crate::support::components::{http, http_with};
use crate::support::egress::ToServer;
use crate::support::server::{Reply, Server};
use crate::support::{Invocation, invoke};

fn at(server: &Server, activity: &str, params: &Value) -> Invocation {
    invoke(activity, params).connection(&server.url()).egress(ToServer::new(&server.authority))
}

/// One request in so many is refused.
async fn refusing(every: usize, status: u16) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_| {
        let is_refused = (asked.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every);
        if is_refused { Reply::status(status).header("retry-after", "1") } else { Reply::status(201) }
    })
    .await
}

fn records(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({ "n": n })).collect()
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is what is tested")]
async fn a_target_waits_and_each_record_arrives_once() {
    let server = refusing(4, 429).await;
    let records = records(7);
    let begun = Instant::now();
    // Waiting is not computing, so a budget that is far below the time of the waits is enough.
    let tight = HostSettings { cpu_time: Duration::from_millis(500), ..HostSettings::default() };
    let finished = at(&server, "send", &json!({})).input(&[&records]).on(&http_with(tight)).await;
    assert_eq!(finished.output(), json!({ "records": 7, "rejected": 0, "dry_run": false }));
    assert!(begun.elapsed() >= Duration::from_secs(2), "two waits of a second");
    let mut arrived: Vec<Value> = server.received().iter().map(|request| request.json()).collect();
    assert_eq!(arrived.len(), 9);
    arrived.dedup();
    assert_eq!(arrived, records, "what was refused came again at once, as it was");
    assert_eq!(finished.logs(), ["the system asks for patience; requests wait and go out again"]);
}

#[tokio::test]
async fn what_may_have_been_done_is_repeated_only_where_the_system_recognises_the_key() {
    let sent = async |server: &Server, activity: &str| {
        at(server, activity, &json!({ "idempotency_header": "X-Once" })).input(&[&records(2)]).on(&http()).await
    };
    // Not every system honours the header: only `send.keyed` says that this one does.
    let server = refusing(2, 503).await;
    let finished = sent(&server, "send").await;
    assert_eq!((finished.code().as_str(), server.paths().len()), ("http.server_error", 2));
    let server = refusing(2, 503).await;
    assert_eq!(sent(&server, "send.keyed").await.output()["records"], 2);
    let keys: Vec<String> = server.received().iter().map(|request| request.headers["x-once"].clone()).collect();
    assert_eq!(keys, ["key-0", "key-1", "key-1"]);
}

#[tokio::test]
async fn a_wait_that_the_time_limit_leaves_no_room_for_is_not_begun() {
    let server = Server::start(|_| Reply::status(429).header("retry-after", "20")).await;
    let finished = at(&server, "query", &json!({})).task(|task| task.time_limit_ms = 15_000).on(&http()).await;
    assert_eq!((finished.code().as_str(), server.paths().len()), ("http.throttled", 1));
    assert_eq!(finished.fault().retry_after_ms(), Some(20_000));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is what is tested")]
async fn a_cancel_ends_a_wait_long_before_it_is_over() {
    let server = Server::start(|_| Reply::status(429).header("retry-after", "40")).await;
    let Invocation { task, egress, blobs, .. } = at(&server, "query", &json!({}));
    let connector = http();
    let (to, inbox) = mpsc::channel(1);
    let (outbox, mut from) = mpsc::channel(8);
    let run = connector.run_with(task, egress, inbox, outbox, blobs);
    let cancel = async {
        // The log tells that the wait has begun.
        let said = from.recv().await;
        to.send(ToConnector::Cancel).await.unwrap();
        said
    };
    let begun = Instant::now();
    let (ended, said) = tokio::join!(run, cancel);
    assert!(said.is_some() && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(matches!(ended, Err(ConnectorFault::Cancelled)), "{ended:?}");
    assert_eq!(server.paths().len(), 1);
}

#[tokio::test]
async fn a_page_that_was_asked_for_ahead_is_neither_lost_nor_read_twice() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let page: usize = request.path.split_once("p=").unwrap().1.parse().unwrap();
        // Large enough not to fit into what waits on the way to the connector.
        let text = "x".repeat(2_000);
        let rows: Vec<Value> = (0..300).map(|n| json!({ "id": page * 1_000 + n, "text": text })).collect();
        let is_refused = (asked.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(3);
        match page {
            _ if is_refused => Reply::status(429).header("retry-after", "1"),
            1..=3 => Reply::json(&json!(rows)),
            _ => Reply::json(&json!([])),
        }
    })
    .await;
    let finished = at(&server, "query", &json!({ "paging": { "page": { "parameter": "p" } } })).on(&http()).await;
    let mut ids: Vec<u64> = finished.records().iter().map(|record| record["id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), finished.output()["complete"].clone()), (900, json!(true)));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 900);
    assert_eq!(server.paths(), ["/?p=1", "/?p=2", "/?p=3", "/?p=3", "/?p=4"]);
}
