//! From a digest to a connector that can run; what is damaged on disk is fetched or compiled again.

use std::sync::{Arc, PoisonError};

use wherry_daemon::store::StoreError;
use wherry_domain::{
    failure::{Code, Failure, FailureClass},
    lock::Locked,
    name::Name,
    project::ConnectorPin,
};
use wherry_host::{ConnectorFault, Descriptor, HostError, Limit};
use wherry_trust::{keys::PublicKey, release::VerifiedRelease};
use wherry_worker::Code as Program;

use super::{CompileError, Inner, Key, Loaded, Title, fetch, mismatch, promise, quarantine::is_strike};

/// The component does not do what its release promises.
const DESCRIPTOR_MISMATCH: Code = Code::new("connector.descriptor_mismatch");

impl Inner {
    pub(super) async fn load_in_turn(&self, name: Name, title: Title) -> Result<Loaded, Failure> {
        let _turn = self.one_at_a_time.lock().await;
        let pin = title.pin();
        if let Some(loaded) = self.recall(&name, &title)? {
            return Ok(loaded);
        }
        let in_force = self.trust.in_force();
        let (loaded, release) = self.prepare(&name, &title).await?;
        // It may have been revoked while it was compiled.
        if let Title::Locked(locked) = &title {
            self.admit(&name, locked)?;
        }
        match &title {
            Title::Locked(locked) => self.stock.ready(&name, locked, &loaded.using),
            Title::Deployed(_) | Title::Before(_) => self.stock.uses(pin.digest, &loaded.using),
        }
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Not what was believed under publishers that were replaced meanwhile.
        if Arc::ptr_eq(&in_force, &self.trust.in_force()) {
            let key = Key { wasm: pin.digest, release: release.digest };
            kept.insert(key, (name.clone(), loaded.clone()));
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
        let (said, descriptor) = described.map_err(|error| {
            tracing::info!(connector = %name, version = %pin.version, %error, "a connector does not describe itself");
            self.blame_for_describing(name, title, &error);
            failed(&error)
        })?;
        descriptor.belongs_to(name, &pin.version).map_err(|error| mismatch(&error.to_string()))?;
        promise::keeps(&release.release, &said, &descriptor).map_err(|broken| {
            Failure::permanent(
                DESCRIPTOR_MISMATCH,
                format!("connector {name} {} cannot be used: {broken}", pin.version),
            )
        })?;
        let activities = release.release.activities.clone().into();
        let (descriptor, publisher) = (Arc::new(descriptor), release.publisher.as_str().into());
        let using = Arc::default();
        let loaded = Loaded { connector, activities, descriptor, publisher, using };
        Ok((loaded, release))
    }

    async fn describe(&self, connector: &Program) -> Result<(String, Descriptor), HostError> {
        let said = connector.describe_text().await?;
        let descriptor = Descriptor::parse(&said)?;
        Ok((said, descriptor))
    }

    fn blame_for_describing(&self, name: &Name, title: &Title, error: &HostError) {
        if let Some(locked) = title.locked().filter(|_| describes_badly(error)) {
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
        match self.stored(name, title) {
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

    /// The release that is on disk, judged as things are now.
    pub(super) fn stored(&self, name: &Name, title: &Title) -> Option<Result<VerifiedRelease, Failure>> {
        let envelope = fetch::stored_release(&self.releases, title.pin().digest)?;
        Some(self.believe(name, title, &envelope))
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

/// Whether it is the component's own fault that it is not described: a machine that starts no process, or is too busy
/// to hear it out, says nothing of it.
fn describes_badly(error: &HostError) -> bool {
    match error {
        HostError::DescribeFailed(fault) => is_strike(fault),
        HostError::InvalidDescriptor(_) => true,
        HostError::Engine(_)
        | HostError::TooLarge { .. }
        | HostError::InvalidComponent(_)
        | HostError::ImportForbidden { .. }
        | HostError::ContractMismatch(_)
        | HostError::LimitDeclared { .. }
        | HostError::StaleCode(_)
        | HostError::Unreadable { .. }
        | HostError::NoDiscovery => false,
    }
}

/// A machine that starts no worker, or is too busy to hear the component out, says nothing of it: another try may
/// succeed.
fn failed(error: &HostError) -> Failure {
    let HostError::DescribeFailed(fault) = error else {
        return Failure::permanent(error.code(), error.to_string());
    };
    match &**fault {
        ConnectorFault::Worker(_) => fault.failure(),
        ConnectorFault::Limit(Limit::Time { limit_ms }) => {
            let message = format!("the connector did not describe itself within {limit_ms} ms: it is tried again");
            Failure::retry(error.code(), message)
        }
        ConnectorFault::Reported(_)
        | ConnectorFault::Limit(_)
        | ConnectorFault::Trap { .. }
        | ConnectorFault::Cancelled
        | ConnectorFault::Host(_) => {
            // Its own words stay here.
            let message = format!("the connector does not describe itself: {}", fault.failure().message);
            Failure::permanent(error.code(), message)
        }
    }
}

#[cfg(test)]
mod tests {
    use wherry_host::WorkerFault;

    use super::*;

    #[test]
    fn only_what_the_component_itself_did_while_it_described_itself_is_counted_against_it() {
        let failed = |fault: ConnectorFault| HostError::DescribeFailed(Box::new(fault));
        let start = WorkerFault::Start { reason: "it did not describe its connector in time".into() };
        assert!(!describes_badly(&failed(start.into())));
        assert!(!describes_badly(&failed(Limit::Time { limit_ms: 5_000 }.into())));
        assert!(!describes_badly(&HostError::StaleCode("another engine".into())));
        assert!(describes_badly(&failed(Limit::Memory { limit_bytes: 1 }.into())));
        assert!(describes_badly(&Descriptor::parse("{").unwrap_err().into()));
    }

    #[test]
    fn a_description_that_takes_too_long_is_tried_again_and_one_that_breaks_its_box_is_not() {
        let class = |fault: ConnectorFault| failed(&HostError::DescribeFailed(Box::new(fault))).class;
        assert_eq!(class(Limit::Time { limit_ms: 5_000 }.into()), FailureClass::Retry);
        let died = WorkerFault::Died { how: "signal 9".into() };
        assert_eq!(class(died.into()), FailureClass::Retry);
        assert_eq!(class(Limit::Memory { limit_bytes: 1 }.into()), FailureClass::Permanent);
        assert_eq!(failed(&Descriptor::parse("{").unwrap_err().into()).class, FailureClass::Permanent);
    }
}
