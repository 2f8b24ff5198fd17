//! What the site remembers: people, issues, files, and a ledger of every change that a caller made.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::date::{Millis, now};
use super::issue::{Issue, Reference};
use super::people::People;
use super::seed::{self, FIRST_ID};
use crate::ledger::digest;

/// Most issues that callers may create, and most entries of the ledger.
const CAPACITY: usize = 1_000_000;
/// Most bytes of files.
const FILE_BYTES: usize = 256 * 1024 * 1024;

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) people: People,
    seeded: usize,
    /// Seeded issues that somebody changed.
    touched: HashMap<usize, Issue>,
    created: Vec<Issue>,
    /// Positions of created issues by desk and number.
    by_number: HashMap<(u8, usize), usize>,
    /// The highest number of each project.
    numbers: [usize; 3],
    /// Rises with each change.
    version: u64,
    next_id: u64,
    files: BTreeMap<u64, File>,
    ledger: Vec<Entry>,
}

/// An uploaded file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) author: usize,
    pub(crate) created: Millis,
    /// Set while it belongs to no request yet.
    pub(crate) temporary: Option<String>,
}

/// One change that a caller made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    /// Counted from 1.
    n: usize,
    at: String,
    effect: Effect,
    /// The key of the issue.
    issue: String,
    /// The external reference of an issue, else its first label.
    reference: Option<String>,
    /// Of an issue that was created: a digest of what the caller sent for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

/// What a caller did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effect {
    Created,
    Edited,
    Deleted,
    Commented,
    Transitioned,
    Shared,
    Attached,
    Decided,
    Linked,
}

/// The ledger with the figures that tests ask for.
#[derive(Debug, Serialize)]
pub(crate) struct Ledger {
    created: usize,
    comments: usize,
    changes: usize,
    /// References that became more than one issue, with how many: empty if nothing was recorded twice. Issues without
    /// one are known by their content.
    duplicates: BTreeMap<String, usize>,
    entries: Vec<Entry>,
}

/// There is no room for more.
#[derive(Debug)]
pub(crate) struct Full;

impl Memory {
    pub(crate) fn new(people: People, seeded: usize) -> Self {
        Self {
            people,
            seeded,
            touched: HashMap::new(),
            created: Vec::new(),
            by_number: HashMap::new(),
            numbers: [seeded, 0, 0],
            version: 0,
            next_id: 1_000_000_000,
            files: BTreeMap::new(),
            ledger: Vec::new(),
        }
    }

    /// How many issues there are or were.
    pub(crate) fn len(&self) -> usize {
        self.seeded + self.created.len()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The issue at a position, seeded ones first.
    pub(crate) fn at(&self, position: usize) -> Option<Cow<'_, Issue>> {
        let issue = match position.checked_sub(self.seeded) {
            Some(created) => Cow::Borrowed(self.created.get(created)?),
            None => self.touched.get(&position).map_or_else(|| Cow::Owned(seed::request(position)), Cow::Borrowed),
        };
        (!issue.gone).then_some(issue)
    }

    /// Where an issue is.
    pub(crate) fn find(&self, reference: Reference) -> Option<usize> {
        let position = match reference {
            Reference::Key(0, number) if (1..=self.seeded).contains(&number) => number - 1,
            Reference::Key(desk, number) => *self.by_number.get(&(desk, number))?,
            Reference::Id(id) => usize::try_from(id.checked_sub(FIRST_ID)?).ok()?,
        };
        self.at(position).map(|_| position)
    }

    /// Adds an issue; it gets its id and number here.
    pub(crate) fn create(&mut self, mut issue: Issue) -> Result<Cow<'_, Issue>, Full> {
        if self.created.len() >= CAPACITY || self.ledger.len() >= CAPACITY {
            return Err(Full);
        }
        let position = self.len();
        let number = self.numbers.get_mut(usize::from(issue.desk)).ok_or(Full)?;
        *number += 1;
        (issue.id, issue.number) = (FIRST_ID + position as u64, *number);
        self.by_number.insert((issue.desk, issue.number), position);
        self.record(Effect::Created, &issue);
        self.created.push(issue);
        self.at(position).ok_or(Full)
    }

    /// Changes an issue.
    pub(crate) fn change<T>(
        &mut self,
        position: usize,
        effect: Effect,
        change: impl FnOnce(&mut Issue, Millis) -> T,
    ) -> Result<T, Full> {
        if self.ledger.len() >= CAPACITY {
            return Err(Full);
        }
        let issue = match position.checked_sub(self.seeded) {
            Some(created) => self.created.get_mut(created).ok_or(Full)?,
            None => self.touched.entry(position).or_insert_with(|| seed::request(position)),
        };
        let at = now();
        issue.updated = at;
        let result = change(issue, at);
        let issue = issue.clone();
        self.record(effect, &issue);
        Ok(result)
    }

    fn record(&mut self, effect: Effect, issue: &Issue) {
        self.version += 1;
        let at = jiff::Timestamp::now().to_string();
        let reference = issue.reference().map(str::to_owned);
        let content = (effect == Effect::Created).then(|| digest(issue.content()));
        self.ledger.push(Entry { n: self.ledger.len() + 1, at, effect, issue: issue.key(), reference, content });
    }

    /// A number that nothing else has.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Keeps a file.
    pub(crate) fn keep(&mut self, file: File) -> Result<(), Full> {
        let held: usize = self.files.values().map(|file| file.bytes.len()).sum();
        if held + file.bytes.len() > FILE_BYTES {
            return Err(Full);
        }
        self.files.insert(file.id, file);
        Ok(())
    }

    pub(crate) fn file(&self, id: u64) -> Option<&File> {
        self.files.get(&id)
    }

    /// A file that belongs to no request yet becomes a request's.
    pub(crate) fn claim(&mut self, temporary: &str) -> Option<u64> {
        let file = self.files.values_mut().find(|file| file.temporary.as_deref() == Some(temporary))?;
        file.temporary = None;
        Some(file.id)
    }

    pub(crate) fn ledger(&self, with_entries: bool) -> Ledger {
        let mut issues = BTreeMap::<String, usize>::new();
        let count = |effect| self.ledger.iter().filter(|entry| entry.effect == effect).count();
        for entry in self.ledger.iter().filter(|entry| entry.effect == Effect::Created) {
            let by_content = || entry.content.as_ref().map(|content| format!("content {content}"));
            if let Some(record) = entry.reference.clone().or_else(by_content) {
                *issues.entry(record).or_default() += 1;
            }
        }
        let twice = issues.into_iter().filter(|(_, count)| *count > 1);
        Ledger {
            created: count(Effect::Created),
            comments: count(Effect::Commented),
            changes: self.ledger.len(),
            duplicates: twice.collect(),
            entries: if with_entries { self.ledger.clone() } else { Vec::new() },
        }
    }
}
