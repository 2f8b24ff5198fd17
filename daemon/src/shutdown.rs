//! How a process ends: first stop (refuse new work, finish what runs), then cancel (drop it).
//!
//! SIGTERM, SIGINT or code asks for the first stage; a second signal, or the end of the grace
//! period, brings the second.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// A handle to ask for, and to wait for, the end of the process. Clones share their state.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stop: CancellationToken,
    cancel: CancellationToken,
    cause: Arc<Mutex<Option<Cause>>>,
    grace: Duration,
}

/// Why the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// For the log and for whoever reads the exit.
    pub reason: String,
    /// What the process exits with.
    pub exit: Exit,
}

impl Shutdown {
    /// A handle without signals, for tests and for parts of a process. `grace` is how long work may
    /// go on after a stop.
    pub fn new(grace: Duration) -> Self {
        Self { stop: CancellationToken::new(), cancel: CancellationToken::new(), cause: Arc::default(), grace }
    }

    /// A handle that SIGTERM and SIGINT trigger. From here on they no longer kill the process.
    /// Needs a tokio runtime.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let shutdown = Self::new(grace);
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        #[expect(clippy::disallowed_methods, reason = "the tasks themselves wait for this one")]
        tokio::spawn(listen(shutdown.clone(), terminate, interrupt));
        Ok(shutdown)
    }

    /// Asks for the first stage and starts the grace period. The first reason is kept; a later
    /// failure still decides the exit code over an earlier success.
    pub fn stop(&self, reason: impl Into<String>, exit: Exit) {
        self.note(reason.into(), exit);
        if self.stop.is_cancelled() {
            return;
        }
        self.stop.cancel();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shutdown = self.clone();
            runtime.spawn(async move {
                tokio::select! {
                    () = shutdown.cancel.cancelled() => {}
                    () = tokio::time::sleep(shutdown.grace) => shutdown.cancel("the grace period is over", Exit::Success),
                }
            });
        }
    }

    /// Brings the second stage at once.
    pub fn cancel(&self, reason: impl Into<String>, exit: Exit) {
        self.note(reason.into(), exit);
        self.stop.cancel();
        self.cancel.cancel();
    }

    /// Resolves when the first stage has begun.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Resolves when the second stage has begun.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the first stage has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the second stage has begun.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Why the process ends, once it does.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to exit with; success if nobody asked.
    pub fn exit(&self) -> Exit {
        self.cause().map_or(Exit::Success, |cause| cause.exit)
    }

    fn note(&self, reason: String, exit: Exit) {
        tracing::info!(reason, exit = exit.code(), "shutdown requested");
        let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        match cause.as_mut() {
            None => *cause = Some(Cause { reason, exit }),
            Some(first) if first.exit == Exit::Success && exit != Exit::Success => *first = Cause { reason, exit },
            Some(_) => {}
        }
    }
}

async fn listen(shutdown: Shutdown, mut terminate: Signal, mut interrupt: Signal) {
    let name = next(&mut terminate, &mut interrupt).await;
    shutdown.stop(format!("received {name}"), Exit::Success);
    let name = next(&mut terminate, &mut interrupt).await;
    shutdown.cancel(format!("received {name} again"), Exit::Success);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_becomes_a_cancel_when_the_grace_is_over() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        assert!(!shutdown.is_stopping());
        #[expect(clippy::disallowed_methods, reason = "the paused clock of tokio")]
        let before = tokio::time::Instant::now();
        shutdown.stop("asked by a test", Exit::Success);
        shutdown.stopping().await;
        assert!(!shutdown.is_cancelled());
        shutdown.cancelled().await;
        assert_eq!(before.elapsed(), Duration::from_secs(30));
        assert_eq!(shutdown.cause().unwrap().reason, "asked by a test");
    }

    #[tokio::test]
    async fn a_failure_during_a_clean_stop_decides_the_exit_code() {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        shutdown.stop("received SIGTERM", Exit::Success);
        shutdown.cancel("the store failed", Exit::Store);
        shutdown.cancel("something else", Exit::Unavailable);
        assert_eq!(shutdown.cause(), Some(Cause { reason: "the store failed".into(), exit: Exit::Store }));
    }
}
