//! One worker process as the agent sees it: the frames to and from it, and its end.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    process::ChildStderr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::BufReader,
    net::unix::OwnedReadHalf,
    runtime::Handle,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use wherry_host::{HostError, HostSettings, WorkerFault};

use super::{
    process::{Leash, last_words, told},
    starter::{Started, Starter},
};
use crate::{
    frame::{FromWorker, Hello, Ready, ToWorker, Walls, per_call},
    wire::{self, FROM_WORKER_BYTES, TO_WORKER_BYTES, VERSION, WAITING_FRAMES, WireError},
};

/// How long a worker may take until it is ready.
const START: Duration = Duration::from_secs(30);
/// How long an invocation may take to end that nobody wants any more.
const LET_GO: Duration = Duration::from_secs(5);
/// Bytes of frames that may wait for one invocation: four batches, and the heads and bodies of its exchanges. They are
/// counted as they travelled. Read, only headers and states are longer, by 12 KiB in each frame at most.
const WAITING_BYTES: usize = 24 << 20;
/// The signal for a system call that is not allowed.
const SIGSYS: i32 = 31;

/// Why a worker cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoWorker {
    #[error(transparent)]
    Fault(#[from] WorkerFault),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// A worker that is ready. Dropping the last handle ends it.
pub(super) struct Worker {
    shared: Arc<Shared>,
    pub(super) settings: Arc<HostSettings>,
    pub(super) walls: Walls,
    pub(super) pid: u32,
    next: AtomicU32,
    _life: JoinSet<()>,
}

struct Shared {
    frames: mpsc::Sender<Vec<u8>>,
    calls: Mutex<BTreeMap<u32, Call>>,
    /// An invocation was given up.
    given_up: Notify,
    /// Why it is gone, once it is.
    gone: watch::Sender<Option<WorkerFault>>,
    room: usize,
}

enum Call {
    Wanted(mpsc::Sender<(FromWorker, usize)>, Arc<AtomicUsize>),
    /// Nobody wants it; it has to end by then.
    Unwanted {
        told: bool,
        until: Instant,
    },
}

/// An invocation of a worker. Dropping it gives it up.
pub(super) struct Line {
    pub(super) call: u32,
    frames: mpsc::Receiver<(FromWorker, usize)>,
    /// Bytes of the frames that wait.
    waiting: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    gone: watch::Receiver<Option<WorkerFault>>,
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub(super) async fn start(
        starter: &Starter,
        runtime: &Handle,
        settings: &Arc<HostSettings>,
        code: Option<std::fs::File>,
    ) -> Result<Self, NoWorker> {
        let has_code = code.is_some();
        let failed = |error: io::Error| WorkerFault::Start { reason: error.to_string() };
        let Started { mut child, socket } = starter.start(code).await.map_err(failed)?;
        let pid = child.id();
        let stderr = child.stderr.take();
        // From here on whatever goes wrong ends the child.
        let mut child = Leash(Some(child));
        let hello = Hello {
            version: VERSION,
            parent: i32::try_from(std::process::id()).unwrap_or_default(),
            settings: HostSettings::clone(settings),
            code: has_code,
        };
        let hello = wire::encode(&hello).map_err(|error| WorkerFault::Start { reason: error.to_string() })?;
        // A child that is gone already says how below.
        let _ = (&socket).write_all(&hello);
        socket.set_nonblocking(true).map_err(failed)?;
        let (from, to) = attach(runtime, socket).map_err(failed)?.into_split();
        let mut from = BufReader::with_capacity(wire::CHUNK, from);
        let mut buffer = Vec::new();
        let ready = timeout(START, wire::read(&mut from, &mut buffer, FROM_WORKER_BYTES)).await;
        let walls = match ready {
            Ok(Ok(Some(FromWorker::Ready(Ready::Yes(walls))))) => walls,
            Ok(Ok(Some(FromWorker::Ready(Ready::No(error))))) => return Err(error.into()),
            Ok(Ok(Some(FromWorker::Ready(Ready::Unable(reason))))) => return Err(WorkerFault::Start { reason }.into()),
            Ok(Ok(Some(_))) => return Err(protocol("it did not say that it is ready").into()),
            Ok(Ok(None) | Err(WireError::Io(_))) => {
                let how = child.end().await;
                let words = stderr.map(last_words);
                let words = match words {
                    Some(words) => words.await,
                    None => String::new(),
                };
                tracing::warn!(%how, words, "a worker process did not start");
                return Err(WorkerFault::Start { reason: how }.into());
            }
            Ok(Err(error)) => return Err(protocol(&error.to_string()).into()),
            Err(_) => {
                return Err(WorkerFault::Start { reason: "it was not ready in time".to_owned() }.into());
            }
        };
        let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
        let shared = Arc::new(Shared {
            frames,
            calls: Mutex::default(),
            given_up: Notify::new(),
            gone: watch::channel(None).0,
            room: per_call(settings.parallel_requests),
        });
        let mut life = JoinSet::new();
        life.spawn_on(live(Arc::clone(&shared), child, stderr, (from, buffer), (to, waiting)), runtime);
        Ok(Self { shared, settings: Arc::clone(settings), walls, pid, next: AtomicU32::new(1), _life: life })
    }

    /// Whether it still lives.
    pub(super) fn is_alive(&self) -> bool {
        self.shared.gone.borrow().is_none()
    }

    /// Whether nobody uses it.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.calls().is_empty()
    }

    /// A line for one more invocation.
    pub(super) fn line(&self) -> Result<Line, WorkerFault> {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        let (to_call, frames) = mpsc::channel(self.shared.room);
        let waiting = Arc::new(AtomicUsize::new(0));
        self.shared.calls().insert(call, Call::Wanted(to_call, Arc::clone(&waiting)));
        let line = Line { call, frames, waiting, shared: Arc::clone(&self.shared), gone: self.shared.gone.subscribe() };
        match &*self.shared.gone.borrow() {
            None => Ok(line),
            Some(fault) => Err(fault.clone()),
        }
    }
}

