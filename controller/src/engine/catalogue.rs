//! Change control of connectors: the publishers list, the index and the environments' locks, signed and kept.
//!
//! The controller believes nothing that agents would not: whatever it signs or is handed goes through the very checks
//! that agents make, against what was in force before.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use wherry_daemon::store::{MAX_VALUE_BYTES, Store, StoreError, record};
use wherry_domain::{
    epoch::Epoch,
    failure::Code,
    id::{AgentId, GroupId},
    lock::Lock,
    name::Name,
    time::Timestamp,
};
use wherry_proto::{
    MAX_FRAME,
    frame::{Catalogue as Frame, FromController},
};
use wherry_trust::{
    chain::{Believed, ChainError, Context, Documents, Level},
    dsse::{Envelope, Limits},
    keys::PublicKey,
};

use super::{Kind, Refusal, Turn, load::definitions, state::State};
use crate::{
    ca::CatalogueKey,
    model::{CatalogueVersions, RevokedKeys, SCHEMA, SignedDocument},
};

mod index;
mod locks;
mod people;
mod publishers;
mod revoked;
mod room;

pub use people::{PublishersView, RevokedPublisher};
pub(super) use {publishers::named_already, revoked::is_signed_by};

/// How often the controller signs anew what it signs itself, in milliseconds: each day.
const SIGN_EACH_MS: u64 = 86_400_000;
/// By how much versions rise with each restore from a copy: more than were signed since any copy that is worth
/// restoring, and a tenth of what agents accept at once.
const RESTORE_RISE: u64 = 100_000;
/// After what time signing is tried again that failed.
const AGAIN: Duration = Duration::from_secs(60);
/// Largest catalogue that a group is told, in bytes: a frame, without what stands around as many locks as there can be.
const MAX_CATALOGUE: usize = MAX_FRAME - (16 << 10);
/// Kinds of definitions.
const PUBLISHERS: &str = "catalogue-publishers";
const LOCK: &str = "lock";
const LOCK_BEFORE: &str = "lock-before";
const VERSIONS: &str = "catalogue-versions";
const REVOKING: &str = "catalogue-revoking";
/// Key of what there is one of.
const ONLY: &str = "organisation";

/// What the writer knows of change control.
pub(super) struct Catalogue {
    key: CatalogueKey,
    believed: Believed,
    versions: CatalogueVersions,
    /// The lock before the one in force, by environment: agents that were away still run on it.
    before: BTreeMap<Name, Arc<Lock>>,
    /// Releases that the index lists beside the newest ones, for locks that are being decided; the oldest first.
    drafted: VecDeque<(Name, semver::Version)>,
    /// Publishers' keys that the next list revokes; stored, because it may be long until that one can be signed.
    revoking: BTreeSet<PublicKey>,
    /// Under which keys releases are marked as revoked; not known before the first time.
    judged: Option<revoked::Judged>,
    /// How many versions of each connector the index lists beside what locks name; not known before one was signed.
    newest: Option<usize>,
    /// What has to be signed anew.
    stale: Stale,
    /// Whether agents have to be told.
    untold: bool,
    documents_failed: Failed,
    locks_failed: Failed,
}

/// Why signing failed the last time, and until when nobody but a person tries again.
#[derive(Default)]
struct Failed {
    why: Option<Refusal>,
    retry_at: Timestamp,
}

impl Failed {
    fn waits(&self, now: Timestamp) -> bool {
        self.why.is_some() && now < self.retry_at
    }

    /// A person asked for something that has to be signed.
    fn try_at_once(&mut self) {
        self.retry_at = Timestamp::default();
    }

    /// Remembers how it went, and says so in the log if that is news.
    fn note(&mut self, why: Option<Refusal>, now: Timestamp, what: &str) {
        if let Some(refusal) = why.as_ref().filter(|refusal| self.why.as_ref() != Some(*refusal)) {
            tracing::error!(%refusal, "{what}");
        }
        (self.why, self.retry_at) = (why, now.plus(AGAIN));
    }
}

