//! Figures, for people: `cargo test -p wherry-host figures -- --ignored --nocapture`.
//!
//! Not a promise under test: they depend on the machine and the profile. The benchmarks of `tests/` judge releases.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use wherry_host::Connector;

use crate::support::components::{frozen, hostile, http};
use crate::support::egress::ToServer;
use crate::support::invoke;
use crate::support::server::{Reply, Server};

async fn median(mut work: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..300 {
        let begun = Instant::now();
        work().await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn figures() {
    let connector = hostile();
    let empty = median(async || drop(invoke("good", &Value::Null).on(&connector).await)).await;
    println!("one invocation, from task to outcome: {empty:?}");
    let server = Server::start(|_| Reply::json(&json!([{"a": 1}]))).await;
    let http = http();
    let query = async || {
        let invocation = invoke("query", &json!({})).connection(&server.url()).egress(ToServer::new(&server.authority));
        drop(invocation.on(&http).await);
    };
    println!("the same with one HTTP exchange over a new connection: {:?}", median(query).await);
    let page = json!(
        (0..5_000).map(|n| json!({"id": n, "name": "Lorem ipsum dolor", "tags": ["a", "b"]})).collect::<Vec<_>>()
    );
    let large = Server::start(move |_| Reply::json(&page)).await;
    let begun = Instant::now();
    let invocation = invoke("query", &json!({})).connection(&large.url()).egress(ToServer::new(&large.authority));
    let finished = invocation.on(&http).await;
    println!("5,000 records of one page: {:?}, {}", begun.elapsed(), finished.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, asserts nothing"]
async fn figures_of_a_long_query() {
    let pages: u64 = 100;
    let records: Vec<_> = (0..1_000)
        .map(|n| json!({"id": n, "name": "Lorem ipsum dolor sit amet", "tags": ["a", "b"], "text": "x".repeat(100)}))
        .collect();
    let (full, last) = (json!({"items": records, "next": "t"}).to_string(), json!({"items": records}).to_string());
    let server = Server::start(move |request| {
        let page: u64 = request.path.rsplit('=').next().and_then(|at| at.parse().ok()).unwrap_or(0);
        let body = if page + 1 == pages { &last } else { &full };
        Reply::text(200, "application/json", &body.replacen("\"t\"", &(page + 1).to_string(), 1))
    })
    .await;
    let params = json!({"records": "items", "paging": {"cursor": {"parameter": "p", "from": "next"}}});
    let query = async |connector: &Connector| {
        let invocation = invoke("query", &params).connection(&server.url()).egress(ToServer::new(&server.authority));
        let begun = Instant::now();
        let finished = invocation.on(connector).await;
        assert_eq!(finished.output()["records"], 100_000);
        begun.elapsed()
    };
    let (before, now) = (frozen(), http());
    for _ in 0..3 {
        println!("100,000 records of 100 pages: frozen {:?}, now {:?}", query(&before).await, query(&now).await);
    }
}
