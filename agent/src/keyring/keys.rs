//! What the rest of the agent sees of the keyring: whether the keys are there, and secrets opened at their use.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use wherry_domain::{
    id::{ConnectionId, GroupId, OrganisationId},
    name::Name,
};
use wherry_proto::frame::KeyringState;
use wherry_trust::{
    keys::{PublicKey, SigningKey},
    sealing::{
        SealingError,
        key::SealingKey,
        left::{self, Matter, Spot},
        roster::Roster,
        secret::{Place, SealedSecret},
    },
};
use zeroize::Zeroizing;

use super::vault;

/// Opens sealed secrets with the keys there are. Clones share them.
#[derive(Clone)]
pub struct Keys {
    dir: PathBuf,
    home: (OrganisationId, GroupId),
    held: Arc<ArcSwap<Held>>,
}

#[derive(Default)]
pub(super) struct Held {
    pub(super) state: KeyringState,
    pub(super) epochs: BTreeMap<u32, Arc<SealingKey>>,
    pub(super) roster: Option<Arc<Roster>>,
}

impl Keys {
    /// None yet; sealed secrets lie below `dir`.
    pub(super) fn new(dir: PathBuf, home: (OrganisationId, GroupId)) -> Self {
        Self { dir, home, held: Arc::default() }
    }

    pub(super) fn are(&self, held: Held) {
        self.held.store(Arc::new(held));
    }

    /// Whether the agent has its group's keys.
    pub fn state(&self) -> KeyringState {
        self.held.load().state
    }

    /// The agent's organisation.
    pub fn organisation(&self) -> OrganisationId {
        self.home.0
    }

    /// Operators of the group's roster, if this agent knows it. Whether it has the group's keys at present is the
    /// controller's doing, which hands them out, and must not change whom it believes.
    pub fn operators(&self) -> Option<Vec<PublicKey>> {
        let held = self.held.load();
        Some(held.roster.as_ref()?.operators().copied().collect())
    }

    /// Where a sealed secret lies, whether there is one or not.
    pub(crate) fn path(&self, environment: &Name, name: &Name) -> PathBuf {
        vault::path(&self.dir, environment, name)
    }

    /// Sealed secrets that can be opened, by environment and name.
    pub(crate) fn names(&self) -> Vec<(Name, Name)> {
        match self.state() {
            KeyringState::Member => vault::listed(&self.dir),
            KeyringState::None | KeyringState::PendingKeys | KeyringState::Removed => Vec::new(),
        }
    }

    /// Opens what lies at [`Keys::path`]. It was verified before it was put there; that it belongs there is checked
    /// again.
    ///
    /// # Errors
    /// [`SealingError::EpochUnknown`] if the key is not here yet.
    pub(crate) fn open(
        &self,
        environment: &Name,
        name: &Name,
        json: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let secret = SealedSecret::from_json(json)?;
        let (organisation, group) = self.home;
        if secret.place() != Place::secret(organisation, group, environment, name) {
            return Err(SealingError::Misplaced);
        }
        let epoch = secret.epoch();
        let held = self.held.load();
        let key = held.epochs.get(&epoch).ok_or(SealingError::EpochUnknown { epoch })?;
        secret.open(key)
    }

    /// Seals tokens of a connection to the group, signed by this agent; `None` if the keys are not here.
    ///
    /// # Errors
    /// If they are too long, or the key is not one.
    pub(crate) fn seal_tokens(
        &self,
        (environment, connection): (&Name, ConnectionId),
        generation: u64,
        plain: &[u8],
        signer: &SigningKey,
    ) -> Result<Option<Vec<u8>>, SealingError> {
        let held = self.held.load();
        let Some(roster) = held.roster.as_ref().filter(|_| held.state == KeyringState::Member) else { return Ok(None) };
        let (organisation, group) = self.home;
        let place = Place::oauth(organisation, group, environment, connection);
        let (epoch, epoch_key) = roster.epoch();
        SealedSecret::seal(&place, generation, epoch, &epoch_key, plain, signer).map(|sealed| Some(sealed.to_json()))
    }

    /// Opens tokens of a connection that a member of the roster sealed, or one that was removed since and sealed them
    /// before: its last copy may be the only one.
    ///
    /// # Errors
    /// If they are for another connection or generation, or nobody of the roster signed them, or the key is not here.
    pub(crate) fn open_tokens(
        &self,
        (environment, connection): (&Name, ConnectionId),
        generation: u64,
        json: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let secret = SealedSecret::from_json(json)?;
        let held = self.held.load();
        let unknown = SealingError::EpochUnknown { epoch: secret.epoch() };
        let (Some(roster), Some(key)) = (held.roster.as_ref(), held.epochs.get(&secret.epoch())) else {
            return Err(unknown);
        };
        let (organisation, group) = self.home;
        secret.check_left_behind(&Place::oauth(organisation, group, environment, connection), roster, generation)?;
        if secret.version() != generation {
            return Err(SealingError::Misplaced);
        }
        secret.open(key)
    }

    /// Seals what this agent leaves with the controller for its group, signed by this agent; `None` if the keys are not
    /// here.
    ///
    /// # Errors
    /// If it is too long, or the key is not one.
    pub(crate) fn seal_left(
        &self,
        matter: Matter,
        name: &str,
        content: &[u8],
        signer: &SigningKey,
    ) -> Result<Option<Vec<u8>>, SealingError> {
        let held = self.held.load();
        let Some(roster) = held.roster.as_ref().filter(|_| held.state == KeyringState::Member) else { return Ok(None) };
        let (epoch, epoch_key) = roster.epoch();
        let spot = Spot { home: self.home, matter, name };
        left::seal_signed(&spot, (epoch, &epoch_key), content, signer).map(Some)
    }

    /// Opens what a member of the roster left.
    ///
    /// # Errors
    /// If it belongs elsewhere, or nobody of the roster signed it, or the key is not here (yet).
    pub(crate) fn open_left(
        &self,
        matter: Matter,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let held = self.held.load();
        let (roster, key) = Self::key_of(&held, sealed)?;
        left::open_signed(&Spot { home: self.home, matter, name }, key, roster, sealed)
    }

    /// Opens what the controller sealed to the group for this agent. Anybody could have sealed it.
    ///
    /// # Errors
    /// As [`Keys::open_left`].
    pub(crate) fn open_given(
        &self,
        matter: Matter,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let held = self.held.load();
        let (_, key) = Self::key_of(&held, sealed)?;
        left::open(&Spot { home: self.home, matter, name }, key, sealed)
    }

    fn key_of<'a>(held: &'a Held, sealed: &[u8]) -> Result<(&'a Roster, &'a SealingKey), SealingError> {
        let epoch = left::epoch_of(sealed).ok_or(SealingError::Malformed("what was left for the group"))?;
        let unknown = SealingError::EpochUnknown { epoch };
        let roster = held.roster.as_deref().ok_or(unknown)?;
        Ok((roster, held.epochs.get(&epoch).ok_or(unknown)?))
    }
}
