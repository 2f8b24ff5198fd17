//! Connectors: fetched by digest, believed only if a trusted publisher signed them, compiled in a process of their own.
//!
//! Which version of a connector an attempt runs on is said by the lock of its environment. Before this agent has taken
//! over a first lock, the deployment says it. The signed release must say the same, and so must the component itself
//! once it runs. Any difference and nothing is run.

mod before;
mod chain;
mod choose;
pub(crate) mod compiled;
mod compiler;
mod fetch;
pub(crate) mod locks;
mod prepare;
mod promise;
pub(crate) mod quarantine;
mod release;
mod revoked;
mod stock;
mod sweep;
mod take;
mod tend;
mod walls;

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{oneshot, watch};
use wherry_daemon::{
    clock::Clock,
    store::{StoreError, files::FileStore},
    tasks::{OnStop, Tasks},
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    lock::Locked,
    name::Name,
    project::ConnectorPin,
};
use wherry_host::Descriptor;
use wherry_proto::frame::Publisher;
use wherry_trust::{keys::PublicKey, release::Activity, seal_local::LocalKey};
use wherry_worker::Code as Program;

pub(crate) use self::stock::Stand;
pub(crate) use self::walls::Walls;
pub use self::{
    chain::{Chain, ChainFileError, ChainSettings},
    compiler::{CompileError, compile_in_this_process, say_why},
    locks::Locks,
    take::{Asked, Blame, Taken},
    walls::{WorkerMode, WorkerRules},
};
use self::{
    choose::{Choice, Place},
    compiled::Compiled,
    quarantine::Folder,
    release::Trust,
    stock::Stock,
};
use crate::{controller::Controller, paths::DataDir, policy::Policy, recent::Recent, slots::Slots};

/// Loaded connectors kept for the next run. Their code is mapped, so an idle one costs little.
const KEPT: usize = 64;
/// The process ended first.
const INTERRUPTED: Code = Code::new("agent.draining");
/// The component says it is another one than its release.
const NAME_MISMATCH: Code = Code::new("connector.name_mismatch");

/// A connector that may run.
#[derive(Clone)]
pub struct Loaded {
    /// Its code.
    pub connector: Program,
    /// What its signed release offers.
    pub activities: Arc<[Activity]>,
    /// What the component says of itself.
    pub descriptor: Arc<Descriptor>,
    /// Who signed its release, by the name that the organisation gave them.
    pub publisher: Arc<str>,
    /// Held for as long as someone may use it: until then it stays on disk.
    using: Arc<()>,
}

/// What was loaded: a component under a release, as another one over the same bytes promises something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    wasm: Digest,
    release: Digest,
}

/// The conversation with the controller.
#[derive(Clone, Copy, Default)]
struct Session {
    number: u64,
    live: bool,
}

/// The agent's connectors. Clones share them.
#[derive(Clone)]
pub struct Connectors(Arc<Inner>);

struct Inner {
    walls: Walls,
    files: FileStore,
    releases: PathBuf,
    compiled: Arc<Compiled>,
    trust: Trust,
    controller: Controller,
    tasks: Tasks,
    clock: Clock,
    stock: Stock,
    policy: Policy,
    slots: Slots,
    sessions: watch::Sender<Session>,
    loaded: Mutex<Recent<Key, (Name, Loaded)>>,
    /// Fetching and compiling happen one at a time: both are rare, and compiling takes memory.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// What connectors need to know from elsewhere.
pub struct ConnectorSettings {
    /// Where files go.
    pub data: DataDir,
    /// Authenticates compiled code.
    pub key: LocalKey,
    /// Where their code runs.
    pub(crate) walls: Walls,
    /// The program that compiles: this one.
    pub compiler: PathBuf,
    /// The owner's narrower list of publishers; empty allows all that the organisation trusts.
    pub only: Vec<PublicKey>,
    /// Where components come from.
    pub controller: Controller,
    /// Where preparing happens.
    pub tasks: Tasks,
    /// The clock.
    pub clock: Clock,
    /// The locks in force.
    pub locks: Arc<dyn Locks>,
    /// What the owner allows.
    pub policy: Policy,
    /// How many runs there may be, which the controller is told with the policy.
    pub slots: Slots,
}

/// Who says that a connector is to run.
#[derive(Clone, Debug)]
enum Title {
    /// The deployment, on an agent that knows no locks.
    Deployed(ConnectorPin),
    /// The lock in force.
    Locked(Locked),
    /// A lock before it.
    Before(Locked),
}

impl Title {
    fn pin(&self) -> ConnectorPin {
        match self {
            Self::Deployed(pin) => pin.clone(),
            Self::Locked(locked) | Self::Before(locked) => locked.pin(),
        }
    }

