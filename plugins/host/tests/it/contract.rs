//! Records, cursors, state and blobs: what the contract promises, and what it refuses.

use serde_json::{Value, json};
use wherry_host::{Blobs, Call, ConnectorFault, Outcome, ToConnector};

use crate::support::components::hostile;
use crate::support::{Finished, batch, invoke};

async fn refused(activity: &str, input: &[&[Value]]) -> String {
    let invocation = invoke(activity, &Value::Null);
    let invocation = if input.is_empty() { invocation } else { invocation.input(input) };
    invocation.on(&hostile()).await.code()
}

#[tokio::test]
async fn batches_and_cursors_beyond_the_contract_are_refused() {
    assert_eq!(refused("big-batch", &[]).await, "sandbox.batch_too_large");
    assert_eq!(refused("lying-batch", &[]).await, "sandbox.batch_invalid");
    assert_eq!(refused("big-cursor", &[]).await, "sandbox.cursor_too_large");
}

#[tokio::test]
async fn only_records_that_were_handed_out_can_be_acknowledged_or_rejected() {
    assert_eq!(refused("ack-ahead", &[&[json!(1)]]).await, "sandbox.ack_invalid");
    assert_eq!(refused("reject-ahead", &[&[json!(1)]]).await, "sandbox.reject_invalid");
}

#[tokio::test]
async fn records_arrive_in_the_portions_asked_for() {
    let records: Vec<Value> = (0..5).map(|n| json!(n)).collect();
    let finished = invoke("drain", &json!({"rows": 2}))
        .input(&[&records, &[json!("last")]])
        .task(|task| task.first_row = 40)
        .on(&hostile())
        .await;
    assert_eq!(finished.output(), json!({"bites": ["0\n1\n", "2\n3\n", "4\n", "\"last\"\n"], "first": 40}));
    assert_eq!(finished.acks(), [2, 4, 5, 6]);
}

#[tokio::test]
async fn a_caller_that_vanishes_does_not_look_like_the_end_of_the_records() {
    let mut invocation = invoke("drain", &json!({"rows": 9})).input(&[]);
    invocation.input = vec![ToConnector::Batch(batch(&[json!(1)])), ToConnector::Cancel];
    assert_eq!(invocation.on(&hostile()).await.fault(), &ConnectorFault::Cancelled);
}

#[tokio::test]
async fn an_activity_sees_what_the_task_says() {
    let finished = invoke("cursor", &Value::Null)
        .task(|task| {
            task.cursor = Some("{\"page\":3}".into());
            task.attempt = 7;
        })
        .on(&hostile())
        .await;
    assert_eq!(finished.output(), json!({"cursor": "{\"page\":3}", "attempt": 7, "key": "key"}));
    let test =
        invoke("", &Value::Null).task(|task| task.call = Call::Test).connection("https://h").on(&hostile()).await;
    assert_eq!(test.output(), json!({"connection": "{\"url\":\"https://h\"}"}));
}

fn outcome(finished: Finished) -> Outcome {
    finished.result.unwrap()
}

#[tokio::test]
async fn state_is_given_handed_back_when_changed_and_limited() {
    let connector = hostile();
    let finished = invoke("state", &Value::Null)
        .task(|task| task.state = vec![("k".into(), b"old".to_vec())])
        .on(&connector)
        .await;
    assert_eq!(finished.output(), json!({"before": "old", "keys": ["k"]}));
    assert_eq!(outcome(finished).state, Some(vec![("k".into(), b"new".to_vec())]));
    let unchanged =
        invoke("good", &Value::Null).task(|task| task.state = vec![("k".into(), vec![])]).on(&connector).await;
    assert_eq!(outcome(unchanged).state, None);
    let full = invoke("state", &json!({"bytes": 17_000})).on(&connector).await;
    assert_eq!(full.code(), "sandbox.state_full");
}

#[tokio::test]
async fn a_target_that_does_not_hear_the_end_of_its_input_has_left_some() {
    let connector = hostile();
    let records: &[&[Value]] = &[&[json!({"id": 1}), json!({"id": 2})]];
    let unread = invoke("good", &Value::Null).input(records).on(&connector).await;
    assert!(outcome(unread).input_left, "a good end, and nothing was read");
    let read = invoke("drain", &Value::Null).input(records).on(&connector).await;
    assert!(!outcome(read).input_left);
    let source = invoke("good", &Value::Null).on(&connector).await;
    assert!(!outcome(source).input_left, "it has no input");
}

#[tokio::test]
async fn a_target_opens_the_blob_that_its_source_wrote() {
    let connector = hostile();
    let blobs = Blobs::new(1 << 20);
    let mut write = invoke("blob-write", &json!({"content": "attachment"}));
    write.blobs = blobs.clone();
    let written = write.on(&connector).await.output();
    assert_eq!(written["again"], json!("sandbox.blob_finished"));
    let mut read = invoke("blob-read", &json!({"handle": written["handle"]}));
    read.blobs = blobs;
    let read = read.on(&connector).await.output();
    assert_eq!(read, json!({"size": 10, "start": "atta", "end": "chment", "beyond": 0}));
}

#[tokio::test]
async fn blobs_are_limited_and_belong_to_their_run() {
    let connector = hostile();
    assert_eq!(invoke("blob-flood", &Value::Null).on(&connector).await.code(), "sandbox.blobs_full");
    let foreign = invoke("blob-read", &json!({"handle": "blob-1"})).on(&connector).await;
    assert_eq!(foreign.code(), "sandbox.blob_unknown");
}
