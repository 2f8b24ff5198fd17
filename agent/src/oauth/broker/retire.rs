//! Waiting for a broker, and its end: another one takes its connection over, with other settings.

use std::{sync::PoisonError, time::Duration};

use tokio::sync::watch;
use wherry_domain::time::Timestamp;

use super::{Broker, PATIENCE};
use crate::{auth::AuthFailure, oauth::trouble::Trouble};

impl Broker {
    /// Lets go of its folder for good, so that another broker of the connection can hold it.
    ///
    /// # Errors
    /// While something is under way: new tokens would have nowhere to go.
    pub(in crate::oauth) fn retire(&self) -> Result<(), AuthFailure> {
        let mut state = self.lock();
        if state.machine.is_busy() {
            return Err(self.patience());
        }
        state.retired = true;
        (state.current, state.newest, state.pending) = (None, None, None);
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = None;
        drop(state);
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        Ok(())
    }

    /// Whether another one has taken its place.
    pub(in crate::oauth) fn is_retired(&self) -> bool {
        self.lock().retired
    }

    /// Waits until nothing is under way.
    pub(in crate::oauth) async fn idle(&self) -> Result<(), AuthFailure> {
        let mut changed = self.changed.subscribe();
        let deadline = self.ground.clock.now().plus(PATIENCE);
        while self.is_busy() {
            self.wait(&mut changed, deadline).await?;
        }
        Ok(())
    }

    fn is_busy(&self) -> bool {
        let state = self.lock();
        state.machine.is_busy() && !state.retired
    }

    /// Waits until something has changed.
    pub(super) async fn wait(
        &self,
        changed: &mut watch::Receiver<u64>,
        deadline: Timestamp,
    ) -> Result<(), AuthFailure> {
        if self.is_retired() {
            return Err(self.patience());
        }
        tokio::select! {
            // The sender is a part of this, so that it cannot be gone.
            _ = changed.changed() => Ok(()),
            () = self.ground.clock.sleep_until(deadline) => Err(self.patience()),
        }
    }

    pub(super) fn patience(&self) -> AuthFailure {
        Trouble::Busy(Duration::from_secs(1)).failure(&self.path)
    }
}