impl Line {
    /// The next frame of the worker; nothing, if it is gone.
    pub(super) async fn next(&mut self) -> Option<FromWorker> {
        let (frame, bytes) = self.frames.recv().await?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(frame)
    }

    /// Sends a frame, as soon as the worker reads.
    pub(super) async fn send(&self, frame: &ToWorker) -> Result<(), WorkerFault> {
        let bytes = wire::encode(frame).map_err(|error| protocol(&error.to_string()))?;
        if bytes.len() > TO_WORKER_BYTES {
            return Err(protocol("the agent has more for it than it may take at once"));
        }
        match self.shared.frames.send(bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.fault().await),
        }
    }

    /// A way to send frames without the line.
    pub(super) fn sender(&self) -> mpsc::Sender<Vec<u8>> {
        self.shared.frames.clone()
    }

    /// Why the worker is gone; waits until it is.
    pub(super) async fn fault(&self) -> WorkerFault {
        let mut gone = self.gone.clone();
        let fault = gone.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone());
        fault.unwrap_or_else(|| WorkerFault::Died { how: "it was stopped".to_owned() })
    }

    /// Ends the whole worker: it did what none does.
    pub(super) fn foul(&self, reason: &str) -> WorkerFault {
        self.shared.end(protocol(reason))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Entry::Occupied(mut call) = self.shared.calls().entry(self.call) {
            call.insert(Call::Unwanted { told: false, until: now() + LET_GO });
            self.shared.given_up.notify_one();
        }
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, BTreeMap<u32, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why it is gone; the first reason counts.
    fn end(&self, why: WorkerFault) -> WorkerFault {
        let mut first = why.clone();
        self.gone.send_if_modified(|reason| match reason {
            Some(reason) => {
                first = reason.clone();
                false
            }
            None => {
                *reason = Some(why);
                true
            }
        });
        first
    }

    /// Hands a frame to its invocation.
    fn hear(&self, frame: FromWorker, bytes: usize) -> Result<(), &'static str> {
        let Some(call) = frame.call() else { return Err("it said twice that it is ready") };
        let last = frame.is_last();
        let mut calls = self.calls();
        let Entry::Occupied(known) = calls.entry(call) else {
            return Err("it speaks of an invocation that it was not given");
        };
        if let Call::Wanted(frames, waiting) = known.get() {
            let before = waiting.fetch_add(bytes, Ordering::Relaxed);
            let full = matches!(frames.try_send((frame, bytes)), Err(mpsc::error::TrySendError::Full(_)));
            if full || before.saturating_add(bytes) > WAITING_BYTES {
                return Err("it sends more than there is room for");
            }
        }
        if last {
            known.remove();
        }
        Ok(())
    }

    /// The invocations to be given up that it was not told of yet.
    fn untold(&self) -> Vec<u32> {
        let mut calls = self.calls();
        let unwanted = calls.iter_mut().filter_map(|(call, state)| match state {
            Call::Unwanted { told, .. } if !*told => {
                *told = true;
                Some(*call)
            }
            Call::Unwanted { .. } | Call::Wanted(..) => None,
        });
        unwanted.collect()
    }

    /// When the first of them has to have ended.
    fn patience(&self) -> Option<Instant> {
        let calls = self.calls();
        let until = calls.values().filter_map(|call| match call {
            Call::Unwanted { until, .. } => Some(*until),
            Call::Wanted(..) => None,
        });
        until.min()
    }
}

