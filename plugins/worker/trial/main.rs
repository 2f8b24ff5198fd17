//! The worker of the tests: the real one, in which an attacker tries something once the walls are up.
//!
//! It stands for machine code that broke out of the WebAssembly sandbox. It exits with status 77 if the attack
//! succeeded, goes on as a worker if the system denied it, and does not live on if the system ended it.

mod flood;
mod impostor;

use std::{
    fs::File,
    net::{TcpStream, UdpSocket},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Command, ExitCode, exit},
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, Request};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, kill},
    },
    unistd::{Pid, close, getppid},
};
use tokio::sync::mpsc::channel;
use wherry_host::{Blobs, Body, Egress, EgressError, EgressFuture, HostSettings, Task};
use wherry_worker::{Apart, Code, Pool, PoolSettings};

const SUCCEEDED: i32 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |n: usize| arguments.get(n).map(String::as_str).unwrap_or_default();
    let (when, attack, aim) = (argument(2), argument(3), argument(4));
    let now = |moment: &str| {
        if when == moment && succeeds(attack, aim) {
            exit(SUCCEEDED);
        }
    };
    match argument(1) {
        "worker" => match wherry_worker::run_tried(|| now("before-filter"), || now("walled")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        "agent" => agent(when),
        // No worker at all: speaks to the agent as it likes.
        "impostor" => impostor::run(when),
        _ => ExitCode::FAILURE,
    }
}

/// An agent with a worker that is at work; says which process that is.
fn agent(compiled: &str) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let settings = PoolSettings {
        program: "/proc/self/exe".into(),
        arguments: vec!["worker".to_owned()],
        host: HostSettings::default(),
        idle: Duration::from_secs(60),
        kept: 1,
    };
    let work = async {
        let pool = Pool::new(settings, tokio::runtime::Handle::current()).ok()?;
        let code = Code::Apart(Apart::open(&pool, compiled.as_ref()).ok()?);
        code.of("a")
            .run_with(Task::default(), Arc::new(Nowhere), channel(1).1, channel(1).0, Blobs::new(0))
            .await
            .err()?;
        println!("{}", pool.processes().first()?);
        std::future::pending().await
    };
    let ended: Option<()> = runtime.block_on(work);
    if ended.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// No way out.
struct Nowhere;

impl Egress for Nowhere {
    fn send(&self, _: Request<Body>) -> EgressFuture {
        Box::pin(std::future::ready(Err(EgressError::RequestAborted)))
    }

    fn protected_headers(&self) -> &[HeaderName] {
        &[]
    }
}

fn succeeds(attack: &str, aim: &str) -> bool {
    match attack {
        "tcp" => TcpStream::connect(aim).is_ok(),
        "udp" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        "unix" => UnixStream::connect(aim).is_ok(),
        "read" => File::open(aim).is_ok(),
        "list" => std::fs::read_dir(aim).is_ok(),
        "write" => File::create(aim).is_ok(),
        "remove" => std::fs::remove_file(aim).is_ok(),
        "memory-of-agent" => File::open(format!("/proc/{}/mem", getppid())).is_ok(),
        "environment-of-agent" => File::open(format!("/proc/{}/environ", getppid())).is_ok(),
        // Another worker, of which every attacker knows the process: numbers are easily guessed.
        "memory-of" => File::options().read(true).write(true).open(format!("/proc/{aim}/mem")).is_ok(),
        "read-memory-of" => File::open(format!("/proc/{aim}/mem")).is_ok(),
        "environment-of" => File::open(format!("/proc/{aim}/environ")).is_ok(),
        "files-of" => std::fs::read_dir(format!("/proc/{aim}/fd")).is_ok(),
        "ptrace-of" => ptrace::attach(Pid::from_raw(aim.parse().unwrap_or_default())).is_ok(),
        "end" => kill(Pid::from_raw(aim.parse().unwrap_or_default()), Signal::SIGKILL).is_ok(),
        "start" => Command::new("/bin/true").spawn().is_ok(),
        // Gives an error only where it failed.
        "become" => Command::new("/bin/true").exec().raw_os_error() == Some(0),
        "thread" => std::thread::Builder::new().spawn(|| {}).is_ok(),
        "ptrace" => ptrace::attach(getppid()).is_ok(),
        "kill" => kill(Pid::from_raw(aim.parse().unwrap_or_default()), None).is_ok(),
        "inherited" => close(aim.parse::<i32>().unwrap_or_default()).is_ok(),
        "secret-file" => rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::empty()).is_ok(),
        "environment" => std::env::vars().next().is_some(),
        _ => true,
    }
}
