//! Gets, keeps and refreshes the tokens of one connection: carries out what the state machine says.
//!
//! The work runs in a task of its own, so that a request that is given up takes no answer of a token endpoint with it.

mod acquire;
mod group;
mod person;
mod retire;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use http::header;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use wherry_daemon::{
    clock::Clock,
    tasks::{OnStop, Tasks},
};
use wherry_domain::{connection::ConnectionPath, time::Timestamp};
use wherry_trust::seal_local::LocalKey;
use zeroize::Zeroizing;

use super::{
    book::{Book, Opened},
    copies::{Copies, Copy, GroupKey, Ownership},
    folder::FolderError,
    place::Places,
    settings::Settings,
    state::{Effect, Event, Found, Held, Machine, Means, Verdict},
    tokens::Tokens,
    trouble::Trouble,
};
use crate::{
    auth::{AuthFailure, Token, TokenSource},
    certificates::FileRules,
    net::proxy,
};

/// How long a request waits for a token: two requests to the token endpoint and what is between them.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often it is looked whether other values are set.
const LOOK: Duration = Duration::from_secs(1);
/// The part of its life after which a token is refreshed, and by how much that differs each time, in hundredths.
const DUE: (u32, u32) = (80, 5);

/// What all connections share.
pub(super) struct Ground {
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) key: Arc<LocalKey>,
    pub(super) places: Places,
    pub(super) files: FileRules,
    pub(super) copies: Arc<dyn Copies>,
    pub(super) group: Arc<dyn GroupKey>,
}

