//! From a digest to a connector that can run; what is damaged on disk is fetched or compiled again.

use std::sync::{Arc, PoisonError};

use wherry_daemon::store::StoreError;
use wherry_domain::{
    failure::{Code, Failure, FailureClass},
    lock::Locked,
    name::Name,
    project::ConnectorPin,
};
use wherry_host::{ConnectorFault, Descriptor, HostError};
use wherry_trust::{keys::PublicKey, release::VerifiedRelease};
use wherry_worker::Code as Program;

use super::{CompileError, Inner, Loaded, Title, fetch, mismatch, promise};

/// No process for the connector's code could be started.
const NO_WORKER: &str = "worker.start_failed";
/// The component does not do what its release promises.
const DESCRIPTOR_MISMATCH: Code = Code::new("connector.descriptor_mismatch");

impl Inner {
    pub(super) async fn load_in_turn(&self, name: Name, title: Title) -> Result<Loaded, Failure> {
        let _turn = self.one_at_a_time.lock().await;
        let pin = title.pin();
        if let Some(loaded) = self.recall(&name, pin.digest)? {
            return Ok(loaded);
        }
        let in_force = self.trust.in_force();
        let (loaded, release) = self.prepare(&name, &title).await?;
        self.stock.ready(pin.digest, &loaded.using);
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Not what was believed under publishers that were replaced meanwhile.
        if Arc::ptr_eq(&in_force, &self.trust.in_force()) {
            kept.insert(pin.digest, (name.clone(), loaded.clone()));
        }
        drop(kept);
        tracing::info!(connector = %name, version = %pin.version, publisher = release.publisher, "connector ready");
        Ok(loaded)
    }

    async fn prepare(&self, name: &Name, title: &Title) -> Result<(Loaded, VerifiedRelease), Failure> {
        let pin = title.pin();
        let mut release = self.obtain(name, title).await?;
        let connector = match self.compiled_code(&pin, &release.key).await {
            Ok(connector) => connector,
            Err(CompileError::Gone | CompileError::Store(StoreError::Content { .. })) => {
                tracing::warn!(connector = %name, digest = %pin.digest, "a connector on disk is damaged, it is fetched again");
                self.files.remove(&pin.digest).map_err(|error| fetch::kept(&error))?;
                release = self.obtain(name, title).await?;
                self.compiled_code(&pin, &release.key).await.map_err(|error| error.failure())?
            }
            Err(error) => return Err(error.failure()),
        };
        let described = self.describe(&connector).await;
        let (said, descriptor) = described.inspect_err(|failure| self.blame_for_describing(name, title, failure))?;
        descriptor.belongs_to(name, &pin.version).map_err(|error| mismatch(&error.to_string()))?;
        promise::keeps(&release.release, &said, &descriptor).map_err(|broken| {
            Failure::permanent(
                DESCRIPTOR_MISMATCH,
                format!("connector {name} {} cannot be used: {broken}", pin.version),
            )
        })?;
        let activities = release.release.activities.clone().into();
        let loaded = Loaded { connector, activities, descriptor: Arc::new(descriptor), using: Arc::default() };
        Ok((loaded, release))
    }

    async fn describe(&self, connector: &Program) -> Result<(String, Descriptor), Failure> {
        let said = connector.describe_text().await.map_err(|error| failed(&error))?;
        let descriptor = Descriptor::parse(&said).map_err(|error| failed(&error.into()))?;
        Ok((said, descriptor))
    }

    fn blame_for_describing(&self, name: &Name, title: &Title, failure: &Failure) {
        // A machine that starts no process says nothing of the connector.
        if let Some(locked) = title.locked().filter(|_| failure.code.as_str() != NO_WORKER) {
            self.stock.struck(name, locked, &Code::new("sandbox.invalid_descriptor"));
        }
    }

    /// Makes sure that component and release are on disk, and believes the release.
    async fn obtain(&self, name: &Name, title: &Title) -> Result<VerifiedRelease, Failure> {
        let pin = title.pin();
        let from = fetch::Source { controller: &self.controller, files: &self.files, releases: &self.releases };
        let believe = |envelope: &[u8]| self.believe(name, title, envelope);
        if !self.files.contains(&pin.digest) {
            return fetch::fetch(&from, &pin, believe).await;
        }
        if let Title::Locked(locked) = title {
            return self.admit(name, locked);
        }
        let stored = fetch::stored_release(&self.releases, pin.digest);
        let believed = stored.map(|envelope| believe(&envelope));
        match believed {
            Some(Ok(release)) => Ok(release),
            // Damaged on disk, or really not to be believed: the controller's copy tells.
            Some(Err(failure)) => match fetch::fetch_release(&from, &pin, believe).await {
                Ok(release) => Ok(release),
                Err(other) if other.class == FailureClass::Permanent => Err(other),
                Err(_) => Err(failure),
            },
            None => fetch::fetch_release(&from, &pin, believe).await,
        }
    }

    /// Believes a release as far as whoever names the connector and the owner of this agent do.
    fn believe(&self, name: &Name, title: &Title, envelope: &[u8]) -> Result<VerifiedRelease, Failure> {
        match title {
            Title::Deployed(pin) => self.trust.check(envelope, name, pin),
            // The chain has its own copy of the release, which is what counts.
            Title::Locked(locked) => self.admit(name, locked),
            Title::Before(locked) => {
                let release = self.stock.locks().judge(name, locked, envelope)?;
                self.trust.suits(&release).map(|()| release)
            }
        }
    }

    pub(super) fn admit(&self, name: &Name, locked: &Locked) -> Result<VerifiedRelease, Failure> {
        let release = self.stock.locks().admit(name, locked)?;
        self.trust.suits(&release).map(|()| release)
    }

    async fn compiled_code(&self, pin: &ConnectorPin, publisher: &PublicKey) -> Result<Program, CompileError> {
        if let Some(path) = self.compiled.find(pin.digest).await {
            match self.walls.load(&path, publisher) {
                Ok(connector) => return Ok(connector),
                Err(error) => tracing::warn!(digest = %pin.digest, %error, "compiled code is compiled again"),
            }
        }
        let path = self.compiled.compile(&self.files, pin.digest).await?;
        Ok(self.walls.load(&path, publisher)?)
    }
}

fn failed(error: &HostError) -> Failure {
    if let HostError::DescribeFailed(fault) = error
        && let ConnectorFault::Worker(_) = **fault
    {
        return fault.failure();
    }
    Failure::permanent(error.code(), error.to_string())
}
