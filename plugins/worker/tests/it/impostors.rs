//! Processes that speak to the agent as no worker does.

use std::time::Duration;

use wherry_host::{ConnectorFault, Task, WorkerFault};

use crate::support::{Locked, hostile, pool, run, task};

async fn impostor(what: &str) -> WorkerFault {
    let walls = tokio::time::timeout(Duration::from_secs(20), async { pool(&["impostor", what]).walls().await });
    walls.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn frames_that_are_too_long_garbage_or_out_of_turn_end_the_worker() {
    for what in ["length", "garbage", "turn"] {
        let fault = impostor(what).await;
        assert!(matches!(fault, WorkerFault::Protocol { .. }), "{what}: {fault}");
        assert_eq!(fault.code(), "worker.protocol");
    }
}

#[tokio::test]
async fn a_worker_that_ends_before_it_is_ready_did_not_start() {
    assert_eq!(impostor("nothing").await, WorkerFault::Start { reason: "exit status 0".into() });
}

#[tokio::test]
async fn a_worker_that_turns_into_something_else_fails_its_run_and_never_harms_the_agent() {
    for what in ["ready, then garbage", "ready, then a foreign call"] {
        let pool = pool(&["impostor", what]);
        let finished = run(&hostile(&pool).of("a"), task("good", "{}"), Locked, vec![]).await;
        assert_eq!(finished.code(), "worker.protocol", "{what}: {:?}", finished.result);
    }
}

#[tokio::test]
async fn a_worker_that_neither_reads_nor_speaks_is_given_up_at_the_limit_of_time_and_then_ended() {
    let pool = pool(&["impostor", "silence"]);
    let runner = hostile(&pool).of("a");
    // More than the socket holds, so that the agent's own messages get stuck too.
    let short = Task { time_limit_ms: 300, params: "x".repeat(4 << 20), ..task("good", "{}") };
    assert_eq!(run(&runner, short, Locked, vec![]).await.code(), "sandbox.time_limit");
    let short = Task { time_limit_ms: 300, ..task("good", "{}") };
    let started = pool.processes();
    // It has five seconds to let go, which it does not use.
    let ended = async {
        loop {
            let finished = run(&runner, short.clone(), Locked, vec![]).await;
            if pool.processes() != started {
                return finished;
            }
        }
    };
    let finished = tokio::time::timeout(Duration::from_secs(40), ended).await.expect("it was never ended");
    assert!(finished.result.is_err());
}

#[tokio::test]
async fn reasons_within_reasons_of_whatever_depth_end_the_worker_and_not_the_agent() {
    assert_eq!(impostor("nested reason").await.code(), "worker.protocol");
    let finished = run(&hostile(&pool(&["impostor", "nested end"])).of("a"), task("good", "{}"), Locked, vec![]).await;
    assert_eq!(finished.code(), "worker.protocol", "{:?}", finished.result);
    let error = hostile(&pool(&["impostor", "nested description"])).describe_text().await.unwrap_err();
    assert_eq!(error.code().as_str(), "worker.protocol", "{error}");
}

#[tokio::test]
async fn a_worker_that_blames_the_machine_for_its_description_is_not_believed() {
    let error = hostile(&pool(&["impostor", "blame"])).describe_text().await.unwrap_err();
    assert_eq!(error.code().as_str(), "worker.protocol", "{error}");
    assert!(error.to_string().contains("a reason to fail that no invocation has"), "{error}");
}

#[tokio::test]
async fn exchanges_that_a_worker_leaves_at_once_count_until_they_are_over() {
    let pool = pool(&["impostor", "left exchanges"]);
    let brief = Task { time_limit_ms: 10_000, ..task("good", "{}") };
    let finished = run(&hostile(&pool).of("a"), brief, Locked, vec![]).await;
    let fault = finished.result.unwrap_err().to_string();
    assert!(fault.contains("more exchanges under way than a connector may"), "{fault}");
}

#[tokio::test]
async fn more_messages_than_there_is_room_for_end_the_worker() {
    let pool = pool(&["impostor", "many messages"]);
    let finished = run(&hostile(&pool).of("a"), task("good", "{}"), Locked, vec![]).await;
    let fault = finished.result.unwrap_err();
    assert!(matches!(fault, ConnectorFault::Worker(WorkerFault::Protocol { .. })), "{fault}");
    assert!(fault.to_string().contains("more than there is room for"), "{fault}");
}

#[tokio::test]
async fn more_headers_or_keys_than_a_connector_may_have_are_refused_before_they_take_room() {
    for what in ["many headers", "long state"] {
        let finished = run(&hostile(&pool(&["impostor", what])).of("a"), task("good", "{}"), Locked, vec![]).await;
        let fault = finished.result.unwrap_err();
        assert!(matches!(fault, ConnectorFault::Worker(WorkerFault::Protocol { .. })), "{what}: {fault}");
    }
}

#[tokio::test]
async fn a_worker_that_makes_room_for_more_than_it_was_sent_is_ended() {
    let finished =
        run(&hostile(&pool(&["impostor", "too much room"])).of("a"), task("good", "{}"), Locked, vec![]).await;
    let fault = finished.result.unwrap_err();
    assert_eq!(fault.code().as_str(), "worker.protocol", "{fault}");
    assert!(fault.to_string().contains("it made room for more than it was sent"), "{fault}");
}