/// The tokens of one connection.
pub(super) struct Broker {
    me: Weak<Self>,
    path: ConnectionPath,
    means: Means,
    ground: Arc<Ground>,
    settings: ArcSwap<Settings>,
    /// Nothing once it is retired.
    book: Arc<Mutex<Option<Book>>>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct State {
    machine: Machine,
    /// What requests carry now; on disk.
    current: Option<Current>,
    /// What is to be saved.
    pending: Option<Tokens>,
    /// The newest copy that was seen and not taken.
    newest: Option<Copy>,
    ownership: Option<Ownership>,
    /// Digest of the values that are set, and when it was made.
    seed: [u8; 32],
    looked: Timestamp,
    /// The newest generation that was ever here.
    floor: u64,
    /// What was said last of what is wrong.
    told: Option<Trouble>,
    /// Another broker has the connection.
    retired: bool,
}

struct Current {
    tokens: Arc<Tokens>,
    token: Option<Token>,
}

impl Broker {
    /// Opens what is on disk; touches the disk, and nothing else.
    pub(super) fn open(ground: Arc<Ground>, settings: Settings, means: Means) -> Result<Arc<Self>, AuthFailure> {
        let path = settings.wanted.path.clone();
        let location = &settings.oauth().oauth_settings_location;
        let opened = Book::open(&ground.places, Arc::clone(&ground.key), &path, location);
        let (book, opened) = opened?;
        let (seed, now) = (settings.seed()?, ground.clock.now());
        let Opened { tokens, floor, doubts, seed: seen, rolled_back } = opened;
        let current = tokens.map(current);
        let found = Found {
            held: current.as_ref().map(|current| held(&ground.clock, &current.tokens, &seed)),
            floor,
            doubts,
            reseed: seen != Some(seed),
            lost: rolled_back.then_some(Trouble::RolledBack),
        };
        if rolled_back {
            tracing::warn!(connection = %path, floor, "the tokens on disk are older than the newest that there were");
        }
        let state = State {
            machine: Machine::new(means, found),
            current,
            pending: None,
            newest: None,
            ownership: None,
            seed,
            looked: now,
            floor,
            told: None,
            retired: false,
        };
        Ok(Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            path,
            means,
            ground,
            settings: ArcSwap::from_pointee(settings),
            book: Arc::new(Mutex::new(Some(book))),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }))
    }

    pub(super) const fn means(&self) -> Means {
        self.means
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The place of its tokens, as it was chosen.
    pub(super) fn location(&self) -> String {
        self.settings.load().oauth().oauth_settings_location.clone()
    }

    /// From now on these settings hold.
    pub(super) fn adjust(&self, settings: Settings) -> Result<(), AuthFailure> {
        self.settings.store(Arc::new(settings));
        self.look(true)
    }

    /// The tokens that requests carry now.
    pub(super) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.lock().current.as_ref().map(|current| Arc::clone(&current.tokens))
    }

    /// Tells of something that happened outside.
    pub(super) fn tell(&self, event: Event) {
        let mut state = self.lock();
        self.begin(&mut state, event);
    }

    /// A copy came by itself.
    pub(super) fn copy_seen(&self, copy: Copy) {
        let mut state = self.lock();
        let generation = copy.generation;
        if state.newest.as_ref().is_none_or(|newest| newest.generation < generation) {
            state.newest = Some(copy);
        }
        self.begin(&mut state, Event::CopySeen(generation));
    }

    async fn usable(&self) -> Result<Token, AuthFailure> {
        self.look(false)?;
        let mut changed = self.changed.subscribe();
        let deadline = self.ground.clock.now().plus(PATIENCE);
        loop {
            {
                let mut state = self.lock();
                self.begin(&mut state, Event::Asked);
                match state.verdict(self.ground.clock.now()) {
                    Verdict::Use(_) => return self.token_of(&state),
                    Verdict::Fail(trouble) => return Err(trouble.failure(&self.path)),
                    Verdict::Wait => {}
                }
            }
            self.wait(&mut changed, deadline).await?;
        }
    }

    fn token_of(&self, state: &State) -> Result<Token, AuthFailure> {
        let token = state.current.as_ref().and_then(|current| current.token.clone());
        token
            .ok_or_else(|| Trouble::Storage("the access token cannot stand in a header".to_owned()).failure(&self.path))
    }

    /// Whether other values are set than those that the tokens descend from.
    fn look(&self, at_once: bool) -> Result<(), AuthFailure> {
        let now = self.ground.clock.now();
        {
            let mut state = self.lock();
            if !at_once && now.since(state.looked) < LOOK {
                return Ok(());
            }
            state.looked = now;
        }
        let seed = self.settings.load().seed()?;
        let mut state = self.lock();
        if state.seed != seed {
            state.seed = seed;
            let reseed = state.current.as_ref().is_none_or(|current| current.tokens.seed != seed);
            self.begin(&mut state, Event::SeedChanged(reseed));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in; if something follows, a task does it.
    fn begin(&self, state: &mut State, event: Event) {
        if state.retired {
            return;
        }
        let Some(effect) = state.machine.on(event, self.ground.clock.now()) else { return };
        let Some(me) = self.me.upgrade() else { return };
        self.ground.tasks.work(format!("tokens of {}", self.path), OnStop::Finish, me.drive(effect));
    }

    async fn drive(self: Arc<Self>, first: Effect) -> Result<(), Infallible> {
        let mut next = Some(first);
        while let Some(effect) = next {
            tracing::debug!(connection = %self.path, ?effect, "tokens");
            let event = self.perform(effect).await;
            let mut state = self.lock();
            next = state.machine.on(event, self.ground.clock.now());
            if next.is_none() {
                self.say(&mut state);
            }
            drop(state);
            self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
        Ok(())
    }

    async fn perform(&self, effect: Effect) -> Event {
        match effect {
            Effect::Claim(refresh) => self.claim(refresh).await,
            Effect::TakeCopy => self.take_copy().await,
            Effect::AwaitCopy(generation) => self.await_copy(generation).await,
            Effect::Seed => self.seed(),
            Effect::Note(doubts, posting) => match self.write(move |book| book.note(doubts, posting)).await {
                Ok(()) => Event::Noted,
                Err(trouble) => Event::NotNoted(trouble),
            },
            Effect::Post(means) => Event::Answered(self.post(means).await),
            Effect::Save(pause) => {
                self.ground.clock.sleep(pause).await;
                self.save().await
            }
            Effect::Publish => self.publish().await,
        }
    }

    /// Saves what waits, then uses it.
    async fn save(&self) -> Event {
        let Some(tokens) = self.lock().pending.take() else {
            return Event::NotSaved(Trouble::Storage("nothing was there to be saved".to_owned()));
        };
        let tokens = Arc::new(tokens);
        match self.keep(Arc::clone(&tokens)).await {
            Ok(held) => {
                let Tokens { generation, scope, .. } = &*tokens;
                tracing::info!(connection = %self.path, generation, scope, "new tokens");
                Event::Saved(held)
            }
            Err(trouble) => {
                tracing::error!(connection = %self.path, ?trouble, "new tokens cannot be saved, trying again");
                self.lock().pending = Arc::into_inner(tokens);
                Event::NotSaved(trouble)
            }
        }
    }

    /// Durable first, used then.
    async fn keep(&self, tokens: Arc<Tokens>) -> Result<Held, Trouble> {
        let kept = Arc::clone(&tokens);
        self.write(move |book| book.save(&kept)).await?;
        let mut state = self.lock();
        let held = held(&self.ground.clock, &tokens, &state.seed);
        state.floor = state.floor.max(tokens.generation);
        state.current = Some(current_of(tokens));
        Ok(held)
    }

    async fn write<F>(&self, write: F) -> Result<(), Trouble>
    where
        F: FnOnce(&mut Book) -> Result<(), FolderError> + Send + 'static,
    {
        let book = Arc::clone(&self.book);
        let written = tokio::task::spawn_blocking(move || {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.as_mut().map(write)
        });
        match written.await {
            Ok(Some(written)) => written.map_err(|error| storage(&error)),
            Ok(None) => Err(Trouble::Storage("the connection was deployed anew".to_owned())),
            Err(_) => Err(Trouble::Storage("the process is stopping".to_owned())),
        }
    }

    /// Says once what only a person can mend, and once that it is well again.
    fn say(&self, state: &mut State) {
        let trouble = state.machine.broken().cloned();
        if trouble == state.told {
            return;
        }
        match &trouble {
            Some(trouble) => {
                let failure = trouble.failure(&self.path);
                tracing::warn!(connection = %self.path, code = %failure.code, "{failure}");
                self.ground.copies.trouble(&self.path, Some(failure.failure()));
            }
            None => self.ground.copies.trouble(&self.path, None),
        }
        state.told = trouble;
    }
}

impl State {
    fn verdict(&self, now: Timestamp) -> Verdict {
        if self.retired { Verdict::Wait } else { self.machine.verdict(now) }
    }

    fn next_generation(&self) -> u64 {
        let known = self.ownership.as_ref().map_or(0, |ownership| ownership.generation);
        self.floor.max(known).max(self.machine.generation()).saturating_add(1)
    }
}

impl TokenSource for Broker {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthFailure>> {
        Box::pin(self.usable())
    }

    fn rejected(&self, token: &Token) {
        self.tell(Event::Rejected(token.generation));
    }
}

fn current(tokens: Tokens) -> Current {
    current_of(Arc::new(tokens))
}

fn current_of(tokens: Arc<Tokens>) -> Current {
    let token = tokens.access.as_ref().and_then(|access| {
        let text = Zeroizing::new(format!("Bearer {}", access.expose_secret()));
        let value = proxy::sensitive(&text)?;
        Some(Token { name: header::AUTHORIZATION, value, generation: tokens.generation })
    });
    Current { tokens, token }
}

/// What is known of tokens, on this process's own clock. A wall clock that was turned back does not lengthen a life.
fn held(clock: &Clock, tokens: &Tokens, seed: &[u8; 32]) -> Held {
    let (now, wall) = (clock.now(), clock.wall_unix_millis());
    let age = wall.saturating_sub(tokens.obtained_ms);
    let life = tokens.expires_ms.map(|expires| expires.saturating_sub(tokens.obtained_ms));
    let left = |life: u64| Duration::from_millis(life.saturating_sub(age));
    let (percent, spread) = DUE;
    let percent = u64::from(rand::random_range(percent - spread..=percent + spread));
    let usable = tokens.access.is_some();
    Held {
        generation: tokens.generation,
        since: Timestamp::from_millis(now.as_millis().saturating_sub(age)),
        until: if usable { life.map(|life| now.plus(left(life))) } else { Some(now) },
        due: life.map(|life| now.plus(left(life / 100 * percent))),
        refreshable: tokens.refresh.is_some(),
        seed_is_current: tokens.seed == *seed,
    }
}

fn storage(error: &FolderError) -> Trouble {
    Trouble::Storage(error.to_string())
}
