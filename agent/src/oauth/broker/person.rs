//! What a person does to the tokens of a connection: consents, and takes it back.

use std::sync::PoisonError;

use wherry_domain::time::Timestamp;

use super::{Broker, PATIENCE, Tokens, storage};
use crate::{auth::AuthFailure, oauth::state::Event};

impl Broker {
    /// Saves tokens that a person consented to, then uses them.
    pub(in crate::oauth) async fn consent(&self, tokens: Tokens) -> Result<(), AuthFailure> {
        let mut changed = self.changed.subscribe();
        let seed = self.settings.load().seed()?;
        let deadline = self.ground.clock.now().plus(PATIENCE);
        let mut waiting = Some(tokens);
        loop {
            if let Some(generation) = self.consented(&mut waiting, seed) {
                return self.saved(generation, deadline).await;
            }
            self.wait(&mut changed, deadline).await?;
        }
    }

    /// Begins to save them, if nothing else is under way.
    fn consented(&self, waiting: &mut Option<Tokens>, seed: [u8; 32]) -> Option<u64> {
        let mut state = self.lock();
        if state.machine.is_busy() {
            return None;
        }
        let mut tokens = waiting.take()?;
        let generation = state.next_generation();
        (tokens.generation, tokens.seed, state.seed) = (generation, seed, seed);
        state.pending = Some(tokens);
        self.begin(&mut state, Event::Consented);
        Some(generation)
    }

    /// Forgets the tokens.
    pub(in crate::oauth) async fn forget(&self) -> Result<(), AuthFailure> {
        let mut changed = self.changed.subscribe();
        let deadline = self.ground.clock.now().plus(PATIENCE);
        loop {
            {
                let mut state = self.lock();
                if !state.machine.is_busy() {
                    let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
                    let book = book.as_mut().ok_or_else(|| self.patience())?;
                    book.forget().map_err(|error| storage(&error).failure(&self.path))?;
                    (state.current, state.newest) = (None, None);
                    state.floor = state.floor.saturating_add(1);
                    self.begin(&mut state, Event::Disconnected);
                    return Ok(());
                }
            }
            self.wait(&mut changed, deadline).await?;
        }
    }

    async fn saved(&self, generation: u64, deadline: Timestamp) -> Result<(), AuthFailure> {
        let mut changed = self.changed.subscribe();
        while self.tokens().is_none_or(|tokens| tokens.generation < generation) {
            self.wait(&mut changed, deadline).await?;
        }
        Ok(())
    }
}
