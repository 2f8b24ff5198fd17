//! Processes that speak to the agent as no worker does.

use std::time::Duration;

use wherry_host::{Task, WorkerFault};

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
