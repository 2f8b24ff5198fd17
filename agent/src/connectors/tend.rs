//! Makes everything that the locks name ready ahead of its use, tells the controller what is here, and removes what
//! nobody needs.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    pin::pin,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::mpsc;
use wherry_daemon::store::files::digest_of;
use wherry_domain::{digest::Digest, time::Timestamp};
use wherry_expr_box::COMPONENT;
use wherry_proto::frame::{FromAgent, Inventory, OwnerPolicy};

use super::{Connectors, Inner, Session, Title, fetch, stock::Goal, sweep::Grace};
use crate::policy::Standing;

/// At most one inventory in this time, so that fifty connectors on their way are not fifty frames.
const COALESCE: Duration = Duration::from_millis(250);
/// How soon a person's word on a quarantine counts, and a frame is tried again for which there was no room.
const SOON: Duration = Duration::from_secs(2);
/// What the controller is told of a policy file with faults: its text is the owner's.
const POLICY_FAULT: &str = "the file as it is now has faults, and the policy before stays in force: the agent's log and `wherry-agent status` say what is wrong";
/// How often to look whether anything may be removed.
const SWEEP: Duration = Duration::from_secs(60);

/// What the controller was told.
struct Told {
    to_session: mpsc::Sender<FromAgent>,
    /// Under which session, and what.
    last: Option<(u64, Inventory)>,
    at: Timestamp,
}

impl Connectors {
    /// Tends the stock until it is dropped.
    pub(crate) async fn tend(self, to_session: mpsc::Sender<FromAgent>) -> Result<(), Infallible> {
        let inner = &self.0;
        let (mut chain, mut changes) = (inner.stock.locks().changes(), inner.stock.changes());
        let mut told = Told { to_session, last: None, at: Timestamp::from_millis(0) };
        let (mut grace, mut swept) = (Grace::default(), Timestamp::from_millis(0));
        let (mut chain_lives, mut sessions) = (true, inner.sessions.subscribe());
        let (mut walls, mut walls_open) = (inner.walls.missing(), true);
        loop {
            chain.borrow_and_update();
            changes.borrow_and_update();
            walls.borrow_and_update();
            let (goal, again) = inner.stock.next_goal();
            let untold = inner.tell(&mut told, goal.is_some(), *sessions.borrow_and_update());
            if let Some(goal) = goal {
                let mut ready = pin!(inner.make_ready(goal));
                tokio::select! {
                    () = &mut ready => {}
                    () = inner.clock.sleep_until(told.at.plus(COALESCE)) => {
                        // What was held back is said while this takes its time.
                        inner.tell(&mut told, false, *sessions.borrow_and_update());
                        ready.await;
                    }
                }
                continue;
            }
            let now = inner.clock.now();
            if swept == Timestamp::from_millis(0) || now.since(swept) >= SWEEP {
                swept = now;
                inner.sweep(&mut grace).await;
            }
            let mut wake = now.plus(SWEEP).min(again.unwrap_or(now.plus(SWEEP)));
            if inner.stock.holds_any() || untold {
                wake = wake.min(now.plus(SOON));
            }
            tokio::select! {
                changed = chain.changed(), if chain_lives => chain_lives = changed.is_ok(),
                _ = changes.changed() => {}
                _ = sessions.changed() => {}
                changed = walls.changed(), if walls_open => walls_open = changed.is_ok(),
                () = inner.clock.sleep_until(wake) => inner.stock.look_for_releases(),
            }
        }
    }
}

impl Inner {
    /// One goal; what came of it stands in the stock.
    async fn make_ready(self: &Arc<Self>, Goal { name, locked }: Goal) {
        tracing::debug!(connector = %name, version = %locked.version, digest = %locked.wasm, "preparing");
        match self.load(&name, Title::Locked(locked.clone())).await {
            Ok(loaded) => self.stock.ready(&name, &locked, &loaded.using),
            Err(failure) => {
                tracing::warn!(connector = %name, version = %locked.version, %failure, "a connector of the lock cannot be used yet");
                self.stock.not_ready(&name, &locked, &failure);
            }
        }
    }

    /// That the owner has a policy, and how many runs there may be; nothing of what else it says.
    fn owner_policy(&self) -> Option<OwnerPolicy> {
        let Standing { loaded_ms, fault, .. } = self.policy.standing()?;
        let fault = fault.map(|_| POLICY_FAULT.to_owned());
        Some(OwnerPolicy { loaded_ms, fault, slots: self.slots.total() })
    }

    /// Says what is here, if that is news; whether there was news that could not be said.
    fn tell(&self, told: &mut Told, busy: bool, session: Session) -> bool {
        if !session.live || (busy && self.clock.now().since(told.at) < COALESCE) {
            return false;
        }
        let walls = self.walls.missing().borrow().clone().unwrap_or_default();
        let inventory = Inventory { walls, policy: self.owner_policy(), ..self.stock.inventory() };
        // A controller that speaks of no locks would not know what to make of it.
        let nothing = inventory.environments.is_empty() && inventory.refusal.is_none() && inventory.policy.is_none();
        if nothing || told.last.as_ref().is_some_and(|(known, last)| *known == session.number && *last == inventory) {
            return false;
        }
        let said = told.to_session.try_send(FromAgent::Inventory(inventory.clone())).is_ok();
        if said {
            (told.last, told.at) = (Some((session.number, inventory)), self.clock.now());
        }
        !said
    }

    /// Removes components, releases, partial downloads and compiled code that nothing has needed for a while.
    pub(super) async fn sweep(self: &Arc<Self>, grace: &mut Grace) {
        if !self.stock.locks().must_be_locked() {
            // Without locks nobody knows what the next run needs.
            return;
        }
        let keep = self.needed();
        let (files, compiled) = (self.files.clone(), Arc::clone(&self.compiled));
        let found = tokio::task::spawn_blocking(move || {
            let listed = files.list().into_iter().chain(files.partials()).flatten();
            listed.chain(compiled.digests()).collect::<BTreeSet<Digest>>()
        });
        let mut on_disk = found.await.unwrap_or_default();
        // The agent's own box for transformations stands among the compiled code.
        on_disk.remove(&digest_of(COMPONENT));
        let mut over = grace.over(&on_disk, &keep, self.clock.now());
        if over.is_empty() {
            return;
        }
        let _turn = self.one_at_a_time.lock().await;
        // Nothing is prepared now, so what nobody needs at this moment cannot be needed before it is gone.
        let keep = self.needed();
        over.retain(|digest| !keep.contains(digest));
        let (inner, gone) = (Arc::clone(self), over.clone());
        let removed = tokio::task::spawn_blocking(move || gone.iter().for_each(|digest| inner.remove(*digest)));
        drop(removed.await);
        self.stock.swept(&over);
    }

    /// Everything to keep. What is loaded and is neither named nor in use is forgotten: its next use has to wait for
    /// the turn in which it may be removed.
    fn needed(&self) -> BTreeSet<Digest> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let named = self.stock.named();
        // One of them is what the list itself holds.
        loaded.retain(|key, (_, one)| named.contains(&key.wasm) || Arc::strong_count(&one.using) > 1);
        self.stock.keep()
    }

    fn remove(&self, digest: Digest) {
        match self.files.remove(&digest) {
            Ok(_) => tracing::info!(%digest, "removed a connector that nothing names any more"),
            // It is tried again at the next sweep.
            Err(error) => return tracing::warn!(%digest, %error, "a connector cannot be removed"),
        }
        self.compiled.remove(digest);
        fetch::remove_release(&self.releases, digest);
    }
}
