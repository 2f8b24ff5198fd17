//! The process of a worker: that it ends, how it ended, and what it said last.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStderr, ExitStatus},
    time::Duration,
};

use tokio::{io::AsyncReadExt, time::timeout};

/// What is kept of the last words of a worker.
const LAST_WORDS: u64 = 1_024;
/// How long they may take: whoever wrote them has ended.
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// Ends the process with itself, if nothing else did.
pub(super) struct Leash(pub(super) Option<Child>);

impl Leash {
    /// How it ended.
    pub(super) async fn end(&mut self) -> String {
        let Some(child) = self.0.take() else { return String::new() };
        match reap(child).await {
            Some(status) => told(status),
            None => "nobody knows how".to_owned(),
        }
    }

    pub(super) async fn status(&mut self) -> Option<ExitStatus> {
        reap(self.0.take()?).await
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Whoever cannot be killed has ended.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

async fn reap(mut child: Child) -> Option<ExitStatus> {
    // Its socket is closed, so that it ends by itself or is up to something.
    let _ = child.kill();
    tokio::task::spawn_blocking(move || child.wait()).await.ok()?.ok()
}

pub(super) fn told(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "nobody knows how".to_owned(),
    }
}

pub(super) async fn last_words(stderr: ChildStderr) -> String {
    let Ok(stderr) = tokio::process::ChildStderr::from_std(stderr) else { return String::new() };
    let mut words = Vec::new();
    drop(timeout(LAST_WORDS_TIME, stderr.take(LAST_WORDS).read_to_end(&mut words)).await);
    String::from_utf8_lossy(&words).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