/// The socket on that runtime.
fn attach(runtime: &Handle, socket: std::os::unix::net::UnixStream) -> io::Result<tokio::net::UnixStream> {
    let _inside = runtime.enter();
    tokio::net::UnixStream::from_std(socket)
}

/// Moves frames until one side ends, then makes sure that the process is gone and everybody knows.
async fn live(
    shared: Arc<Shared>,
    mut child: Leash,
    stderr: Option<ChildStderr>,
    (mut from, mut buffer): (BufReader<OwnedReadHalf>, Vec<u8>),
    (to, waiting): (tokio::net::unix::OwnedWriteHalf, mpsc::Receiver<Vec<u8>>),
) {
    let mut gone = shared.gone.subscribe();
    let reading = async {
        loop {
            match wire::read(&mut from, &mut buffer, FROM_WORKER_BYTES).await {
                Ok(Some(frame)) => {
                    if let Err(foul) = shared.hear(frame, buffer.len()) {
                        return Some(foul.to_owned());
                    }
                }
                Ok(None) | Err(WireError::Io(_)) => return None,
                Err(error) => return Some(error.to_string()),
            }
        }
    };
    let foul = tokio::select! {
        foul = reading => foul,
        _ = wire::write(to, waiting) => None,
        foul = give_up(&shared) => Some(foul),
        _ = gone.wait_for(Option::is_some) => None,
    };
    if let Some(foul) = foul {
        shared.end(protocol(&foul));
    }
    let status = child.status().await;
    let why = match status {
        Some(status) if status.signal() == Some(SIGSYS) => WorkerFault::Violation,
        Some(status) => WorkerFault::Died { how: told(status) },
        None => WorkerFault::Died { how: "nobody knows how".to_owned() },
    };
    let words = match stderr {
        Some(stderr) => last_words(stderr).await,
        None => String::new(),
    };
    let why = shared.end(why);
    shared.calls().clear();
    match why {
        WorkerFault::Violation | WorkerFault::Protocol { .. } => {
            tracing::error!(%why, words, "a worker process was ended: its connector is not to be trusted");
        }
        WorkerFault::Died { .. } | WorkerFault::Start { .. } => tracing::warn!(%why, words, "a worker process ended"),
    }
}

/// Tells the worker what is not wanted any more, and loses patience with one that does not let go.
async fn give_up(shared: &Shared) -> String {
    loop {
        for call in shared.untold() {
            let Ok(stop) = wire::encode(&ToWorker::Stop { call }) else { continue };
            match timeout(LET_GO, shared.frames.send(stop)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) => return "it does not read what it is told".to_owned(),
            }
        }
        match shared.patience() {
            None => shared.given_up.notified().await,
            Some(until) if until <= now() => return "it did not stop when it was asked to".to_owned(),
            Some(until) => {
                // Looks again sometimes: an invocation that ended meanwhile is forgotten then.
                drop(tokio::time::timeout_at(until, shared.given_up.notified()).await);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures how long a process takes, which no test turns")]
fn now() -> Instant {
    Instant::now()
}

pub(super) fn protocol(reason: &str) -> WorkerFault {
    WorkerFault::Protocol { reason: reason.to_owned() }
}
