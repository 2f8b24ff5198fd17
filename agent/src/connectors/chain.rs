//! What this agent believes of connectors: taken over from the controller's catalogues, whole or not at all.
//!
//! ```text
//! catalogue ─► documents hold? ─► releases that locks newly name, fetched and judged ─► ONE durable write ─► in force
//!                   └──────────────── any fault: nothing is kept, what was in force stays ─────────────┘
//! ```
//!
//! The rules are [`wherry_trust::chain`]; this is the file, the fetching, and who asks.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::watch, task::spawn_blocking};
use wherry_daemon::clock::Clock;
use wherry_domain::{
    failure::{Code, Failure},
    id::OrganisationId,
    lock::{Lock, Locked},
    name::Name,
};
use wherry_proto::{frame::Catalogue, wire::fetch_connector_response::Part};
use wherry_trust::{
    chain::{Believed, ChainError, Context, Documents, PublishersList, Wanted},
    dsse::{Envelope, Limits},
    release::VerifiedRelease,
};

use super::{fetch, locks::Locks, revoked::Judged};
use crate::{
    controller::Controller,
    keyring::Keys,
    policy::Policy,
    private_file::{self, FileError},
    recent::Recent,
};

/// Largest file read back: as many releases as the locks of many environments name.
const MAX_FILE: u64 = 64 << 20;
/// After what time a catalogue that was refused is judged again: a roster, a clock or the network may have changed.
const AGAIN: Duration = Duration::from_secs(30);
/// How long the fetch of one release may take, the call included.
const FETCH: Duration = Duration::from_secs(60);
/// Releases whose verification is remembered.
const ADMITTED: usize = 128;
/// The controller did not answer in time.
const SILENT: Code = Code::new("controller.unavailable");
/// The file cannot be written.
const NOT_KEPT: Code = Code::new("store.io");

/// Why the agent cannot say what it believes.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It says nothing that can be understood. The agent does not begin from nothing: it would believe anyone.
    #[error("{path}: {error}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        error: ChainError,
    },
}

impl ChainFileError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::File(_) => NOT_KEPT,
            Self::Damaged { error, .. } => error.code(),
        }
    }
}

/// What the chain stands on.
pub struct ChainSettings {
    /// Its file.
    pub path: PathBuf,
    /// The agent's organisation.
    pub organisation: OrganisationId,
    /// The clock.
    pub clock: Clock,
    /// Knows the operators of the group.
    pub keys: Keys,
    /// Where releases come from.
    pub controller: Controller,
    /// What the owner allows of what is believed.
    pub policy: Policy,
}

/// The chain. Clones share it.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    settings: ChainSettings,
    believed: ArcSwap<Believed>,
    changes: watch::Sender<u64>,
    heard: watch::Sender<Option<Arc<Catalogue>>>,
    refusal: Mutex<Option<(Code, String)>>,
    admitted: Mutex<Admitted>,
}

/// Releases that were admitted under what is believed. A signature once verified holds until something else is believed,
/// and verifying costs more than all else that an attempt asks here.
struct Admitted {
    under: Arc<Believed>,
    releases: Recent<Name, (Locked, VerifiedRelease)>,
}

impl Admitted {
    fn new(under: Arc<Believed>) -> Self {
        Self { under, releases: Recent::new(ADMITTED) }
    }

    fn get(&mut self, under: &Arc<Believed>, name: &Name, locked: &Locked) -> Option<VerifiedRelease> {
        if !Arc::ptr_eq(&self.under, under) {
            *self = Self::new(Arc::clone(under));
        }
        self.releases.get(name).filter(|(known, _)| known == locked).map(|(_, release)| release)
    }
}

