//! The worker's side: puts up its walls, loads its code, and runs what it is told.

mod blobs;
mod call;
mod egress;
mod filter;
mod walls;

use std::{collections::BTreeMap, io::Read, os::unix::net::UnixStream, path::Path, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{io::BufReader, runtime::Runtime, sync::mpsc, task::JoinSet};
use wherry_host::{Connector, Host, HostError};

use crate::{
    frame::{FromWorker, Hello, Ready, ToWorker, Walls, per_call},
    wire::{self, TO_WORKER_BYTES, VERSION, WAITING_FRAMES, WireError},
};

/// Longest greeting: settings and nothing else.
const HELLO_BYTES: usize = 64 << 10;
/// Threads of a worker at most: one connection's code must not take the whole machine.
const MOST_THREADS: usize = 4;
/// How long a reason not to start may take to be written.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The code, as its file descriptor: the worker never learns where it lies.
const CODE: &str = "/proc/self/fd/1";

/// Why a worker does not start or go on. It is said to the agent too, where that is possible.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Nobody who could be its agent started it.
    #[error("this command is started by the agent itself: {0}")]
    NotStarted(String),
    /// The system refuses something that it cannot do without.
    #[error("the system does not let a worker start: {0}")]
    System(#[from] std::io::Error),
    /// The agent said something else than agents say.
    #[error("the agent's words make no sense: {0}")]
    Agent(String),
}

/// Where frames to the agent go.
#[derive(Clone)]
pub(crate) struct ToAgent(mpsc::Sender<Vec<u8>>);

impl ToAgent {
    /// Whether it could be sent.
    pub(crate) async fn send(&self, frame: &FromWorker) -> bool {
        match wire::encode(frame) {
            Ok(bytes) => self.0.send(bytes).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Runs as a worker until the agent is gone or wants no more: its socket is standard input, its code standard output.
///
/// # Errors
/// If it was not started as one, or the system refuses what it needs.
pub fn run() -> Result<(), WorkerError> {
    run_tried(|| {}, || {})
}

/// The same for those who try its walls from inside: `before_filter` runs when all walls but the filter of system calls
/// stand, `once_walled` when that stands too, both before any connector code does.
///
/// # Errors
/// As [`run`].
pub fn run_tried(before_filter: impl FnOnce(), once_walled: impl FnOnce()) -> Result<(), WorkerError> {
    walls::close_strangers();
    let socket = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    let hello = greeting(&socket)?;
    walls::owned_by(hello.parent)?;
    let mut walls = walls::before_loading(&hello)?;
    let loaded = load(&hello);
    socket.set_nonblocking(true)?;
    let runtime = runtime()?;
    before_filter();
    walls::after_loading(&mut walls, hello.parent)?;
    once_walled();
    let ended = runtime.block_on(serve(socket, loaded, walls, &hello));
    runtime.shutdown_background();
    ended
}

fn greeting(socket: &UnixStream) -> Result<Hello, WorkerError> {
    let stranger = |error: &dyn std::fmt::Display| WorkerError::NotStarted(error.to_string());
    let mut length = [0; size_of::<u32>()];
    let mut socket = socket;
    socket.read_exact(&mut length).map_err(|error| stranger(&error))?;
    let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if bytes > HELLO_BYTES {
        return Err(stranger(&"nobody greets at such length"));
    }
    let mut frame = vec![0; bytes];
    socket.read_exact(&mut frame).map_err(|error| stranger(&error))?;
    let hello: Hello = wire::decode(&frame).map_err(|error| stranger(&error))?;
    if hello.version != VERSION {
        return Err(WorkerError::Agent(format!("it speaks version {}, this is version {VERSION}", hello.version)));
    }
    Ok(hello)
}

fn load(hello: &Hello) -> Result<Option<Connector>, Ready> {
    if !hello.code {
        return Ok(None);
    }
    let host = Host::new(hello.settings.clone()).map_err(Ready::No)?;
    host.load(Path::new(CODE)).map(Some).map_err(Ready::No)
}

fn runtime() -> Result<Runtime, std::io::Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = match cores {
        1 | 2 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(cores.saturating_sub(1).clamp(1, MOST_THREADS)).enable_all().build()
}

async fn serve(
    socket: UnixStream,
    loaded: Result<Option<Connector>, Ready>,
    walls: Walls,
    hello: &Hello,
) -> Result<(), WorkerError> {
    let (from_agent, to_agent) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
    let mut io = JoinSet::new();
    io.spawn(wire::write(to_agent, waiting).map(drop));
    let to_agent = ToAgent(frames);
    match loaded {
        Err(reason) => {
            to_agent.send(&FromWorker::Ready(reason)).await;
            drop(to_agent);
            drop(tokio::time::timeout(LAST_WORD, io.join_next()).await);
            Ok(())
        }
        Ok(connector) => {
            to_agent.send(&FromWorker::Ready(Ready::Yes(walls))).await;
            let mut desk = Desk {
                connector: connector.map(Arc::new),
                parallel: hello.settings.parallel_requests,
                to_agent,
                calls: BTreeMap::new(),
                work: JoinSet::new(),
            };
            desk.listen(BufReader::new(from_agent)).await
        }
    }
}

/// Hands frames to the invocations they belong to. It never waits for one: the agent sends no more than there is room
/// for.
struct Desk {
    connector: Option<Arc<Connector>>,
    parallel: usize,
    to_agent: ToAgent,
    calls: BTreeMap<u32, mpsc::Sender<ToWorker>>,
    work: JoinSet<u32>,
}

impl Desk {
    async fn listen(&mut self, mut from_agent: impl tokio::io::AsyncRead + Unpin + Send) -> Result<(), WorkerError> {
        let mut buffer = Vec::new();
        loop {
            let frame = wire::read(&mut from_agent, &mut buffer, TO_WORKER_BYTES).await;
            while let Some(ended) = self.work.try_join_next() {
                if let Ok(call) = ended {
                    self.calls.remove(&call);
                }
            }
            match frame {
                Ok(Some(frame)) => self.hear(frame)?,
                // The agent is gone, or wants no more of this worker.
                Ok(None) | Err(WireError::Io(_)) => return Ok(()),
                Err(error) => return Err(WorkerError::Agent(error.to_string())),
            }
        }
    }

    fn hear(&mut self, frame: ToWorker) -> Result<(), WorkerError> {
        let call = frame.call();
        let Some(connector) = self.connector.clone() else {
            return Err(WorkerError::Agent("it has work for a worker without code".to_owned()));
        };
        match frame {
            ToWorker::Describe { .. } => {
                let to_agent = self.to_agent.clone();
                self.work.spawn(async move {
                    let text = connector.describe_text().await.map_err(|error| {
                        if let HostError::DescribeFailed(fault) = error { *fault } else { error.into() }
                    });
                    to_agent.send(&FromWorker::Described { call, text }).await;
                    call
                });
            }
            ToWorker::Begin { task, protected, blob_bytes, .. } => {
                let (frames, inbox) = mpsc::channel(per_call(self.parallel));
                self.calls.insert(call, frames);
                let beginning = call::Beginning { call, task: *task, protected, blob_bytes, parallel: self.parallel };
                let work = call::run(connector, beginning, inbox, self.to_agent.clone());
                self.work.spawn(work.map(move |()| call));
            }
            ToWorker::Say { .. }
            | ToWorker::Silent { .. }
            | ToWorker::Deaf { .. }
            | ToWorker::Room { .. }
            | ToWorker::Stop { .. }
            | ToWorker::Answer { .. }
            | ToWorker::Part { .. }
            | ToWorker::PartRoom { .. }
            | ToWorker::Over { .. }
            | ToWorker::Blob { .. } => {
                // What comes for an invocation that has just ended is of no use to anybody.
                if let Some(frames) = self.calls.get(&call)
                    && matches!(frames.try_send(frame), Err(mpsc::error::TrySendError::Full(_)))
                {
                    return Err(WorkerError::Agent("it sends more than there is room for".to_owned()));
                }
            }
        }
        Ok(())
    }
}
