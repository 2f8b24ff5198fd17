//! Figures, for people: `cargo test -p wherry-host figures -- --ignored --nocapture`.
//!
//! Not a promise under test: they depend on the machine and the profile. The benchmarks of `tests/` judge releases.

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::components::{hostile, http};
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
