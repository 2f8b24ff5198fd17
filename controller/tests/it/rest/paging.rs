//! Lists in parts.

use std::collections::BTreeSet;

use serde_json::Value;
use wherry_domain::id::DeploymentId;

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

#[tokio::test]
async fn agents_deployments_and_logs_are_listed_in_parts_too() {
    let api = Api::of(Bench::ready(Disk::memory()).await).await;
    for n in 0..7 {
        Agent::enrol(&api.bench, &format!("pier-{n}"), 1).await;
        let mut changed = crate::support::desk();
        changed.description = format!("for the {n}. time");
        api.bench.ledger.deploy("ada".to_owned(), "prod".parse().unwrap(), changed, false).await.unwrap();
    }
    let agents = all(&api, "/v1/agents?group=berlin&limit=2").await;
    let named: BTreeSet<_> = agents.iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!((agents.len(), named.len()), (7, 7));
    assert_eq!(api.get("/v1/agents?group=paris").await.with(200)["items"].as_array().unwrap().len(), 0);
    let deployments = all(&api, "/v1/environments/prod/deployments?limit=3").await;
    let numbers: Vec<u64> = deployments.iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=8).rev().collect::<Vec<_>>());

    let mut agent = Agent::online(&api.bench, "pier-9", 1).await;
    let run = api.bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    let line = |n: usize| wherry_proto::frame::LogLine { at_ms: 0, level: "info".to_owned(), text: n.to_string() };
    let lines = (1..=9).map(line).collect();
    agent.say(&api.bench, wherry_proto::frame::FromAgent::Log { attempt, lines }).await;
    api.bench.settle().await;
    assert_eq!(all(&api, &format!("/v1/runs/{run}/logs?limit=4")).await.len(), 9);
    for path in ["/v1/agents", "/v1/environments/prod/deployments", &format!("/v1/runs/{run}/logs")] {
        for query in ["limit=0", "limit=201"] {
            assert_eq!(api.get(&format!("{path}?{query}")).await.problem(422), "request.query_invalid");
        }
        assert_eq!(api.get(&format!("{path}?cursor=x")).await.problem(422), "request.cursor_invalid", "{path}");
    }
    let gone = format!("/v1/environments/prod/deployments?cursor={}", DeploymentId::from_u128(7));
    assert_eq!(api.get(&gone).await.problem(422), "request.cursor_invalid");
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
