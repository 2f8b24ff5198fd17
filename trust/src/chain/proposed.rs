//! From what is believed to what may be believed next.
//!
//! [`Believed::propose`] checks the documents, [`Proposed::supply`] the releases that their locks newly name, and
//! [`Proposed::finish`] gives what is to be kept in one durable write. Until then nothing has changed.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::digest::Digest;
use wherry_domain::id::OrganisationId;
use wherry_domain::lock::{Lock, Locked};
use wherry_domain::name::Name;

use super::believed::{held_lock, judge};
use super::{
    Believed, ChainError, Document, Held, Index, Keys, Level, PublishersList, envelope, follows, level, step, timely,
};
use crate::dsse::{Envelope, Limits};
use crate::keys::{PublicKey, sha256};

/// Most locks in a catalogue: as many environments as an organisation may have, which one group may serve alone.
const MAX_LOCKS: usize = 1_000;
/// Most environments whose locks are remembered, those that are gone included: a bound for who makes them up.
const MAX_REMEMBERED: usize = 10_000;
/// Most bytes of releases that one catalogue brings: ten times those of the largest honest one.
const MAX_SUPPLIED: usize = 16 << 20;

/// A catalogue as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Documents<'a> {
    /// The publishers list.
    pub publishers: &'a [u8],
    /// The index.
    pub index: &'a [u8],
    /// A lock per environment.
    pub locks: &'a [Vec<u8>],
}

/// What the receiver knows beside the documents.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Operators of its group's roster, if it is a member: then nobody else is one.
    pub roster: Option<Vec<PublicKey>>,
    /// Its clock, Unix milliseconds.
    pub now_ms: u64,
}

/// A release that has to be at hand before the catalogue can be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The connector.
    pub name: Name,
    /// What the lock says of it.
    pub locked: Locked,
}

/// Documents that hold; their new releases have yet to be seen.
#[derive(Debug)]
pub struct Proposed {
    next: Believed,
    wanted: BTreeMap<Digest, Vec<Judged>>,
    changed: BTreeSet<Name>,
    /// Bytes of the releases so far.
    supplied: usize,
}

#[derive(Debug)]
struct Judged {
    name: Name,
    locked: Locked,
    /// A lock that follows none is taken over although one of its releases may not run: the others must be able to.
    must_hold: bool,
}

impl Believed {
    /// Checks a catalogue against what is believed.
    ///
    /// # Errors
    /// The first thing that is wrong with it. Nothing is believed of a catalogue that has one fault.
    pub fn propose(&self, documents: &Documents<'_>, context: &Context) -> Result<Proposed, ChainError> {
        if documents.locks.len() > MAX_LOCKS {
            return Err(ChainError::Malformed { document: Document::Lock, what: "there are too many environments" });
        }
        let now_ms = context.now_ms.max(self.newest_ms);
        let publishers = self.next_publishers(documents.publishers, context)?;
        let list = &publishers.document;
        timely(Document::Publishers, (list.issued_ms.min(now_ms), list.expires_ms), now_ms)?;
        let index = self.next_index(documents.index, &publishers, context)?;
        timely(Document::Index, (index.document.issued_ms.min(now_ms), index.document.expires_ms), now_ms)?;
        let operators = context.roster.clone().unwrap_or_else(|| list.operators.clone());
        let keys = Keys { catalogue: list.catalogue_keys.clone(), operators };
        let newest_ms = self.newest_ms.max(list.issued_ms).max(index.document.issued_ms);
        let next = Self { publishers: Some(publishers), index: Some(index), newest_ms, ..self.clone() };
        let mut proposed = Proposed { next, wanted: BTreeMap::new(), changed: BTreeSet::new(), supplied: 0 };
        for json in documents.locks {
            proposed.lock(self, json, &keys)?;
        }
        if proposed.next.locks.len() > MAX_REMEMBERED {
            return Err(ChainError::Malformed { document: Document::Lock, what: "there were too many environments" });
        }
        Ok(proposed)
    }

