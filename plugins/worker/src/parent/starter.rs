//! Starts worker processes, from a thread that lives as long as there may be any: the system ends a worker with the
//! thread that started it.

use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use tokio::sync::oneshot;

/// Workers that may wait to be started.
const WAITING: usize = 64;

/// A worker that was started.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) socket: UnixStream,
}

struct Order {
    code: Option<File>,
    started: oneshot::Sender<io::Result<Started>>,
}

/// Where workers are ordered. Dropping the last one ends the thread, and with it every worker.
pub(super) struct Starter {
    orders: SyncSender<Order>,
}

impl Starter {
    pub(super) fn new(program: PathBuf, arguments: Vec<String>) -> io::Result<Self> {
        let (orders, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("workers".into()).spawn(move || serve(&program, &arguments, &waiting))?;
        Ok(Self { orders })
    }

    pub(super) async fn start(&self, code: Option<File>) -> io::Result<Started> {
        let (started, answer) = oneshot::channel();
        let order = Order { code, started };
        self.orders.try_send(order).map_err(|_| io::Error::other("too many workers are being started"))?;
        answer.await.map_err(|_| io::Error::other("the agent stops"))?
    }
}

fn serve(program: &std::path::Path, arguments: &[String], orders: &Receiver<Order>) {
    while let Ok(Order { code, started }) = orders.recv() {
        // A worker that nobody waits for any more ends when its socket is dropped.
        drop(started.send(start(program, arguments, code)));
    }
}

fn start(program: &std::path::Path, arguments: &[String], code: Option<File>) -> io::Result<Started> {
    let (socket, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .arg0("wherry-agent")
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(code.map_or_else(Stdio::null, Stdio::from))
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(Started { child, socket })
}