impl Chain {
    /// Reads back what was believed; nothing, on an agent that never took over a catalogue.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn open(settings: ChainSettings) -> Result<Self, ChainFileError> {
        let believed = match private_file::read(&settings.path, MAX_FILE) {
            Ok(json) => Believed::from_json(&json).map_err(|error| {
                let path = settings.path.display().to_string();
                ChainFileError::Damaged { path, error }
            })?,
            Err(error) if error.is_missing() => Believed::default(),
            Err(error) => return Err(error.into()),
        };
        let believed = Arc::new(believed);
        let chain = Self(Arc::new(Inner {
            settings,
            believed: ArcSwap::new(Arc::clone(&believed)),
            changes: watch::Sender::new(0),
            heard: watch::Sender::new(None),
            refusal: Mutex::default(),
            admitted: Mutex::new(Admitted::new(believed)),
        }));
        let moved = Arc::downgrade(&chain.0);
        // What was decided under another policy is decided again, as under another catalogue.
        chain.0.settings.policy.on_change(move || {
            if let Some(chain) = moved.upgrade() {
                chain.changes.send_modify(|count| *count = count.wrapping_add(1));
            }
        });
        Ok(chain)
    }

    /// The controller sent a catalogue; [`Chain::serve`] judges it. Of several that wait, the last counts.
    pub fn heard(&self, catalogue: Catalogue) {
        self.0.heard.send_replace(Some(Arc::new(catalogue)));
    }

    /// Judges catalogues as they come, until the process ends.
    pub async fn serve(self) -> Result<(), Infallible> {
        let mut heard = self.0.heard.subscribe();
        heard.mark_changed();
        let mut waits = false;
        loop {
            let again = self.0.settings.clock.sleep_until(self.0.settings.clock.now().plus(AGAIN));
            tokio::select! {
                // This holds the other end.
                changed = heard.changed() => if changed.is_err() { std::future::pending::<()>().await },
                () = again, if waits => (),
            }
            let newest = heard.borrow_and_update().clone();
            if let Some(catalogue) = newest {
                waits = self.judge_newest(&catalogue).await;
            }
        }
    }

    /// Whether it has to be judged again.
    async fn judge_newest(&self, catalogue: &Catalogue) -> bool {
        let refusal = self.take_over(catalogue).await.err();
        if let Some(Failure { code, message, .. }) = &refusal {
            tracing::warn!(%code, message, "the newest catalogue of connectors is not taken over");
        }
        let refusal = refusal.map(|failure| (failure.code, failure.message));
        let waits = refusal.is_some();
        let changed = {
            let mut known = self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, refusal.clone()) != refusal
        };
        if changed {
            self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        waits
    }

    /// Takes over a catalogue: every document and every new release holds, and is on disk, before anything is believed.
    ///
    /// # Errors
    /// The first fault. Nothing has changed then.
    pub async fn take_over(&self, catalogue: &Catalogue) -> Result<(), Failure> {
        let before = self.0.believed.load_full();
        let ChainSettings { organisation, clock, keys, path, .. } = &self.0.settings;
        let context =
            Context { organisation: *organisation, roster: keys.operators(), now_ms: clock.wall_unix_millis() };
        let Catalogue { publishers, index, locks } = catalogue;
        let documents = Documents { publishers, index, locks };
        let mut proposed = before.propose(&documents, &context).map_err(|error| refused(&error))?;
        for wanted in proposed.wanted() {
            let json = self.fetch(&wanted).await?;
            proposed.supply(&wanted, &json).map_err(|error| unsupplied(&error, &wanted, (publishers, &json)))?;
        }
        let next = proposed.finish().map_err(|error| refused(&error))?;
        if next == *before {
            return Ok(());
        }
        let (path, json) = (path.clone(), next.to_json());
        if json.len() as u64 > MAX_FILE {
            // It could not be read back.
            return Err(refused(&ChainError::TooLarge));
        }
        let kept = spawn_blocking(move || private_file::write(&path, &json)).await;
        kept.map_err(|error| Failure::retry(NOT_KEPT, error.to_string()))?
            .map_err(|error| Failure::retry(NOT_KEPT, error.to_string()))?;
        self.0.believed.store(Arc::new(next));
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
        tracing::info!("took over a catalogue of connectors");
        Ok(())
    }

    /// The signed release alone: asked for from the end of the component on, so that nothing of that travels.
    async fn fetch(&self, wanted: &Wanted) -> Result<Vec<u8>, Failure> {
        let silent = |_| Failure::retry(SILENT, format!("the release of {} did not come in time", wanted.name));
        let first = tokio::time::timeout(FETCH, async {
            let Locked { release, length, .. } = wanted.locked;
            let mut parts = self.0.settings.controller.connector(release, length).await?;
            fetch::next(&mut parts).await
        });
        let first = first.await.map_err(silent)??;
        match first.and_then(|message| message.part) {
            Some(Part::Release(envelope)) => Ok(envelope.to_vec()),
            Some(Part::Data(_)) | None => Err(refused(&ChainError::ReleaseMissing(wanted.name.clone()))),
        }
    }

    /// Whether the owner lets a release run that is believed.
    fn allowed(&self, name: &Name, release: VerifiedRelease) -> Result<VerifiedRelease, Failure> {
        let allowed = self.0.settings.policy.rules().publisher(&release.key, &release.publisher);
        allowed.map_err(|refusal| refusal.failure()).and_then(|()| self.named(name)).map(|()| release)
    }

    /// Whether the owner lets a connector of that name run at all.
    fn named(&self, name: &Name) -> Result<(), Failure> {
        self.0.settings.policy.rules().connector(name).map_err(|refusal| refusal.failure())
    }

    /// What is believed now.
    pub fn in_force(&self) -> Arc<Believed> {
        self.0.believed.load_full()
    }
}