/// What changed since it was signed.
#[derive(Clone, Copy)]
struct Stale {
    publishers: bool,
    index: bool,
    /// Environments may lack a lock, or have one that agents would take for an old one.
    locks: bool,
}

/// Reads everything back.
pub(super) fn load(store: &dyn Store, key: CatalogueKey) -> Result<Catalogue, StoreError> {
    let damaged = |error: ChainError| StoreError::Record { type_name: "Catalogue", reason: error.to_string().into() };
    let pair = |signed: SignedDocument| (signed.level, signed.envelope);
    let publishers = definitions(store, PUBLISHERS)?.into_iter().next().map(pair);
    let locks = definitions(store, LOCK)?.into_iter().map(pair).collect();
    let earlier = definitions(store, LOCK_BEFORE)?.into_iter().map(pair).collect();
    let revoking: RevokedKeys = definitions(store, REVOKING)?.into_iter().next().unwrap_or_default();
    let versions: CatalogueVersions = definitions(store, VERSIONS)?.into_iter().next().unwrap_or_default();
    let believed = Believed::restore(publishers, locks, Vec::new()).map_err(damaged)?;
    let before = Believed::restore(None, earlier, Vec::new()).map_err(damaged)?;
    let before = before.locks().map(|held| (held.document.environment.clone(), Arc::clone(&held.document))).collect();
    let lost = believed.publishers().is_some_and(|held| !held.document.catalogue_keys.contains(&key.public()));
    if lost {
        tracing::error!(
            "the catalogue key is not the one that agents know: restore ca/catalogue.key from a backup, or, if it was \
             replaced on purpose, have an operator run `wherry publisher sign`"
        );
    }
    let stale = Stale { publishers: true, index: true, locks: true };
    Ok(Catalogue {
        key,
        believed,
        versions,
        before,
        drafted: VecDeque::new(),
        revoking: revoking.keys,
        judged: None,
        newest: None,
        stale,
        untold: false,
        documents_failed: Failed::default(),
        locks_failed: Failed::default(),
    })
}

impl State {
    /// Operators in the roster of a group; none if it has no roster.
    fn operators_of(&self, group: GroupId) -> Option<Vec<PublicKey>> {
        let roster = self.keyrings.get(&group).and_then(|keyring| keyring.roster())?;
        Some(roster.operators().copied().collect())
    }

    /// Operators whose signature counts for deployments of a group: those of its roster, or else of the publishers list.
    pub(super) fn deployment_signers(&self, group: GroupId) -> Vec<PublicKey> {
        let listed = || self.catalogue.believed.publishers().map(|held| held.document.operators.clone());
        self.operators_of(group).or_else(listed).unwrap_or_default()
    }
}

