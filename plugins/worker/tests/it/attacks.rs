//! Machine code inside a worker tries to get out.

use std::{net::TcpListener, os::unix::net::UnixListener};

use wherry_host::WorkerFault;
use wherry_worker::{Pool, Runner, Wall};

use crate::support::{Locked, hostile, pool, run, task};

/// What came of an attack.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The system said no, and the worker went on.
    Denied,
    /// The system ended the worker.
    Ended,
}

async fn attack(when: &str, attack: &str, aim: &str) -> Came {
    match pool(&["worker", when, attack, aim]).walls().await {
        Ok(_) => Came::Denied,
        Err(WorkerFault::Start { reason }) if reason == "signal 31" => Came::Ended,
        Err(fault) => panic!("{attack}: {fault}"),
    }
}

#[tokio::test]
async fn the_trial_can_tell_an_attack_that_succeeds() {
    let fault = pool(&["worker", "walled", "nothing that is known", ""]).walls().await.unwrap_err();
    assert_eq!(fault, WorkerFault::Start { reason: "exit status 77".into() });
}

#[tokio::test]
async fn a_worker_says_which_walls_stand() {
    let walls = pool(&["worker"]).walls().await.unwrap();
    assert_eq!((&walls.seccomp, &walls.limits), (&Wall::Stands, &Wall::Stands), "{walls:?}");
    if walls.namespaces != Wall::Stands || walls.landlock != Wall::Stands {
        println!("SKIPPED in part: this system has {walls:?}");
    }
}

#[tokio::test]
async fn it_cannot_open_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(attack("walled", "tcp", &address).await, Came::Ended);
    assert_eq!(attack("walled", "udp", "").await, Came::Ended);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    assert_eq!(attack("walled", "unix", path.to_str().unwrap()).await, Came::Ended);
}

#[tokio::test]
async fn it_cannot_read_a_token_list_the_data_folder_or_leave_anything() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "canary-4711").unwrap();
    let (token, folder) = (token.to_str().unwrap(), folder.path().to_str().unwrap());
    for (what, aim) in [("read", token), ("read", "/etc/passwd"), ("read", "/proc/self/maps"), ("list", folder)] {
        assert_eq!(attack("walled", what, aim).await, Came::Denied, "{what} {aim}");
    }
    let new = format!("{folder}/new");
    for (what, aim) in [("write", new.as_str()), ("write", token), ("remove", token), ("secret-file", "")] {
        assert_eq!(attack("walled", what, aim).await, Came::Denied, "{what} {aim}");
    }
    assert_eq!(std::fs::read_to_string(token).unwrap(), "canary-4711");
}

#[tokio::test]
async fn it_cannot_start_or_become_another_program() {
    for what in ["start", "thread"] {
        assert_eq!(attack("walled", what, "").await, Came::Denied, "{what}");
    }
    assert_eq!(attack("walled", "become", "").await, Came::Ended);
}

#[tokio::test]
async fn it_cannot_touch_the_agent() {
    assert_eq!(attack("walled", "ptrace", "").await, Came::Ended);
    assert_eq!(attack("walled", "kill", &std::process::id().to_string()).await, Came::Ended);
    for what in ["memory-of-agent", "environment-of-agent"] {
        assert_eq!(attack("walled", what, "").await, Came::Denied, "{what}");
    }
}

#[tokio::test]
async fn it_inherits_neither_environment_nor_files() {
    // As a library of C might leave it: open in every child, under a number that nothing else gets.
    let secret = rustix::io::fcntl_dupfd_cloexec(tempfile::tempfile().unwrap(), 200).unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&secret).to_string();
    assert_eq!(attack("walled", "inherited", &number).await, Came::Denied);
    assert_eq!(attack("walled", "environment", "").await, Came::Denied);
}

#[tokio::test]
async fn landlock_and_namespaces_hold_without_the_filter_of_system_calls() {
    let walls = pool(&["worker"]).walls().await.unwrap();
    if walls.landlock == Wall::Missing || walls.namespaces == Wall::Missing {
        println!("SKIPPED: this system has {walls:?}");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(attack("before-filter", "tcp", &address).await, Came::Denied);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "canary-4711").unwrap();
    let token = token.to_str().unwrap();
    for what in ["read", "write", "remove"] {
        assert_eq!(attack("before-filter", what, token).await, Came::Denied, "{what}");
    }
    let folder = folder.path().to_str().unwrap();
    assert_eq!(attack("before-filter", "list", folder).await, Came::Denied);
    for what in ["ptrace", "memory-of-agent"] {
        assert_eq!(attack("before-filter", what, "").await, Came::Denied, "{what}");
    }
    assert_eq!(attack("before-filter", "kill", &std::process::id().to_string()).await, Came::Denied);
}

/// A worker of another connection, which has worked, with its process.
async fn sibling() -> (Pool, Runner, String) {
    let pool = pool(&["worker"]);
    let runner = hostile(&pool).of("prod/desk/helix");
    assert_eq!(run(&runner, task("good", "{}"), Locked, vec![]).await.output(), "{}");
    let process = pool.processes()[0].to_string();
    (pool, runner, process)
}

/// It works on, and is the same process.
async fn works(pool: &Pool, runner: &Runner, process: &str) {
    assert_eq!(run(runner, task("good", "{}"), Locked, vec![]).await.output(), "{}");
    assert_eq!(pool.processes().iter().map(ToString::to_string).collect::<Vec<_>>(), [process]);
}

const LOOKS: [&str; 4] = ["memory-of", "read-memory-of", "environment-of", "files-of"];

#[tokio::test]
async fn it_cannot_touch_the_worker_of_another_connection() {
    let (pool, runner, process) = sibling().await;
    for what in LOOKS {
        assert_eq!(attack("walled", what, &process).await, Came::Denied, "{what}");
    }
    for what in ["ptrace-of", "end"] {
        assert_eq!(attack("walled", what, &process).await, Came::Ended, "{what}");
    }
    works(&pool, &runner, &process).await;
}

#[tokio::test]
async fn landlock_and_namespaces_keep_workers_apart_without_the_filter_of_system_calls() {
    let (pool, runner, process) = sibling().await;
    let walls = pool.walls().await.unwrap();
    if walls.landlock != Wall::Stands || walls.namespaces != Wall::Stands {
        println!("SKIPPED: this system has {walls:?}");
        return;
    }
    for what in LOOKS.into_iter().chain(["ptrace-of", "end"]) {
        assert_eq!(attack("before-filter", what, &process).await, Came::Denied, "{what}");
    }
    works(&pool, &runner, &process).await;
}
