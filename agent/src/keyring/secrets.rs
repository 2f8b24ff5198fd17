//! Sealed secrets as the controller shows them: what holds is kept, and what it has forgotten is handed back.

use wherry_proto::frame::{RemovedItem, SealedItem};
use wherry_trust::sealing::secret::{Place, SealedSecret};

use super::{KeyringError, ring::Ring, vault::Id};

/// Newer secrets that are handed back to a controller that has forgotten them, in one report.
const MOST_HANDED_BACK: usize = 5;

impl Ring {
    /// Keeps what holds; whether everything could be kept or was refused for good.
    pub(super) fn take_secrets(&mut self, items: &[SealedItem]) -> Result<bool, KeyringError> {
        for item in items {
            match self.take_secret(item) {
                Ok(()) => {}
                // Disk trouble passes; what does not hold will not hold later.
                Err(KeyringError::File(error)) => {
                    self.note(&KeyringError::File(error));
                    return Ok(false);
                }
                Err(error) => {
                    tracing::warn!(
                        environment = %item.environment, secret = %item.name, code = %error.code(), %error,
                        "refused a sealed secret"
                    );
                    self.note(&error);
                }
            }
        }
        Ok(true)
    }

    fn take_secret(&mut self, item: &SealedItem) -> Result<(), KeyringError> {
        let Some(roster) = &self.roster else { return Ok(()) };
        let id = (item.environment.clone(), item.name.clone());
        let secret = SealedSecret::from_json(&item.envelope)?;
        let floor = self.vault.floor(&id);
        if let Some(held) = self.vault.held(&id) {
            if held.version == secret.version() && self.vault.read(&id).is_ok_and(|known| known == secret) {
                self.sent.resealed.remove(&id);
                self.newer.remove(&id);
                return Ok(());
            }
            if secret.version() < held.version {
                // Bounded by what is held.
                self.newer.insert(id.clone());
            }
        }
        let place = Place::secret(self.who.organisation, self.who.group, &item.environment, &item.name);
        secret.check(&place, roster, floor)?;
        self.vault.keep(&id, &secret)?;
        self.sent.resealed.remove(&id);
        self.newer.remove(&id);
        tracing::info!(
            environment = %item.environment, secret = %item.name, version = secret.version(), epoch = secret.epoch(),
            "received a sealed secret"
        );
        Ok(())
    }

    pub(super) fn take_removals(&mut self, items: &[RemovedItem]) -> bool {
        for RemovedItem { environment, name, version } in items {
            let id = (environment.clone(), name.clone());
            if let Err(error) = self.vault.remove(&id, *version) {
                self.note(&error);
                return false;
            }
            if self.vault.held(&id).is_none() {
                self.newer.remove(&id);
            }
        }
        true
    }

    /// Secrets that the controller has an older version of, as after a restore from a backup: a few in each report,
    /// and each once in a session, until they have come back.
    pub(super) fn handed_back(&mut self) -> Vec<SealedItem> {
        let due = self.newer.iter().filter(|id| {
            let (held, said) = (self.vault.held(id), self.sent.resealed.get(*id));
            held.is_some_and(|held| said.is_none_or(|said| *said < held.version))
        });
        let read = due.filter_map(|id| Some(item(id, &self.vault.read(id).ok()?)));
        let sealed: Vec<SealedItem> = read.take(MOST_HANDED_BACK).collect();
        let said = sealed.iter().map(|item| ((item.environment.clone(), item.name.clone()), item.version));
        self.sent.resealed.extend(said);
        sealed
    }
}

/// A secret for the wire.
pub(super) fn item((environment, name): &Id, secret: &SealedSecret) -> SealedItem {
    let (environment, name) = (environment.clone(), name.clone());
    SealedItem { environment, name, version: secret.version(), envelope: secret.to_json() }
}
