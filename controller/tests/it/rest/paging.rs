//! Lists in parts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Agent, Api, Bench, Disk};

#[tokio::test]
async fn two_hundred_and_fifty_runs_are_all_listed_once_while_others_come_and_end() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let mut agent = Agent::enrol(&api.bench, "pier-1", 100).await;
    let mut there = Vec::new();
    for n in 0..250 {
        let run = api.bench.submit(if n % 3 == 0 { "post" } else { "look" }).await;
        if n % 2 == 0 {
            api.bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
        }
        there.push(run.to_string());
    }
    agent.connect(&api.bench, &[]).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/runs?limit=20{cursor}")).await.with(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        // New ones arrive and old ones end while someone turns the pages.
        api.bench.submit("look").await;
        let attempt = agent.offer().await.attempt;
        agent.succeed(&api.bench, attempt).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    there.reverse();
    assert_eq!(seen, there, "newest first, each once");

    let filtered = "/v1/runs?environment=prod&operation=post&state=cancelled&limit=7";
    assert_eq!(all(&api, filtered).await.len(), 42);
    assert_eq!(all(&api, "/v1/runs?state=unknown").await.len(), 0);
}

#[tokio::test]
async fn the_audit_is_listed_in_parts_newest_first() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    for _ in 0..30 {
        let run = api.bench.submit("look").await;
        api.bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    }
    let entries = all(&api, "/v1/audit?limit=9").await;
    let numbers: Vec<u64> = entries.iter().map(|entry| entry["n"].as_u64().unwrap()).collect();
    let whole = entries.len() as u64;
    assert!(whole > 30 && numbers == (1..=whole).rev().collect::<Vec<_>>(), "{numbers:?}");
    let sealed = entries.windows(2).all(|pair| pair[0]["prev"] == pair[1]["hash"]);
    assert!(sealed, "an entry does not seal the one before");
    assert_eq!((&entries[0]["who"], &entries[0]["what"]), (&"ada".into(), &"run.cancel".into()));
}

#[tokio::test]
async fn a_long_log_is_read_in_parts() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    let mut agent = Agent::online(&api.bench, "pier-1", 1).await;
    let run = api.bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    let line = |n: usize| wherry_proto::frame::LogLine { at_ms: 0, level: "info".to_owned(), text: n.to_string() };
    for part in 0..5 {
        let lines = (0..300).map(|n| line(part * 300 + n + 1)).collect();
        agent.say(&api.bench, wherry_proto::frame::FromAgent::Log { attempt, lines }).await;
    }
    api.bench.settle().await;
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let page = api.get(&format!("/v1/runs/{run}/logs?after={after}")).await.with(200);
        read.extend(page["items"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => after = next.parse().unwrap(),
            None => break,
        }
    }
    assert_eq!(read, (1..=1_500).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Every item of a list.
async fn all(api: &Api, path: &str) -> Vec<Value> {
    let (mut items, mut cursor, mut cursors) = (Vec::new(), String::new(), BTreeSet::new());
    loop {
        let page = api.get(&format!("{path}{cursor}")).await.with(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert!(cursors.insert(next.to_owned()), "the pages go in a circle");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}
