//! How workers come and go.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};
use wherry_host::{Blobs, FromConnector, Task, ToConnector};
use wherry_worker::{Pool, PoolSettings};

use crate::support::{Locked, PATIENCE, batch, compiled, hostile, pool, run, settings, task};

fn end(process: u32) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), Signal::SIGKILL).unwrap();
}

/// Whether the process is there and no zombie.
fn lives(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}

#[tokio::test]
async fn a_worker_that_is_killed_fails_its_run_in_a_way_that_may_be_repeated_and_the_next_gets_another() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let sleeping = tokio::join!(run(&runner, task("sleep", "{}"), Locked, vec![]), async {
        until("a worker", || !pool.processes().is_empty()).await;
        // Its invocation is under way, or is about to be: either way it fails.
        end(pool.processes()[0]);
    });
    let fault = sleeping.0.result.unwrap_err();
    assert_eq!(fault.code().as_str(), "worker.died");
    assert!(fault.to_string().contains("signal 9"), "{fault}");
    assert_eq!(format!("{:?}", fault.class()), "Retry");
    assert_eq!(run(&runner, task("good", "{}"), Locked, vec![]).await.output(), "{}");
}

#[tokio::test]
async fn each_connection_has_a_worker_of_its_own_and_shares_it_among_its_runs() {
    let pool = pool(&["worker"]);
    let code = hostile(&pool);
    for domain in ["prod/desk/helix", "prod/desk/jira", "dev/desk/helix", "prod/desk/helix"] {
        assert_eq!(run(&code.of(domain), task("good", "{}"), Locked, vec![]).await.output(), "{}");
    }
    assert_eq!(pool.processes().len(), 3);
}

#[tokio::test]
async fn idle_workers_end_and_only_so_many_are_kept() {
    let short = PoolSettings { idle: Duration::from_millis(300), ..settings(&["worker"]) };
    let pool = Pool::new(short, Handle::current()).unwrap();
    let code = hostile(&pool);
    assert_eq!(run(&code.of("a"), task("good", "{}"), Locked, vec![]).await.output(), "{}");
    let process = pool.processes()[0];
    until("the idle worker has ended", || pool.processes().is_empty() && !lives(process)).await;
    let few = PoolSettings { kept: 2, ..settings(&["worker"]) };
    let pool = Pool::new(few, Handle::current()).unwrap();
    let code = hostile(&pool);
    for domain in ["a", "b", "c", "d"] {
        assert_eq!(run(&code.of(domain), task("good", "{}"), Locked, vec![]).await.output(), "{}");
    }
    assert!(pool.processes().len() <= 3, "{:?}", pool.processes());
}

#[tokio::test]
async fn a_pool_that_goes_takes_its_workers_with_it() {
    let pool = pool(&["worker"]);
    let code = hostile(&pool);
    run(&code.of("a"), task("good", "{}"), Locked, vec![]).await.result.unwrap();
    let process = pool.processes()[0];
    drop((code, pool));
    until("the worker has ended", || !lives(process)).await;
}

#[tokio::test]
async fn a_worker_ends_with_its_agent() {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_wherry-worker-trial"))
        .args(["agent".as_ref(), compiled().as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(agent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let worker: u32 = line.trim().parse().unwrap();
    assert!(lives(worker));
    agent.kill().unwrap();
    agent.wait().unwrap();
    until("the worker has ended", || !lives(worker)).await;
}

#[tokio::test]
async fn a_worker_nobody_started_as_one_refuses_to_run() {
    let program = env!("CARGO_BIN_EXE_wherry-worker-trial");
    let status = Command::new(Path::new(program)).arg("worker").stdin(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn a_caller_that_takes_nothing_holds_up_its_own_invocation_only() {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    let (_to, inbox) = mpsc::channel(1);
    let (outbox, mut unread) = mpsc::channel(1);
    let talk = task("log", r#"{"lines":1000}"#);
    let stuck = runner.clone();
    let stuck = Handle::current()
        .spawn(async move { stuck.run_with(talk, std::sync::Arc::new(Locked), inbox, outbox, Blobs::new(0)).await });
    let first = timeout(PATIENCE, unread.recv()).await.unwrap();
    assert!(matches!(first, Some(FromConnector::Log { .. })), "{first:?}");
    for _ in 0..20 {
        let target = Task { has_input: true, has_output: false, ..task("drain", r#"{"rows":2}"#) };
        let finished = run(&runner, target, Locked, vec![batch(&["1", "2"]), ToConnector::End]).await;
        assert!(finished.result.is_ok(), "{:?}", finished.result);
    }
    assert_eq!(pool.processes().len(), 1);
    // Dropping the invocation stops it, and the worker goes on.
    stuck.abort();
    assert_eq!(run(&runner, task("good", "{}"), Locked, vec![]).await.output(), "{}");
}
