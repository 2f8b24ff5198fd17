//! What works inside the box works in a worker.

use wherry_host::{Blobs, Call, ConnectorFault, FromConnector, Task, ToConnector};

use crate::support::{Echo, Locked, batch, hostile, pool, run, run_with, task};

#[tokio::test]
async fn a_connector_describes_itself_from_a_worker_that_then_ends() {
    let pool = pool(&["worker"]);
    let text = hostile(&pool).describe_text().await.unwrap();
    assert!(text.contains("\"schemaVersion\":1"), "{text}");
    assert!(pool.processes().is_empty(), "it was only there to describe");
}

#[tokio::test]
async fn tests_invocations_state_and_outcomes_cross_the_boundary() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let test = run(&runner, Task { call: Call::Test, ..task("", "{}") }, Locked, vec![]).await;
    assert!(test.output().contains("nowhere.invalid"));
    let before = Task { state: vec![("k".into(), b"old".to_vec())], ..task("state", "null") };
    let finished = run(&runner, before, Locked, vec![]).await;
    assert_eq!(finished.result.unwrap().state, Some(vec![("k".into(), b"new".to_vec())]));
    let asked = Task { call: Call::Discover, ..task("", "{}") };
    assert_eq!(run(&runner, asked, Locked, vec![]).await.code(), "connector.no_discovery");
    assert_eq!(pool.processes().len(), 1, "one worker did it all");
}

#[tokio::test]
async fn records_flow_with_acknowledgements_and_the_end_is_seen() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let target = Task { has_input: true, has_output: false, ..task("drain", r#"{"rows":2}"#) };
    let mut input: Vec<_> = (0..40).map(|_| batch(&["1", "2", "3"])).collect();
    input.push(ToConnector::End);
    let finished = run(&runner, target, Locked, input).await;
    let acks: Vec<u64> = finished
        .messages
        .iter()
        .filter_map(|message| if let FromConnector::Acked { up_to } = message { Some(*up_to) } else { None })
        .collect();
    assert_eq!((acks.len(), acks.last()), (80, Some(&120)), "{:?}", finished.result);
    assert!(!finished.result.unwrap().input_left);
}

#[tokio::test]
async fn limits_and_traps_are_told_as_inside_the_agent() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    for (activity, code) in [
        ("memory", "sandbox.memory_limit"),
        // Rust keeps its own stack inside linear memory.
        ("stack", "sandbox.trap"),
        ("panic", "sandbox.trap"),
        ("abort", "sandbox.trap"),
        ("exit", "sandbox.trap"),
        ("big-batch", "sandbox.batch_too_large"),
        ("lying-batch", "sandbox.batch_invalid"),
        ("not-json", "sandbox.output_invalid"),
    ] {
        let finished = run(&runner, task(activity, "{}"), Locked, vec![]).await;
        assert_eq!(finished.code(), code, "{activity}: {:?}", finished.result);
    }
    let short = Task { time_limit_ms: 300, ..task("sleep", "{}") };
    assert_eq!(run(&runner, short, Locked, vec![]).await.code(), "sandbox.time_limit");
    assert_eq!(run(&runner, task("good", "{}"), Locked, vec![]).await.output(), "{}", "and it still works");
    assert_eq!(pool.processes().len(), 1, "a trap ends an instance, not the worker");
}

#[tokio::test]
async fn requests_go_out_through_the_agent_which_keeps_its_credentials() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let get = task("get", r#"{"authority":"db.example:80"}"#);
    let finished = run(&runner, get.clone(), Echo::new(), vec![]).await;
    assert!(finished.output().contains("GET http://db.example:80/ 0"), "{}", finished.output());
    assert!(!finished.output().contains("canary"), "{}", finished.output());
    let refused = run(&runner, get, Locked, vec![]).await;
    assert_eq!(refused.code(), "egress.connect_refused", "what the agent saw outranks the connector's words");
    let forged = task("get", r#"{"authority":"db.example:80","header":"authorization=mine"}"#);
    assert_eq!(run(&runner, forged, Echo::new(), vec![]).await.code(), "hostile.header");
    let connect = task("connect", r#"{"authority":"db.example:80"}"#);
    assert_eq!(run(&runner, connect, Echo::new(), vec![]).await.code(), "egress.invalid_request");
    let flood = run(&runner, task("flood", r#"{"authority":"db.example:80"}"#), Echo::new(), vec![]).await;
    assert!(flood.output().contains("refused"), "{}", flood.output());
}

#[tokio::test]
async fn blobs_stay_with_the_agent_and_can_be_read_by_another_worker_of_the_run() {
    let pool = pool(&["worker"]);
    let code = hostile(&pool);
    let blobs = Blobs::new(8 << 20);
    let write = task("blob-write", r#"{"content":"attachment"}"#);
    let written = run_with(&code.of("prod/desk/source"), write, Locked, vec![], blobs.clone()).await;
    assert!(written.output().contains("\"blob-1\""), "{}", written.output());
    assert_eq!(blobs.get("blob-1").as_deref(), Some(&b"attachment"[..]));
    let long = bytes::Bytes::from(vec![b'x'; 3 << 20]);
    let handle = blobs.insert(long).unwrap();
    let read = |handle: &str| task("blob-read", &format!(r#"{{"handle":"{handle}"}}"#));
    let target = code.of("prod/desk/target");
    let short = run_with(&target, read("blob-1"), Locked, vec![], blobs.clone()).await;
    assert!(short.output().contains("\"size\":10"), "{}", short.output());
    let long = run_with(&target, read(&handle), Locked, vec![], blobs.clone()).await;
    assert!(long.output().contains(&format!("\"size\":{}", 3 << 20)), "{}", long.output());
    assert_eq!(pool.processes().len(), 2);
    let foreign = run(&target, read("blob-1"), Locked, vec![]).await;
    assert_eq!(foreign.code(), "sandbox.blob_unknown", "another run's blobs are not there");
    let full = run_with(&target, task("blob-flood", "null"), Locked, vec![], Blobs::new(1 << 20)).await;
    assert_eq!(full.code(), "sandbox.blobs_full");
}

#[tokio::test]
async fn a_cancel_reaches_a_connector_and_stops_it() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let spin = Task { has_input: true, ..task("spin", "{}") };
    let finished = run(&runner, spin, Locked, vec![ToConnector::Cancel]).await;
    assert_eq!(finished.result.unwrap_err(), ConnectorFault::Cancelled);
}

#[tokio::test]
async fn a_connector_that_begins_three_requests_at_once_and_polls_them_gets_three_answers() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let parallel = task("parallel", r#"{"authority":"db.example:80","rounds":100}"#);
    for _ in 0..3 {
        let finished = run(&runner, parallel.clone(), Echo::new(), vec![]).await;
        assert_eq!(finished.output(), r#"{"answered":300}"#);
    }
    assert_eq!(pool.processes().len(), 1, "no worker was ended for it");
}
