//! The half of a broker that speaks with the other agents of the group.

use std::sync::Arc;

use super::{Broker, Tokens};
use crate::{
    auth::AuthFailure,
    oauth::{
        copies::{CopiesError, Copy, Intent, Ownership, PublishError},
        state::{Claimed, Event},
        trouble::Trouble,
    },
};

impl Broker {
    pub(super) async fn claim(&self, refresh: bool) -> Event {
        let have = self.lock().machine.generation();
        let intent = if refresh { Intent::Refresh } else { Intent::Look };
        let claimed = match self.ground.copies.claim(&self.path, have, intent).await {
            Ok(ownership) => ownership,
            // Who owned it a moment ago may go on until the end of the term: nobody else gets it before.
            Err(CopiesError::Offline) => match self.still_mine() {
                Some(ownership) => ownership,
                None => return Event::ClaimFailed(Trouble::Unasked),
            },
            Err(CopiesError::Refused(failure)) => return Event::ClaimFailed(denied(&failure)),
        };
        let mut state = self.lock();
        if let Some(copy) = claimed.newest.clone()
            && state.newest.as_ref().is_none_or(|newest| newest.generation < copy.generation)
        {
            state.newest = Some(copy);
        }
        let event = Event::Claimed(Claimed {
            mine: claimed.owner,
            generation: claimed.generation,
            copy: claimed.newest.as_ref().map_or(0, |copy| copy.generation),
            in_doubt: claimed.in_doubt,
            holder: claimed.holder.clone(),
        });
        state.ownership = Some(claimed);
        event
    }

    fn still_mine(&self) -> Option<Ownership> {
        let state = self.lock();
        let now = self.ground.clock.now();
        let mine = state.ownership.as_ref().filter(|known| known.owner && now < known.until)?;
        Some(Ownership { generation: mine.generation.max(state.machine.generation()), newest: None, ..mine.clone() })
    }

    pub(super) async fn take_copy(&self) -> Event {
        let copy = self.lock().newest.take();
        match copy {
            Some(copy) => self.open_copy(copy).await,
            None => Event::CopyMissed(self.elsewhere()),
        }
    }

    pub(super) async fn await_copy(&self, generation: u64) -> Event {
        match self.ground.copies.wanted(&self.path, generation).await {
            Ok(copy) if copy.generation > generation => self.open_copy(copy).await,
            Ok(_) | Err(CopiesError::Offline) => Event::CopyMissed(self.elsewhere()),
            Err(CopiesError::Refused(failure)) => Event::CopyMissed(denied(&failure)),
        }
    }

    async fn open_copy(&self, copy: Copy) -> Event {
        if copy.generation < self.lock().machine.generation() {
            return Event::CopyMissed(self.elsewhere());
        }
        let tokens = match self.opened(&copy) {
            Ok(tokens) => tokens,
            Err(trouble) => return Event::CopyMissed(trouble),
        };
        match self.keep(Arc::new(tokens)).await {
            Ok(held) => Event::CopyTaken(held),
            Err(trouble) => Event::CopyMissed(trouble),
        }
    }

    fn opened(&self, copy: &Copy) -> Result<Tokens, Trouble> {
        let plain = self.ground.group.open(&self.path, copy).map_err(|failure| denied(&failure))?;
        let tokens = Tokens::decode(&plain).filter(|tokens| tokens.generation == copy.generation);
        tokens.ok_or_else(|| Trouble::Storage("the copy of another agent is not readable".to_owned()))
    }

    pub(super) async fn publish(&self) -> Event {
        let Some(tokens) = self.tokens() else { return Event::NotPublished };
        // Consent was given without a claim before it: the controller made this agent the owner then.
        let known = self.lock().ownership.as_ref().filter(|known| known.owner).map(|known| known.fence);
        let fence = match known {
            Some(fence) => fence,
            None => match self.ground.copies.claim(&self.path, tokens.generation, Intent::Look).await {
                Ok(ownership) => {
                    let fence = ownership.fence;
                    self.lock().ownership = Some(ownership);
                    fence
                }
                Err(_) => return Event::NotPublished,
            },
        };
        let sealed = match self.ground.group.seal(&self.path, tokens.generation, &tokens.encode()) {
            Ok(sealed) => sealed.unwrap_or_default(),
            Err(failure) => {
                tracing::warn!(connection = %self.path, %failure, "no copy for the group");
                Vec::new()
            }
        };
        match self.ground.copies.publish(&self.path, fence, tokens.generation, sealed).await {
            Ok(()) => Event::Published,
            Err(PublishError::Conflict { newest, generation }) => {
                let newest = newest.filter(|copy| copy.generation >= tokens.generation);
                // Taken once more they would settle requests whose end is not known.
                let same = |copy: &Copy| self.opened(copy).is_ok_and(|theirs| *theirs.encode() == *tokens.encode());
                if newest.as_ref().is_some_and(same) {
                    return Event::Published;
                }
                tracing::info!(connection = %self.path, generation, ours = tokens.generation, "another agent was faster");
                let copied = newest.is_some();
                self.lock().newest = newest;
                Event::Overtaken(copied)
            }
            Err(PublishError::Copies(_)) => Event::NotPublished,
        }
    }

    fn elsewhere(&self) -> Trouble {
        let state = self.lock();
        let holder = state.ownership.as_ref().filter(|known| !known.owner).map(|known| known.holder.clone());
        holder.map_or(Trouble::Unasked, Trouble::OwnerElsewhere)
    }
}

fn denied(failure: &wherry_domain::failure::Failure) -> Trouble {
    let retry = failure.class == wherry_domain::failure::FailureClass::Retry;
    Trouble::Denied(AuthFailure { code: failure.code.clone(), message: failure.message.clone(), retry })
}
