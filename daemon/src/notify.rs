//! Telling systemd how far the process is (`Type=notify`). Without systemd nothing happens.

use sd_notify::NotifyState;

/// Start-up is over: everything is bound and the store is open.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The process has begun to stop.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// Readiness is a courtesy: a supervisor that does not listen must not stop the work.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "could not notify the service manager");
    }
}