impl Turn<'_> {
    /// Signs anew what is old, and tells agents of what changed.
    pub(super) fn tick_catalogue(&mut self) {
        self.refresh_if_due();
        if std::mem::take(&mut self.state.catalogue.untold) {
            let mut told: BTreeMap<GroupId, Option<Frame>> = BTreeMap::new();
            let live = self.state.agents.iter().filter_map(|(id, state)| {
                let session = state.session.as_ref().filter(|session| session.catalogue)?;
                let group = state.agent.group;
                let frame = told.entry(group).or_insert_with(|| self.catalogue_for(group)).clone()?;
                Some((*id, session.epoch, FromController::Catalogue(frame)))
            });
            let frames: Vec<_> = live.collect();
            self.out.frames.extend(frames);
        }
    }

    /// Tells an agent that just came.
    pub(super) fn tell_catalogue(&mut self, agent: AgentId, epoch: Epoch, group: GroupId) {
        let knows = self.state.agents.get(&agent).and_then(|state| state.session.as_ref());
        if knows.is_some_and(|session| session.catalogue) {
            self.refresh_if_due();
            let frame = self.catalogue_for(group).map(|frame| (agent, epoch, FromController::Catalogue(frame)));
            self.out.frames.extend(frame);
        }
    }

    /// What agents of a group are told; nothing if it is more than they would take.
    pub(super) fn catalogue_for(&self, group: GroupId) -> Option<Frame> {
        let frame = self.frame_of(&self.state.catalogue.believed, group)?;
        if !fits(&frame) {
            let bytes = bytes(&frame);
            tracing::error!(%group, bytes, "the group's catalogue is larger than {MAX_CATALOGUE}: agents are not told");
            return None;
        }
        Some(frame)
    }

    fn frame_of(&self, believed: &Believed, group: GroupId) -> Option<Frame> {
        let (publishers, index) = (believed.publishers()?.json(), believed.index()?.json());
        let served = self.state.environments.values().filter(|environment| environment.group == group);
        let locks = served.filter_map(|environment| believed.lock(&environment.name)).map(|held| held.json());
        Some(Frame { publishers, index, locks: locks.collect() })
    }

    /// Makes sure that there are documents, fresh ones, and a lock for each environment. A person asks.
    pub(super) fn refresh_catalogue(&mut self) {
        // The log says why not.
        let _ = self.sign_now();
    }

    /// As [`Turn::refresh_catalogue`]; says why documents cannot be signed.
    fn sign_now(&mut self) -> Result<(), Refusal> {
        let signed = self.refresh_documents(false);
        let now = self.now;
        let why = signed.as_ref().err().cloned();
        self.state.catalogue.documents_failed.note(why, now, "the catalogue of connectors cannot be signed");
        if signed.is_ok() {
            self.refresh_locks();
        }
        signed
    }

    /// As [`Turn::refresh_catalogue`], for each turn: what failed is left alone for a while.
    fn refresh_if_due(&mut self) {
        if !self.state.catalogue.documents_failed.waits(self.now) {
            self.refresh_catalogue();
        }
    }

    /// Signs the publishers list and the index anew where they are old or changed; the index in any case, if `index`.
    fn refresh_documents(&mut self, index: bool) -> Result<(), Refusal> {
        let catalogue = &self.state.catalogue;
        let aged = catalogue.believed.index().is_none_or(|held| self.is_aged(held.document.issued_ms));
        let due = index || aged || catalogue.stale.index;
        let publishers = if due || catalogue.stale.publishers { self.next_publishers() } else { None };
        if !due && publishers.is_none() {
            self.state.catalogue.stale.publishers = false;
            return Ok(());
        }
        let key = catalogue.key.clone();
        let list = publishers.map(|list| list.sign(key.signing()).map(|envelope| envelope.to_json())).transpose();
        let list = list.map_err(|error| refused(&error))?;
        let index = if due { Some(self.signed_index(list.as_deref(), index)?) } else { None };
        let (version, index) = index.unzip();
        let believed = self.believable(list.as_deref(), index.as_deref(), (&[], None))?;
        if let Some(list) = &list {
            self.keep_signed((PUBLISHERS, ONLY), Level::Controller, list)?;
        }
        self.state.catalogue.stale.publishers = false;
        self.state.catalogue.stale.index &= !due;
        self.state.catalogue.believed = believed;
        self.revoked_in_list();
        self.state.catalogue.untold = true;
        if let Some(version) = version {
            self.index_is(version);
        }
        Ok(())
    }

    /// An index of this version is in force: no other one gets it.
    fn index_is(&mut self, version: u64) {
        self.state.catalogue.versions.index = version;
        let versions = self.state.catalogue.versions;
        self.define(VERSIONS, ONLY, &versions);
    }

    /// Whatever is signed has a higher version than this.
    fn version_floor(&self) -> u64 {
        RESTORE_RISE.saturating_mul(u64::from(self.state.generation))
    }

    fn is_aged(&self, issued_ms: u64) -> bool {
        self.wall_ms.saturating_sub(issued_ms) >= SIGN_EACH_MS
    }

    /// Checks documents as agents of a group will, and gives what is believed then. What is not given stays.
    fn believable(
        &self,
        publishers: Option<&[u8]>,
        index: Option<&[u8]>,
        (locks, group): (&[Vec<u8>], Option<GroupId>),
    ) -> Result<Believed, Refusal> {
        let believed = &self.state.catalogue.believed;
        let kept = |json: Option<Vec<u8>>| json.unwrap_or_default();
        let publishers = publishers.map_or_else(|| kept(believed.publishers().map(|held| held.json())), <[u8]>::to_vec);
        let index = index.map_or_else(|| kept(believed.index().map(|held| held.json())), <[u8]>::to_vec);
        let roster = group.and_then(|group| self.state.operators_of(group));
        let context = Context { organisation: self.state.organisation, roster, now_ms: self.wall_ms };
        let documents = Documents { publishers: &publishers, index: &index, locks };
        let mut proposed = believed.propose(&documents, &context).map_err(|error| refused(&error))?;
        for wanted in proposed.wanted() {
            let versions = self.state.connectors.get(&wanted.name);
            let found = versions.and_then(|versions| versions.get(&wanted.locked.version));
            let envelope = found.map_or(&[][..], |connector| connector.envelope.as_bytes());
            let supplied = proposed.supply(&wanted, envelope);
            supplied.map_err(|error| self.explained(&wanted, refused(&error)))?;
        }
        proposed.finish().map_err(|error| refused(&error))
    }

    /// Keeps a document.
    fn keep_signed(&mut self, (kind, key): (&str, &str), level: Level, json: &[u8]) -> Result<(), Refusal> {
        let envelope = Envelope::from_json(json, &Limits { payload: MAX_VALUE_BYTES, ..Limits::default() });
        let envelope = envelope.map_err(|error| Refusal::conflict("envelope.malformed", error.to_string()))?;
        let signed = SignedDocument { level, envelope };
        if record::encode(SCHEMA, &signed).is_ok_and(|bytes| bytes.len() > MAX_VALUE_BYTES) {
            let message = format!("the signed document has more than {MAX_VALUE_BYTES} bytes: use fewer connectors");
            return Err(Refusal::conflict("catalogue.too_large", message));
        }
        self.define(kind, key, &signed);
        Ok(())
    }
}