    const fn locked(&self) -> Option<&Locked> {
        match self {
            Self::Deployed(_) => None,
            Self::Locked(locked) | Self::Before(locked) => Some(locked),
        }
    }
}

impl Connectors {
    /// Opens the folders.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(settings: ConnectorSettings) -> Result<Self, StoreError> {
        let ConnectorSettings { data, key, walls, compiler, only, controller, tasks, clock, locks, policy, slots } =
            settings;
        let files = FileStore::open(data.connectors())?;
        let compiled = Arc::new(Compiled::new(data.compiled(), compiler, key, walls.compatibility()));
        let stock = Stock::new(clock.clone(), locks, data.before(), Folder::new(data.quarantine()));
        Ok(Self(Arc::new(Inner {
            walls,
            files,
            releases: data.releases(),
            compiled,
            trust: Trust::new(only, policy.clone()),
            controller,
            tasks,
            clock,
            stock,
            policy,
            slots,
            sessions: watch::Sender::default(),
            loaded: Mutex::new(Recent::new(KEPT)),
            one_at_a_time: tokio::sync::Mutex::default(),
        })))
    }

    /// The organisation trusts these publishers now. What was loaded under others is judged again at its next use.
    pub fn trust(&self, publishers: &[Publisher]) {
        if self.0.trust.replace(publishers) {
            self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// The connectors that are on disk, whole.
    pub fn on_disk(&self) -> Vec<Digest> {
        self.0.files.list().unwrap_or_else(|error| {
            tracing::warn!(%error, "the connectors on disk cannot be listed");
            Vec::new()
        })
    }

    /// Which walls around their code are missing on this system; nothing while that is not known yet.
    pub(crate) fn missing_walls(&self) -> watch::Receiver<Option<Vec<String>>> {
        self.0.walls.missing()
    }

    /// What decides at present which versions run.
    pub(crate) fn stand(&self) -> Stand {
        self.0.stock.stand()
    }

    /// Waits until the lock of an environment has come as far as `version`; whether it has, within `limit`.
    pub(crate) async fn reaches(&self, environment: &Name, version: u64, limit: Duration) -> bool {
        let locks = self.0.stock.locks();
        let mut changes = locks.changes();
        let there = || version == 0 || locks.lock(environment).is_some_and(|lock| lock.version >= version);
        let wait = async {
            while !there() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(limit, wait).await);
        there()
    }

    /// The version that an attempt should run on now, and whether that is the one on trial. None where no lock says so.
    pub(crate) fn would_run(&self, environment: &Name, name: &Name, on_trial: bool) -> Option<(semver::Version, bool)> {
        let Choice { locked, place, .. } = self.0.stock.choose(environment, name, on_trial).ok()??;
        Some((locked.version, place == Place::Trial))
    }

    /// A session began, whose controller has to be told what is here, or ended.
    pub(crate) fn connected(&self, live: bool) {
        let count = |session: &mut Session| session.number = session.number.wrapping_add(u64::from(live));
        self.0.sessions.send_modify(|session| {
            count(session);
            session.live = live;
        });
    }
}

impl Inner {
    /// The connector, ready to run.
    async fn load(self: &Arc<Self>, name: &Name, title: Title) -> Result<Loaded, Failure> {
        if let Some(loaded) = self.recall(name, &title)? {
            return Ok(loaded);
        }
        let (inner, task, name) = (Arc::clone(self), format!("connector {name}"), name.clone());
        let (done, loaded) = oneshot::channel();
        // In a task of its own: a run that is cancelled meanwhile must not waste what others wait for.
        self.tasks.work(task, OnStop::Finish, async move {
            // Whoever asked may be gone; what was loaded stays for the next.
            drop(done.send(inner.load_in_turn(name, title).await));
            Ok::<_, Infallible>(())
        });
        loaded
            .await
            .unwrap_or_else(|_| Err(Failure::retry(INTERRUPTED, "the agent ended while it prepared a connector")))
    }

    /// What is loaded already, if it may still run: it may have been revoked since.
    fn recall(&self, name: &Name, title: &Title) -> Result<Option<Loaded>, Failure> {
        let digest = title.pin().digest;
        let judged = match title {
            Title::Locked(locked) => self.admit(name, locked)?,
            Title::Deployed(_) | Title::Before(_) => match self.stored(name, title) {
                Some(Ok(release)) => release,
                // Missing, damaged, or not to be believed any more: the way through preparing tells.
                Some(Err(_)) | None => return Ok(None),
            },
        };
        let loaded = self.remembered(name, Key { wasm: digest, release: judged.digest })?;
        Ok(loaded.map(|loaded| Loaded { publisher: judged.publisher.into(), ..loaded }))
    }

    fn remembered(&self, name: &Name, key: Key) -> Result<Option<Loaded>, Failure> {
        match self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            None => Ok(None),
            Some((known, loaded)) if known == *name => Ok(Some(loaded)),
            Some((known, _)) => Err(mismatch(&format!("{known} is pinned as {name}"))),
        }
    }
}

fn mismatch(what: &str) -> Failure {
    Failure::permanent(NAME_MISMATCH, format!("the connector is not the one the deployment names: {what}"))
}

#[cfg(test)]
mod tests;