    fn next_publishers(&self, json: &[u8], context: &Context) -> Result<Held<PublishersList>, ChainError> {
        let document = Document::Publishers;
        let (envelope, payload) = envelope(document, json)?;
        let list: PublishersList = super::parsed(document, &payload)?;
        list.check()?;
        if list.organisation != context.organisation {
            return Err(ChainError::Foreign(document));
        }
        let known = self.publishers.as_ref();
        // An operator who left since does not unsay what was believed of them.
        if let Some(known) = known.filter(|known| known.digest == sha256(&payload)) {
            return Ok(known.clone());
        }
        let believed = known.map_or(&list, |held| held.document.as_ref());
        // Who has named operators once is not asked again; who has not, believes the first list that names some.
        let named = if believed.operators.is_empty() { &list.operators } else { &believed.operators };
        let operators = context.roster.as_ref().unwrap_or(named).clone();
        let signer = level(document, &envelope, &Keys { catalogue: believed.catalogue_keys.clone(), operators })?;
        // Whoever took over a controller may have run its versions up and filled its revocations: operators begin anew.
        let known = known.filter(|known| known.level >= signer);
        if let Some(known) = known {
            follows(document, (known.document.version, known.digest), (list.version, &payload))?;
            if known.level > signer {
                return Err(ChainError::Downgraded);
            }
        }
        if signer == Level::Controller && !list.operators.is_empty() {
            return Err(ChainError::SignerUnknown(document));
        }
        timely(document, (list.issued_ms, u64::MAX), context.now_ms)?;
        // What was revoked stays so, also where a controller was restored from a copy that does not know of it.
        let mut list = list;
        list.revoked_keys.extend(known.into_iter().flat_map(|known| &known.document.revoked_keys));
        list.check()?;
        Ok(Held::new(list, signer, envelope, &payload))
    }

    fn next_index(
        &self,
        json: &[u8],
        list: &Held<PublishersList>,
        context: &Context,
    ) -> Result<Held<Index>, ChainError> {
        let document = Document::Index;
        let (envelope, payload) = envelope(document, json)?;
        let keys = Keys { catalogue: list.document.catalogue_keys.clone(), operators: Vec::new() };
        let signer = level(document, &envelope, &keys)?;
        let mut index: Index = super::parsed(document, &payload)?;
        index.check()?;
        if let Some(known) = self.index.as_ref().filter(|known| !disowned(document, known, list)) {
            if !follows(document, (known.document.version, known.digest), (index.version, &payload))? {
                return Ok(known.clone());
            }
            index.revoked.extend(&known.document.revoked);
            index.check()?;
        }
        timely(document, (index.issued_ms, u64::MAX), context.now_ms)?;
        Ok(Held::new(index, signer, envelope, &payload))
    }
}

impl Proposed {
    fn lock(&mut self, before: &Believed, json: &[u8], keys: &Keys) -> Result<(), ChainError> {
        let document = Document::Lock;
        let (envelope, payload) = envelope(document, json)?;
        let offered: Lock = super::parsed(document, &payload)?;
        let environment = offered.environment.clone();
        let known = before.locks.get(&environment);
        if known.is_some_and(|known| known.digest == sha256(&payload)) {
            return Ok(());
        }
        let list = self.next.publishers.as_ref();
        let owned = known.filter(|known| !list.is_some_and(|list| disowned(document, known, list)));
        if let Some(known) = owned {
            follows(document, (known.document.version, known.digest), (offered.version, &payload))?;
        }
        let signer = level(document, &envelope, keys)?;
        let held = held_lock(&payload, signer, envelope)?;
        let (Some(publishers), Some(index)) = (&self.next.publishers, &self.next.index) else { return Ok(()) };
        let (publishers, index) = (publishers.document.clone(), index.document.clone());
        if index.version < held.document.index {
            let (needed, found) = (held.document.index, index.version);
            return Err(ChainError::IndexOlder { environment, needed, found });
        }
        if let Some(known) = known {
            step(&known.document, &held.document, signer)
                .map_err(|error| ChainError::Step { environment: environment.clone(), error: Box::new(error) })?;
        }
        for (name, locked, must_hold) in entries(known.map(|known| known.document.as_ref()), &held.document) {
            if !index.lists(&name, &locked) {
                return Err(ChainError::Unlisted { name, version: locked.version });
            }
            if must_hold && index.revoked.contains(&locked.release) {
                return Err(ChainError::Revoked { name, version: locked.version });
            }
            match self.next.releases.get(&locked.release) {
                Some(envelope) if must_hold => drop(judge(&publishers, &index, (&name, &locked), envelope)?),
                Some(_) => (),
                None => self.wanted.entry(locked.release).or_default().push(Judged { name, locked, must_hold }),
            }
        }
        self.changed.insert(environment.clone());
        self.next.locks.insert(environment, held);
        Ok(())
    }