fn bytes(frame: &Frame) -> usize {
    frame.publishers.len() + frame.index.len() + frame.locks.iter().map(Vec::len).sum::<usize>()
}

fn fits(frame: &Frame) -> bool {
    bytes(frame) <= MAX_CATALOGUE
}

fn refused(error: &ChainError) -> Refusal {
    let code: Code = error.code();
    Refusal { code, ..Refusal::new(Kind::Conflict, "catalogue.malformed", error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_signed_is_left_alone_for_a_minute_unless_a_person_asks() {
        let start = Timestamp::default().plus(Duration::from_secs(1_000));
        let mut failed = Failed::default();
        assert!(!failed.waits(start));
        failed.note(Some(Refusal::conflict("catalogue.too_large", "too much")), start, "it cannot be signed");
        assert!(failed.waits(start.plus(Duration::from_secs(59))));
        assert!(!failed.waits(start.plus(AGAIN)));
        failed.try_at_once();
        assert!(!failed.waits(start));
        failed.note(None, start, "it cannot be signed");
        assert!(!failed.waits(start));
    }

    #[test]
    fn a_catalogue_of_very_many_locks_stays_below_a_frame() {
        let frame = |bytes: usize| Frame { publishers: Vec::new(), index: vec![0; bytes], locks: Vec::new() };
        assert!(fits(&frame(MAX_CATALOGUE)) && !fits(&frame(MAX_CATALOGUE + 1)));
        // Each document takes a tag and its length, which is below 2 MiB.
        const { assert!(MAX_CATALOGUE + 1_002 * 4 < MAX_FRAME) };
    }
}
