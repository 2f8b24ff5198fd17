//! The memory of the stock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use wherry_domain::{
    digest::Digest,
    failure::Code,
    lock::{Lock, Locked},
    name::Name,
    time::Timestamp,
};
use wherry_proto::frame;

use super::{
    super::{
        before::Before,
        choose::{choose, way_back},
        quarantine::{Held, Strikes},
    },
    MAX_WORDS,
};

/// The component cannot be fetched at present.
const AWAY: &str = "controller.unavailable";
/// How often something is tried that may pass by itself, before that is doubted: half a minute with the pauses.
const TRIES: u32 = 5;

/// What is judged as one: a release with what was approved for it. Where environments approved differently, each has its
/// own answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Judged {
    name: Name,
    release: Digest,
    pub(super) wasm: Digest,
    approved: BTreeSet<String>,
}

impl Judged {
    pub(super) fn of(name: &Name, locked: &Locked) -> Self {
        let Locked { release, wasm, approved, .. } = locked;
        Self { name: name.clone(), release: *release, wasm: *wasm, approved: approved.clone() }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) followed: Option<u64>,
    pub(super) ready: BTreeSet<Judged>,
    pub(super) trouble: BTreeMap<Judged, Trouble>,
    pub(super) strikes: Strikes,
    pub(super) held: BTreeMap<Digest, Held>,
    /// Those of them that could not be written: without a file that a person could remove, they last as long as the
    /// process, unless a newer lock ends them.
    pub(super) unwritten: BTreeSet<Digest>,
    /// Counts up whenever something else may be chosen although no lock moved: a quarantine begins or ends, a version
    /// becomes ready or turns out not to be.
    pub(super) shifts: u64,
    pub(super) before: Before,
    /// Who uses a component: those that were loaded under one release, and those under another, each for themselves.
    pub(super) using: BTreeMap<Digest, Vec<Weak<()>>>,
}

/// Why something is not ready, and when to try again.
pub(super) struct Trouble {
    pub(super) code: Code,
    pub(super) message: String,
    /// Whether it will pass by itself.
    pub(super) passes: bool,
    pub(super) tries: u32,
    pub(super) again: Timestamp,
}

impl Trouble {
    /// Whether it is likely to pass by itself. It is tried again in any case, but what failed so often is told as a
    /// refusal: a version that never gets ready must not go unnoticed. That the controller is away says nothing of the
    /// version.
    fn may_pass(&self) -> bool {
        self.passes && (self.tries < TRIES || self.code.as_str() == AWAY)
    }
}

impl State {
    /// Somebody uses a component for as long as `using` is held.
    pub(super) fn uses(&mut self, digest: Digest, using: &Arc<()>) {
        let using = Arc::downgrade(using);
        self.using.retain(|_, all| {
            all.retain(|one| one.strong_count() > 0 && !one.ptr_eq(&using));
            !all.is_empty()
        });
        self.using.entry(digest).or_default().push(using);
    }

    /// The components that somebody uses.
    pub(super) fn used(&self) -> impl Iterator<Item = Digest> {
        let used = |all: &Vec<Weak<()>>| all.iter().any(|using| using.strong_count() > 0);
        self.using.iter().filter(move |(_, all)| used(all)).map(|(digest, _)| *digest)
    }

    /// Whether it is still being made ready, and nothing says yet that it cannot be.
    pub(super) fn is_coming(&self, name: &Name, locked: &Locked) -> bool {
        let judged = Judged::of(name, locked);
        !self.ready.contains(&judged) && self.trouble.get(&judged).is_none_or(Trouble::may_pass)
    }

    /// Whether every environment that runs this component has another version of it to run instead.
    pub(super) fn has_way_back(&self, locks: &[Arc<Lock>], name: &Name, digest: Digest) -> bool {
        let usable = |locked: &Locked| locked.wasm != digest && !self.held.contains_key(&locked.wasm);
        let is_it = |locked: &&Locked| locked.wasm == digest;
        let concerned = |lock: &&Arc<Lock>| {
            lock.connectors.get(name).filter(is_it).or_else(|| lock.trials.get(name).filter(is_it)).is_some()
        };
        let mut concerned = locks.iter().filter(concerned).peekable();
        concerned.peek().is_some()
            && concerned.all(|lock| {
                let before = way_back(lock, name, self.before.of(&lock.environment, name));
                lock.connectors.get(name).into_iter().chain(before).any(usable)
            })
    }

    pub(super) fn holding(&self, lock: &Lock, (name, locked): (&Name, &Locked), on_trial: bool) -> frame::Holding {
        let (digest, judged) = (locked.wasm, Judged::of(name, locked));
        let (mut state, mut instead) = (frame::HoldingState::Preparing, None);
        if let Some(held) = self.held.get(&digest) {
            let message = held.words().chars().take(MAX_WORDS).collect();
            state = frame::HoldingState::Quarantined { code: held.code.clone(), message };
            instead = self.instead(lock, name, on_trial);
        } else if self.ready.contains(&judged) {
            state = frame::HoldingState::Ready;
        } else if let Some(Trouble { code, message, .. }) = self.trouble.get(&judged).filter(|one| !one.may_pass()) {
            state = frame::HoldingState::Refused { code: code.clone(), message: message.clone() };
        }
        frame::Holding { connector: name.clone(), version: locked.version.clone(), digest, state, instead }
    }

    /// The version that runs in the place of a quarantined one.
    fn instead(&self, lock: &Lock, name: &Name, on_trial: bool) -> Option<semver::Version> {
        let before = self.before.of(&lock.environment, name);
        let choice = choose(lock, name, on_trial, before, |digest| self.held.contains_key(&digest)).ok()?;
        choice.instead_of.map(|_| choice.locked.version)
    }
}

/// What a lock names, and whether for a trial.
pub(super) fn named(lock: &Lock) -> impl Iterator<Item = (&Name, &Locked, bool)> {
    let current = lock.connectors.iter().map(|(name, locked)| (name, locked, false));
    current.chain(lock.trials.iter().map(|(name, locked)| (name, locked, true)))
}