    /// The releases to be fetched, by their digest.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        let first = |judged: &Vec<Judged>| judged.first().map(|one| (one.name.clone(), one.locked.clone()));
        self.wanted.values().filter_map(first).map(|(name, locked)| Wanted { name, locked }).collect()
    }

    /// Takes the signed release with the digest that was wanted.
    ///
    /// # Errors
    /// If it is another one, or may not run where a lock newly names it.
    pub fn supply(&mut self, wanted: &Wanted, json: &[u8]) -> Result<(), ChainError> {
        let Wanted { name, locked } = wanted;
        self.supplied = self.supplied.saturating_add(json.len());
        if self.supplied > MAX_SUPPLIED {
            return Err(ChainError::TooLarge);
        }
        let limits = Limits::default();
        let unreadable =
            |error: crate::dsse::DsseError| ChainError::Release { name: name.clone(), error: Box::new(error.into()) };
        let envelope = Envelope::from_json(json, &limits).map_err(unreadable)?;
        let payload = envelope.decode_payload(limits.payload).map_err(unreadable)?;
        if sha256(&payload) != locked.release {
            return Err(ChainError::Differs { name: name.clone(), what: "digest" });
        }
        let (Some(publishers), Some(index)) = (&self.next.publishers, &self.next.index) else { return Ok(()) };
        for one in self.wanted.get(&locked.release).into_iter().flatten().filter(|one| one.must_hold) {
            judge(&publishers.document, &index.document, (&one.name, &one.locked), &envelope)?;
        }
        self.wanted.remove(&locked.release);
        self.next.releases.insert(locked.release, envelope);
        Ok(())
    }

    /// The environments whose locks move.
    #[must_use]
    pub fn changed(&self) -> &BTreeSet<Name> {
        &self.changed
    }

    /// What is believed from now on, once it is kept.
    ///
    /// # Errors
    /// [`ChainError::ReleaseMissing`] if a release was not supplied.
    pub fn finish(mut self) -> Result<Believed, ChainError> {
        if let Some(one) = self.wanted.values().flatten().next() {
            return Err(ChainError::ReleaseMissing(one.name.clone()));
        }
        let locks = self.next.locks.values().map(|held| held.document.as_ref());
        let named: BTreeSet<_> = locks
            .flat_map(|lock| lock.connectors.values().chain(lock.trials.values()))
            .map(|one| one.release)
            .collect();
        self.next.releases.retain(|digest, _| named.contains(digest));
        Ok(self.next)
    }
}

/// Whether a document was signed by a controller whose key operators do not name any more: its version and what it
/// revoked bind nobody. After a theft of the key, agents could not come back otherwise. See The Update Framework,
/// 5.3.11, on recovering from fast-forward attacks.
fn disowned<T>(document: Document, held: &Held<T>, list: &Held<PublishersList>) -> bool {
    let keys = Keys { catalogue: list.document.catalogue_keys.clone(), operators: Vec::new() };
    list.level == Level::Operator && held.level == Level::Controller && level(document, &held.envelope, &keys).is_err()
}

/// What the lock names that the one before did not, and whether it has to be sound.
fn entries(before: Option<&Lock>, after: &Lock) -> Vec<(Name, Locked, bool)> {
    let known = |name: &Name, locked: &Locked| {
        before.is_some_and(|before| {
            let entries = [before.connectors.get(name), before.trials.get(name)];
            entries.into_iter().flatten().any(|one| one.release == locked.release && one.approved == locked.approved)
        })
    };
    let all = after.connectors.iter().chain(&after.trials);
    let news = all.filter(|(name, locked)| !known(name, locked));
    news.map(|(name, locked)| (name.clone(), locked.clone(), before.is_some())).collect()
}
