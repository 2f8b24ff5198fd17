//! Connectors: fetched by digest, believed only if a trusted publisher signed them, compiled in a process of their own.
//!
//! The deployment names name, version, digest and length; the signed release must say the same, and so must the
//! component itself once it runs. Any difference and nothing is run.

pub(crate) mod compiled;
mod compiler;
mod fetch;
mod promise;
mod release;

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;
use wherry_daemon::{
    store::{StoreError, files::FileStore},
    tasks::{OnStop, Tasks},
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    name::Name,
    project::ConnectorPin,
};
use wherry_host::{Connector, Descriptor, Host, HostError};
use wherry_proto::frame::Publisher;
use wherry_trust::{
    keys::PublicKey,
    release::{Activity, VerifiedRelease},
    seal_local::LocalKey,
};

pub use self::compiler::{CompileError, compile_in_this_process, say_why};
use self::{compiled::Compiled, release::Trust};
use crate::{controller::Controller, paths::DataDir, recent::Recent};

/// Loaded connectors kept for the next run. Their code is mapped, so an idle one costs little.
const KEPT: usize = 16;
/// The process ended first.
const INTERRUPTED: Code = Code::new("agent.draining");
/// The component says it is another one than its release.
const NAME_MISMATCH: Code = Code::new("connector.name_mismatch");

/// The component does not do what its release promises.
const DESCRIPTOR_MISMATCH: Code = Code::new("connector.descriptor_mismatch");

/// A connector that may run.
#[derive(Clone)]
pub struct Loaded {
    /// Its code.
    pub connector: Connector,
    /// What its signed release offers.
    pub activities: Arc<[Activity]>,
    /// What the component says of itself.
    pub descriptor: Arc<Descriptor>,
}

/// The agent's connectors. Clones share them.
#[derive(Clone)]
pub struct Connectors(Arc<Inner>);

struct Inner {
    host: Host,
    files: FileStore,
    releases: PathBuf,
    compiled: Compiled,
    trust: Trust,
    controller: Controller,
    tasks: Tasks,
    loaded: Mutex<Recent<Digest, (Name, Loaded)>>,
    /// Fetching and compiling happen one at a time: both are rare, and compiling takes memory.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// What connectors need to know from elsewhere.
pub struct ConnectorSettings {
    /// Where files go.
    pub data: DataDir,
    /// Authenticates compiled code.
    pub key: LocalKey,
    /// Runs connectors.
    pub host: Host,
    /// The program that compiles: this one.
    pub compiler: PathBuf,
    /// The owner's narrower list of publishers; empty allows all that the organisation trusts.
    pub only: Vec<PublicKey>,
    /// Where components come from.
    pub controller: Controller,
    /// Where preparing happens.
    pub tasks: Tasks,
}

impl Connectors {
    /// Opens the folders.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn open(settings: ConnectorSettings) -> Result<Self, StoreError> {
        let ConnectorSettings { data, key, host, compiler, only, controller, tasks } = settings;
        let files = FileStore::open(data.connectors())?;
        let compiled = Compiled::new(data.compiled(), compiler, key, host.compatibility());
        Ok(Self(Arc::new(Inner {
            host,
            files,
            releases: data.releases(),
            compiled,
            trust: Trust::new(only),
            controller,
            tasks,
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

    /// The connector of that pin, ready to run.
    ///
    /// # Errors
    /// If it cannot be fetched, is not what the deployment says, or nobody trusted signed it.
    pub async fn load(&self, name: &Name, pin: &ConnectorPin) -> Result<Loaded, Failure> {
        if let Some(loaded) = self.recall(name, pin.digest)? {
            return Ok(loaded);
        }
        let (inner, title) = (Arc::clone(&self.0), format!("connector {name}"));
        let (name, pin) = (name.clone(), pin.clone());
        let (done, loaded) = oneshot::channel();
        // In a task of its own: a run that is cancelled meanwhile must not waste what others wait for.
        self.0.tasks.work(title, OnStop::Finish, async move {
            // Whoever asked may be gone; what was loaded stays for the next.
            drop(done.send(inner.load(name, pin).await));
            Ok::<_, Infallible>(())
        });
        loaded
            .await
            .unwrap_or_else(|_| Err(Failure::retry(INTERRUPTED, "the agent ended while it prepared a connector")))
    }

    fn recall(&self, name: &Name, digest: Digest) -> Result<Option<Loaded>, Failure> {
        self.0.recall(name, digest)
    }
}

impl Inner {
    fn recall(&self, name: &Name, digest: Digest) -> Result<Option<Loaded>, Failure> {
        match self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            None => Ok(None),
            Some((known, loaded)) if known == *name => Ok(Some(loaded)),
            Some((known, _)) => Err(mismatch(&format!("{known} is pinned as {name}"))),
        }
    }

    async fn load(&self, name: Name, pin: ConnectorPin) -> Result<Loaded, Failure> {
        let _turn = self.one_at_a_time.lock().await;
        if let Some(loaded) = self.recall(&name, pin.digest)? {
            return Ok(loaded);
        }
        let in_force = self.trust.in_force();
        let release = self.obtain(&name, &pin).await?;
        let connector = self.compiled_code(&pin).await?;
        let descriptor = connector.describe().await.map_err(|error| failed(&error))?;
        descriptor.belongs_to(&name, &pin.version).map_err(|error| mismatch(&error.to_string()))?;
        promise::check(&release.release.activities, &descriptor).map_err(|broken| {
            Failure::permanent(
                DESCRIPTOR_MISMATCH,
                format!("connector {name} {} cannot be used: {broken}", pin.version),
            )
        })?;
        let activities = release.release.activities.into();
        let loaded = Loaded { connector, activities, descriptor: Arc::new(descriptor) };
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Not what was believed under publishers that were replaced meanwhile.
        if Arc::ptr_eq(&in_force, &self.trust.in_force()) {
            kept.insert(pin.digest, (name.clone(), loaded.clone()));
        }
        drop(kept);
        tracing::info!(connector = %name, version = %pin.version, publisher = release.publisher, "connector ready");
        Ok(loaded)
    }

    /// Makes sure that component and release are on disk, and believes the release.
    async fn obtain(&self, name: &Name, pin: &ConnectorPin) -> Result<VerifiedRelease, Failure> {
        if self.files.contains(&pin.digest)
            && let Some(envelope) = fetch::stored_release(&self.releases, pin.digest)
        {
            return self.trust.check(&envelope, name, pin);
        }
        fetch::fetch(&self.controller, &self.files, &self.releases, pin, |envelope| {
            self.trust.check(envelope, name, pin)
        })
        .await
    }

    async fn compiled_code(&self, pin: &ConnectorPin) -> Result<Connector, Failure> {
        if let Some(path) = self.compiled.find(pin.digest).await {
            match self.host.load(&path) {
                Ok(connector) => return Ok(connector),
                Err(error) => tracing::warn!(digest = %pin.digest, %error, "compiled code is compiled again"),
            }
        }
        let path = self.compiled.compile(&self.files, pin.digest).await.map_err(|error| error.failure())?;
        self.host.load(&path).map_err(|error| failed(&error))
    }
}

fn mismatch(what: &str) -> Failure {
    Failure::permanent(NAME_MISMATCH, format!("the connector is not the one the deployment names: {what}"))
}

fn failed(error: &HostError) -> Failure {
    Failure::permanent(error.code(), error.to_string())
}
