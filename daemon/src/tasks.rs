//! Named background tasks: none ends unnoticed, none outlives the process's end.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    fmt::Display,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{clock, exit::Exit, shutdown::Shutdown};

/// Ends remembered for status pages.
const REMEMBERED: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long cancelled tasks may take to let go before they are reported as stuck.
const LET_GO: Duration = Duration::from_secs(5);

/// What happens when a service fails, panics or ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The rest goes on without it.
    Log,
    /// It is started again, after a pause that doubles from 1 s to 60 s.
    Restart,
    /// The process stops with this code.
    StopProcess(Exit),
}

/// What happens to a task when the process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// It watches [`Shutdown::stopping`] itself, ends when it is done, and is dropped only when the
    /// process cancels.
    Finish,
    /// It is dropped at its next await.
    Cancel,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Finished,
    /// A service returned although nobody asked it to.
    ByItself,
    /// It returned this error.
    Failed(String),
    /// It panicked with this text.
    Panicked(String),
    /// It was dropped because the process ends.
    Dropped,
}

/// One task's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The task's name.
    pub name: String,
    /// How it ended.
    pub end: End,
}

/// The tasks of a process. Clones share their state.
#[derive(Clone)]
pub struct Tasks {
    shutdown: Shutdown,
    tracker: TaskTracker,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, String>,
    ended: VecDeque<Ended>,
}

