//! What the agent has of what its locks name: what is ready, what is not and why, and what is quarantined.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use wherry_daemon::clock::Clock;
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure, FailureClass},
    lock::{Lock, Locked},
    name::Name,
    time::Timestamp,
};
use wherry_proto::frame;

mod state;

use self::state::{Judged, State, Trouble, named};
use super::{
    before::Before,
    choose::{Choice, NoChoice, choose},
    locks::Locks,
    quarantine::{Folder, Held, naming},
};

/// First wait before something is prepared again that could not be.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The set in force does not name the connector, or there is none.
const NOT_LOCKED: Code = Code::new("connector.not_locked");
/// It failed too often here.
const QUARANTINED: Code = Code::new("connector.quarantined");
/// Longest explanation that travels, in characters.
const MAX_WORDS: usize = 200;

/// Under which locks, and with what of them ready or quarantined, something was decided. Equal ones decide alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    chain: u64,
    shifts: u64,
}

#[cfg(test)]
impl Stand {
    pub(crate) const fn of(chain: u64, shifts: u64) -> Self {
        Self { chain, shifts }
    }
}

/// See the module.
pub(super) struct Stock {
    clock: Clock,
    locks: Arc<dyn Locks>,
    chain: watch::Receiver<u64>,
    before: PathBuf,
    quarantine: Folder,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// One thing that should be ready.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) name: Name,
    pub(super) locked: Locked,
}

impl Stock {
    pub(super) fn new(clock: Clock, locks: Arc<dyn Locks>, before: PathBuf, quarantine: Folder) -> Self {
        let (held, chain) = (quarantine.read(), locks.changes());
        for held in held.values() {
            tracing::warn!(connector = %held.name, version = %held.version, "quarantined: {}", held.words());
        }
        let state = State { held, before: Before::read(&before), ..State::default() };
        Self { clock, locks, chain, before, quarantine, state: Mutex::new(state), changed: watch::Sender::new(0) }
    }

    pub(super) fn locks(&self) -> &Arc<dyn Locks> {
        &self.locks
    }