impl Locks for Chain {
    fn all(&self) -> Vec<Arc<Lock>> {
        self.in_force().locks().map(|held| Arc::clone(&held.document)).collect()
    }

    fn lock(&self, environment: &Name) -> Option<Arc<Lock>> {
        self.in_force().lock(environment).map(|held| Arc::clone(&held.document))
    }

    fn must_be_locked(&self) -> bool {
        !self.in_force().is_empty() || self.0.settings.keys.operators().is_some()
    }

    fn admit(&self, name: &Name, locked: &Locked) -> Result<VerifiedRelease, Failure> {
        self.named(name)?;
        let believed = self.in_force();
        let remembered = || self.0.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered().get(&believed, name, locked);
        let release = match known {
            Some(release) => release,
            None => {
                let release = believed.admit(name, locked).map_err(|error| {
                    let list = believed.publishers().map(|held| held.document.as_ref());
                    Judged { name, locked, list, envelope: believed.release(locked) }.failure(&error)
                })?;
                let mut admitted = remembered();
                // Not what was believed before.
                if Arc::ptr_eq(&admitted.under, &believed) {
                    admitted.releases.insert(name.clone(), (locked.clone(), release.clone()));
                }
                release
            }
        };
        self.allowed(name, release)
    }

    fn judge(&self, name: &Name, locked: &Locked, envelope: &[u8]) -> Result<VerifiedRelease, Failure> {
        let envelope = Envelope::from_json(envelope, &Limits::default())
            .map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        let believed = self.in_force();
        let release = believed.judge(name, locked, &envelope).map_err(|error| {
            let list = believed.publishers().map(|held| held.document.as_ref());
            Judged { name, locked, list, envelope: Some(&envelope) }.failure(&error)
        })?;
        self.allowed(name, release)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn refusal(&self) -> Option<(Code, String)> {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a release that came for a catalogue is not believed.
fn unsupplied(error: &ChainError, wanted: &Wanted, (publishers, release): (&[u8], &[u8])) -> Failure {
    let list = PublishersList::read(publishers).ok().map(|(list, _)| list);
    let envelope = Envelope::from_json(release, &Limits::default()).ok();
    let Wanted { name, locked } = wanted;
    Judged { name, locked, list: list.as_ref(), envelope: envelope.as_ref() }.failure(error)
}

fn refused(error: &ChainError) -> Failure {
    Failure::permanent(error.code(), error.to_string())
}