impl Tasks {
    /// No tasks yet; they end when `shutdown` says so.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, tracker: TaskTracker::new(), state: Arc::default() }
    }

    /// Starts a task that should run as long as the process. `start` is called again for each
    /// restart. Its end, unless the process stops, is an event that `on_error` decides about.
    pub fn service<S, F, E>(&self, name: impl Into<String>, on_error: OnError, on_stop: OnStop, mut start: S)
    where
        S: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (tasks, running) = (self.clone(), Running::new(self, name.into()));
        self.tracker.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let started = clock::monotonic_micros();
                let end = tasks.supervise(on_stop, async { start().await }).await;
                let end = if end == End::Finished && !tasks.shutdown.is_stopping() { End::ByItself } else { end };
                let again = tasks.ended(&running.name, end, on_error);
                if clock::monotonic_micros().saturating_sub(started) > LONGEST_PAUSE.as_micros() as u64 {
                    pause = FIRST_PAUSE;
                }
                if !again || tasks.stops_within(pause).await {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Starts a piece of work that ends when it is done. A failure or panic is logged and
    /// remembered, and nothing else happens.
    pub fn work<F, E>(&self, name: impl Into<String>, on_stop: OnStop, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let (tasks, running) = (self.clone(), Running::new(self, name.into()));
        self.tracker.spawn(async move {
            let end = tasks.supervise(on_stop, work).await;
            tasks.ended(&running.name, end, OnError::Log);
        });
    }

    /// Names of the tasks that run now, oldest first.
    pub fn running(&self) -> Vec<String> {
        self.lock().running.values().cloned().collect()
    }

    /// The most recent ends, oldest first.
    pub fn recently_ended(&self) -> Vec<Ended> {
        self.lock().ended.iter().cloned().collect()
    }

    /// Waits until the process is asked to stop and every task has ended; returns the names of
    /// those that did not let go even when cancelled.
    pub async fn finish(&self) -> Vec<String> {
        self.shutdown.stopping().await;
        self.tracker.close();
        tokio::select! {
            () = self.tracker.wait() => return Vec::new(),
            () = self.shutdown.cancelled() => {}
        }
        match tokio::time::timeout(LET_GO, self.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.running(),
        }
    }

    async fn supervise<E: Display>(&self, on_stop: OnStop, task: impl Future<Output = Result<(), E>>) -> End {
        let stop = async {
            match on_stop {
                OnStop::Finish => self.shutdown.cancelled().await,
                OnStop::Cancel => self.shutdown.stopping().await,
            }
        };
        tokio::select! {
            biased;
            end = watched(task) => end,
            () = stop => End::Dropped,
        }
    }

    /// Remembers and logs an end; whether to start again.
    fn ended(&self, name: &str, end: End, on_error: OnError) -> bool {
        let reason = match &end {
            End::Finished | End::Dropped => None,
            End::ByItself => Some("it ended by itself".to_owned()),
            End::Failed(error) => Some(error.clone()),
            End::Panicked(text) => Some(format!("it panicked: {text}")),
        };
        let mut state = self.lock();
        if state.ended.len() >= REMEMBERED {
            state.ended.pop_front();
        }
        state.ended.push_back(Ended { name: name.to_owned(), end });
        drop(state);
        let Some(reason) = reason else {
            tracing::debug!(task = name, "task ended");
            return false;
        };
        match on_error {
            OnError::Log => tracing::warn!(task = name, reason, "task ended"),
            OnError::Restart => tracing::warn!(task = name, reason, "task ended and will be restarted"),
            OnError::StopProcess(exit) => {
                tracing::error!(task = name, reason, "task ended and stops the process");
                self.shutdown.stop(format!("{name}: {reason}"), exit);
            }
        }
        on_error == OnError::Restart
    }

    /// Waits before a restart; whether the process stops meanwhile.
    async fn stops_within(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.stopping() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name on the list of running tasks, taken off however the task ends.
struct Running {
    tasks: Tasks,
    id: u64,
    name: String,
}

impl Running {
    fn new(tasks: &Tasks, name: String) -> Self {
        let mut state = tasks.lock();
        state.next += 1;
        let id = state.next;
        state.running.insert(id, name.clone());
        drop(state);
        Self { tasks: tasks.clone(), id, name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.lock().running.remove(&self.id);
    }
}

/// Drives the future, turning a panic into an [`End`].
async fn watched<E: Display>(task: impl Future<Output = Result<(), E>>) -> End {
    let mut task = pin!(task);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(End::Finished),
        Ok(Poll::Ready(Err(error))) => Poll::Ready(End::Failed(error.to_string())),
        Err(panic) => Poll::Ready(End::Panicked(panic_text(panic.as_ref()))),
    })
    .await
}

/// What a panic said, for logs and errors.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    fn tasks() -> (Tasks, Shutdown) {
        let shutdown = Shutdown::new(Duration::from_secs(30));
        (Tasks::new(shutdown.clone()), shutdown)
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_panics_or_ends_is_started_again_after_growing_pauses() {
        let (tasks, shutdown) = tasks();
        let starts = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&starts);
        #[expect(clippy::disallowed_methods, reason = "the paused clock of tokio")]
        let began = tokio::time::Instant::now();
        let (reached, wait) = tokio::sync::oneshot::channel();
        let mut reached = Some(reached);
        tasks.service("flaky", OnError::Restart, OnStop::Cancel, move || {
            let start = count.fetch_add(1, SeqCst);
            let reached = if start == 3 { reached.take() } else { None };
            async move {
                match start {
                    0 => panic!("first"),
                    1 => Err("second"),
                    2 => Ok(()),
                    _ => {
                        reached.unwrap().send(()).unwrap();
                        std::future::pending().await
                    }
                }
            }
        });
        wait.await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(1 + 2 + 4));
        let ends: Vec<End> = tasks.recently_ended().into_iter().map(|ended| ended.end).collect();
        assert_eq!(ends, [End::Panicked("first".into()), End::Failed("second".into()), End::ByItself]);
        assert_eq!(tasks.running(), ["flaky"]);
        shutdown.stop("test", Exit::Success);
        assert!(tasks.finish().await.is_empty());
        assert!(tasks.running().is_empty());
    }

    #[tokio::test]
    async fn a_vital_service_stops_the_process_with_its_code() {
        let (tasks, shutdown) = tasks();
        tasks.service("engine", OnError::StopProcess(Exit::Store), OnStop::Finish, || async { Err("disk gone") });
        shutdown.stopping().await;
        assert_eq!(shutdown.cause().unwrap().reason, "engine: disk gone");
        assert_eq!(shutdown.exit(), Exit::Store);
        assert!(tasks.finish().await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_finishes_may_end_during_the_grace_and_the_rest_is_dropped() {
        let (tasks, shutdown) = tasks();
        let stopping = shutdown.clone();
        tasks.work("finisher", OnStop::Finish, async move {
            stopping.stopping().await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok::<_, String>(())
        });
        tasks.work("endless", OnStop::Finish, std::future::pending::<Result<(), String>>());
        tasks.work("droppable", OnStop::Cancel, std::future::pending::<Result<(), String>>());
        shutdown.stop("test", Exit::Success);
        assert!(tasks.finish().await.is_empty());
        let ends: Vec<(String, End)> =
            tasks.recently_ended().into_iter().map(|ended| (ended.name, ended.end)).collect();
        assert_eq!(
            ends,
            [
                ("droppable".to_owned(), End::Dropped),
                ("finisher".to_owned(), End::Finished),
                ("endless".to_owned(), End::Dropped),
            ]
        );
    }
}