    /// Moves whenever there may be something to do or to say.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn nudge(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub(super) fn stand(&self) -> Stand {
        let chain = *self.chain.borrow();
        Stand { chain, shifts: self.lock().shifts }
    }

    /// What an attempt of the environment runs on; nothing where the deployment itself says so.
    pub(super) fn choose(&self, environment: &Name, name: &Name, on_trial: bool) -> Result<Option<Choice>, Failure> {
        let Some(lock) = self.locks.lock(environment) else {
            let message =
                || format!("this agent has no lock of environment {environment} yet, which it needs to run anything");
            return if self.locks.must_be_locked() { Err(Failure::retry(NOT_LOCKED, message())) } else { Ok(None) };
        };
        let state = self.lock();
        let before = state.before.of(environment, name);
        let choice = choose(&lock, name, on_trial, before, |digest| state.held.contains_key(&digest));
        let choice = choice.map(|choice| {
            let coming = state.is_coming(name, &choice.locked);
            Choice { meanwhile: choice.meanwhile.filter(|_| coming), ..choice }
        });
        choice.map(Some).map_err(|reason| match reason {
            NoChoice::NotLocked => Failure::permanent(
                NOT_LOCKED,
                format!(
                    "version {} of the lock of environment {environment} names no connector {name}: deploy again, or upgrade it in that environment",
                    lock.version
                ),
            ),
            NoChoice::Quarantined(locked) => {
                let words = state.held.get(&locked.wasm).map(Held::words).unwrap_or_default();
                Failure::retry(QUARANTINED, words)
            }
        })
    }

    /// Why it is quarantined.
    pub(super) fn held(&self, digest: Digest) -> Option<Held> {
        self.lock().held.get(&digest).cloned()
    }

    /// Something failed at the level of the host; with the third time in ten minutes it is quarantined if there is a
    /// version to go back to. What no lock names cannot be: nobody could end it.
    pub(super) fn struck(&self, name: &Name, locked: &Locked, code: &Code) {
        let mut state = self.lock();
        if state.held.contains_key(&locked.wasm) || !state.strikes.note(locked.wasm, self.clock.now()) {
            return;
        }
        let all = self.locks.all();
        if !state.has_way_back(&all, name, locked.wasm) {
            // Without it, one operation that asks too much of a connector would take it from all others.
            tracing::error!(connector = %name, version = %locked.version, %code, "failed too often, and there is no version before it to go back to: it stays in use");
            return;
        }
        let locks = naming(all.iter().map(AsRef::as_ref), locked.wasm);
        let held = Held {
            name: name.clone(),
            version: locked.version.clone(),
            digest: locked.wasm,
            code: code.clone(),
            since_ms: self.clock.wall_unix_millis(),
            locks,
        };
        tracing::error!(connector = %name, version = %locked.version, %code, "quarantined: {}", held.words());
        if let Err(error) = self.quarantine.put(&held) {
            tracing::warn!(%error, "a quarantine cannot be kept, it ends with this process");
            state.unwritten.insert(locked.wasm);
        }
        state.held.insert(locked.wasm, held);
        state.shifts += 1;
        drop(state);
        self.nudge();
    }

    /// Ends the quarantines whose files a person removed.
    pub(super) fn look_for_releases(&self) {
        let mut state = self.lock();
        let gone = |digest: &&Digest| !state.unwritten.contains(*digest) && !self.quarantine.has(**digest);
        let gone: Vec<Digest> = state.held.keys().filter(gone).copied().collect();
        self.release(&mut state, gone);
    }

    /// Whether anything is quarantined.
    pub(super) fn holds_any(&self) -> bool {
        !self.lock().held.is_empty()
    }

    /// It can run.
    pub(super) fn ready(&self, name: &Name, locked: &Locked, using: &Arc<()>) {
        self.uses(locked.wasm, using);
        let mut state = self.lock();
        let judged = Judged::of(name, locked);
        let healed = state.trouble.remove(&judged).is_some();
        if state.ready.insert(judged) || healed {
            state.shifts += 1;
            drop(state);
            self.nudge();
        }
    }

    /// It is kept for as long as somebody uses it.
    pub(super) fn uses(&self, digest: Digest, using: &Arc<()>) {
        self.lock().uses(digest, using);
    }

    /// It cannot, for now.
    pub(super) fn not_ready(&self, name: &Name, locked: &Locked, failure: &Failure) {
        let mut state = self.lock();
        let judged = Judged::of(name, locked);
        state.ready.remove(&judged);
        let tries = state.trouble.get(&judged).map_or(0, |trouble| trouble.tries);
        let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
        let again = self.clock.now().plus(pause);
        let passes = failure.class == FailureClass::Retry;
        let (code, message) = (failure.code.clone(), failure.message.chars().take(MAX_WORDS).collect());
        state.trouble.insert(judged, Trouble { code, message, passes, tries: tries.saturating_add(1), again });
        state.shifts += 1;
        drop(state);
        self.nudge();
    }

    /// What to prepare next, and when to look again if that is nothing.
    pub(super) fn next_goal(&self) -> (Option<Goal>, Option<Timestamp>) {
        let (state, now) = (self.lock(), self.clock.now());
        let mut again = None;
        for goal in goals(&self.locks.all()) {
            let judged = Judged::of(&goal.name, &goal.locked);
            if state.ready.contains(&judged) || state.held.contains_key(&judged.wasm) {
                continue;
            }
            match state.trouble.get(&judged).map(|trouble| trouble.again).filter(|again| *again > now) {
                None => return (Some(goal), None),
                Some(later) => again = Some(again.map_or(later, |sooner: Timestamp| sooner.min(later))),
            }
        }
        (None, again)
    }

    /// What locks and trials name, and what they named before.
    pub(super) fn named(&self) -> BTreeSet<Digest> {
        let state = self.lock();
        let named = goals(&self.locks.all()).into_iter().map(|goal| goal.locked.wasm);
        named.chain(state.before.digests()).collect()
    }

    /// Everything to keep: what is named, and what is being used.
    pub(super) fn keep(&self) -> BTreeSet<Digest> {
        let mut keep = self.named();
        keep.extend(self.lock().used());
        keep
    }

    /// They are not on disk any more.
    pub(super) fn swept(&self, digests: &[Digest]) {
        let mut state = self.lock();
        state.ready.retain(|judged| !digests.contains(&judged.wasm));
        state.trouble.retain(|judged, _| !digests.contains(&judged.wasm));
    }

    /// What the controller is told.
    pub(super) fn inventory(&self) -> frame::Inventory {
        let state = self.lock();
        let environments = self.locks.all().into_iter().map(|lock| frame::Stock {
            environment: lock.environment.clone(),
            lock_version: lock.version,
            holdings: named(&lock).map(|(name, one, trial)| state.holding(&lock, (name, one), trial)).collect(),
        });
        let refusal = self.locks.refusal().map(|(code, words)| (code, words.chars().take(MAX_WORDS).collect()));
        frame::Inventory { environments: environments.collect(), refusal, ..frame::Inventory::default() }
    }

    /// The state, caught up with what was taken over since it was last looked at.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = *self.chain.borrow();
        if state.followed != Some(now) {
            state.followed = Some(now);
            self.follow(&mut state, &self.locks.all());
        }
        state
    }

    fn follow(&self, state: &mut State, locks: &[Arc<Lock>]) {
        let mut moved = false;
        for lock in locks {
            moved |= state.before.follow(lock);
        }
        if moved && let Err(error) = state.before.write(&self.before) {
            tracing::warn!(%error, "the way back to what ran before is not kept over a restart");
        }
        let over = |held: &Held| locks.iter().any(|lock| held.outlived(lock));
        let over: Vec<Digest> = state.held.values().filter(|held| over(held)).map(|held| held.digest).collect();
        self.release(state, over);
        // Publishers and revocations may be others now: everything is judged again, and tried again at once.
        state.trouble.clear();
        let mut admitted = BTreeSet::new();
        for Goal { name, locked } in goals(locks) {
            match self.locks.admit(&name, &locked) {
                Ok(_) => drop(admitted.insert(Judged::of(&name, &locked))),
                Err(failure) => {
                    tracing::warn!(connector = %name, version = %locked.version, %failure, "a connector of the lock is refused");
                }
            }
        }
        state.ready.retain(|judged| admitted.contains(judged));
    }

    fn release(&self, state: &mut State, digests: Vec<Digest>) {
        for held in digests.into_iter().filter_map(|digest| state.held.remove(&digest)) {
            tracing::info!(connector = %held.name, version = %held.version, "the quarantine is over");
            state.unwritten.remove(&held.digest);
            if let Err(error) = self.quarantine.remove(held.digest) {
                tracing::warn!(%error, "a quarantine that is over will be back after a restart");
            }
            state.shifts += 1;
        }
    }
}

/// What locks name: first what attempts run on, then what is on trial.
fn goals(locks: &[Arc<Lock>]) -> Vec<Goal> {
    let current = locks.iter().flat_map(|lock| &lock.connectors);
    let trials = locks.iter().flat_map(|lock| &lock.trials);
    current.chain(trials).map(|(name, locked)| Goal { name: name.clone(), locked: locked.clone() }).collect()
}

#[cfg(test)]
mod tests;
