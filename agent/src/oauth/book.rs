//! What an agent keeps of a connection's tokens: two generations, and a mark beside them that says which is the newest.
//!
//! The tokens lie in the connection's folder, the mark in the data folder, so that a folder put back from a backup is
//! noticed: its refresh token was used already, and using it again would end the consent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wherry_domain::connection::ConnectionPath;
use wherry_trust::seal_local::LocalKey;

use super::{
    folder::{Folder, FolderError},
    place::{Place, PlaceError, Places, id},
    tokens::{Tokens, hex, unhex},
};

const PREFIX: &str = "tokens-";
/// More than the two generations that are kept, and what stands beside them.
const MOST_FILES: usize = 32;

/// The tokens of one connection on disk.
pub(super) struct Book {
    connection: ConnectionPath,
    key: Arc<LocalKey>,
    place: Place,
    marks: Folder,
    mark: Mark,
}

/// What a book held when it was opened.
pub(super) struct Opened {
    /// The newest tokens.
    pub(super) tokens: Option<Tokens>,
    /// The newest generation that there ever was.
    pub(super) floor: u64,
    /// Requests with the newest refresh token whose end is not known.
    pub(super) doubts: u8,
    /// Digest of the settings and values that were last made tokens of.
    pub(super) seed: Option<[u8; 32]>,
    /// There were newer tokens than are there now.
    pub(super) rolled_back: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// The newest generation.
    generation: u64,
    /// Outcomes that are unknown, and whether a request is under way.
    doubts: u8,
    posting: bool,
    /// A person took the consent back.
    #[serde(default)]
    forgotten: bool,
    /// Seed of the newest values, as hexadecimal digits; empty for none.
    #[serde(default)]
    seed: String,
    /// The location as it was given.
    #[serde(default)]
    place: String,
}

impl Book {
    pub(super) fn open(
        places: &Places,
        key: Arc<LocalKey>,
        connection: &ConnectionPath,
        location: &str,
    ) -> Result<(Self, Opened), PlaceError> {
        let marks = places.shared("marks")?;
        let mark = read_mark(&marks, &key, connection)?;
        let moved = mark.as_ref().is_some_and(|mark| mark.place != location && mark.generation > 0);
        let brought = match &mark {
            Some(mark) if moved => bring(places, &key, connection, &mark.place)?,
            Some(_) | None => None,
        };
        let place = places.place(connection, location)?;
        let mut book = Self { connection: connection.clone(), key, place, marks, mark: mark.unwrap_or_default() };
        if let Some((tokens, old)) = brought {
            book.put(&tokens)?;
            book.mark.place = location.to_owned();
            book.write_mark()?;
            old.remove(&name(tokens.generation))?;
        }
        let opened = book.read()?;
        Ok((book, opened))
    }

    /// Forgets the tokens of a connection wherever they are, if there are any.
    pub(super) fn forget_unopened(
        places: &Places,
        key: Arc<LocalKey>,
        connection: &ConnectionPath,
    ) -> Result<(), PlaceError> {
        let Some(mark) = read_mark(&places.shared("marks")?, &key, connection)? else { return Ok(()) };
        let (mut book, _) = Self::open(places, key, connection, &mark.place)?;
        Ok(book.forget()?)
    }

    /// Keeps tokens, durably: nothing of them may be used before this returns.
    pub(super) fn save(&mut self, tokens: &Tokens) -> Result<(), FolderError> {
        if tokens.generation < self.mark.generation {
            return Err(FolderError::refused("replace", self.place.folder.path(), "the tokens in it are newer"));
        }
        self.put(tokens)?;
        let place = self.place.chosen.clone();
        self.mark = Mark { generation: tokens.generation, seed: hex(&tokens.seed), place, ..Mark::default() };
        self.write_mark()?;
        for old in self.generations()?.into_iter().filter(|old| old.saturating_add(1) < tokens.generation) {
            self.place.folder.remove(&name(old))?;
        }
        Ok(())
    }

    /// Writes down how many outcomes are unknown, and whether a request with the newest refresh token begins.
    pub(super) fn note(&mut self, doubts: u8, posting: bool) -> Result<(), FolderError> {
        (self.mark.doubts, self.mark.posting) = (doubts, posting);
        self.write_mark()
    }

    /// Forgets the tokens, and not which was the newest.
    pub(super) fn forget(&mut self) -> Result<(), FolderError> {
        (self.mark.doubts, self.mark.posting, self.mark.forgotten) = (0, false, true);
        self.mark.generation = self.mark.generation.saturating_add(1);
        self.write_mark()?;
        self.generations()?.into_iter().try_for_each(|old| self.place.folder.remove(&name(old)))
    }

    fn read(&mut self) -> Result<Opened, FolderError> {
        let newest = self.generations()?.into_iter().max().unwrap_or(0);
        let tokens = if newest == 0 { None } else { open(&self.place.folder, &self.key, &self.connection, newest)? };
        let found = tokens.as_ref().map_or(0, |tokens| tokens.generation);
        let stale = found < self.mark.generation.max(newest);
        let tokens = tokens.filter(|_| !stale);
        if let Some(tokens) = tokens.as_ref().filter(|tokens| tokens.generation > self.mark.generation) {
            // The process died between the two. The file settles what went before, and from here on the mark has to
            // speak of it: a request noted under an older generation would be forgotten with the next death.
            let (generation, seed, place) = (tokens.generation, hex(&tokens.seed), self.place.chosen.clone());
            self.mark = Mark { generation, seed, place, ..Mark::default() };
            self.write_mark()?;
        }
        Ok(Opened {
            floor: self.mark.generation.max(newest),
            doubts: self.mark.doubts.saturating_add(u8::from(self.mark.posting)),
            seed: unhex(&self.mark.seed).or_else(|| tokens.as_ref().map(|tokens| tokens.seed)),
            tokens,
            rolled_back: stale && !self.mark.forgotten,
        })
    }

    fn put(&self, tokens: &Tokens) -> Result<(), FolderError> {
        let folder = &self.place.folder;
        let sealed = self.key.seal(&associated(&self.connection, tokens.generation), &tokens.encode());
        let sealed = sealed.map_err(|_| FolderError::refused("seal", folder.path(), "the tokens are too large"))?;
        folder.write(&name(tokens.generation), &sealed)
    }

    fn write_mark(&self) -> Result<(), FolderError> {
        let text = serde_json::to_vec(&self.mark).unwrap_or_default();
        let sealed = self.key.seal(&associated(&self.connection, 0), &text);
        let sealed = sealed.map_err(|_| FolderError::refused("seal", self.marks.path(), "no randomness"))?;
        self.marks.write(&id(&self.connection).to_string(), &sealed)
    }

    fn generations(&self) -> Result<Vec<u64>, FolderError> {
        generations(&self.place.folder)
    }
}

fn read_mark(marks: &Folder, key: &LocalKey, connection: &ConnectionPath) -> Result<Option<Mark>, FolderError> {
    let Some(sealed) = marks.read(&id(connection).to_string())? else { return Ok(None) };
    let unreadable = || FolderError::refused("open", marks.path(), "its mark was changed or belongs to another key");
    let text = key.open(&associated(connection, 0), &sealed).map_err(|_| unreadable())?;
    serde_json::from_slice(&text).map(Some).map_err(|_| unreadable())
}

/// The newest tokens out of the place that the connection had before.
fn bring(
    places: &Places,
    key: &LocalKey,
    connection: &ConnectionPath,
    location: &str,
) -> Result<Option<(Tokens, Folder)>, PlaceError> {
    let old = match places.place(connection, location) {
        Ok(old) => old,
        // Its tokens are there, and somebody else's for now.
        Err(PlaceError::Busy(folder)) => return Err(PlaceError::Busy(folder)),
        // The old place may be gone, or no longer allowed: then its tokens are.
        Err(
            PlaceError::Off
            | PlaceError::Location(..)
            | PlaceError::Root(..)
            | PlaceError::Shared { .. }
            | PlaceError::Taken(_)
            | PlaceError::Open(_)
            | PlaceError::TooMany
            | PlaceError::Folder(_)
            | PlaceError::File(_),
        ) => return Ok(None),
    };
    let newest = generations(&old.folder)?.into_iter().max().unwrap_or(0);
    let tokens = if newest == 0 { None } else { open(&old.folder, key, connection, newest)? };
    Ok(tokens.map(|tokens| (tokens, old.folder)))
}

/// Tokens of that generation; nothing if they are damaged or another connection's.
fn open(
    folder: &Folder,
    key: &LocalKey,
    connection: &ConnectionPath,
    generation: u64,
) -> Result<Option<Tokens>, FolderError> {
    let Some(sealed) = folder.read(&name(generation))? else { return Ok(None) };
    let Ok(plain) = key.open(&associated(connection, generation), &sealed) else { return Ok(None) };
    Ok(Tokens::decode(&plain).filter(|tokens| tokens.generation == generation))
}

fn generations(folder: &Folder) -> Result<Vec<u64>, FolderError> {
    let names = folder.names(MOST_FILES)?;
    Ok(names.iter().filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok()).collect())
}

fn name(generation: u64) -> String {
    format!("{PREFIX}{generation:020}")
}

/// Binds a file to its connection and generation: moved or renamed it does not open.
fn associated(connection: &ConnectionPath, generation: u64) -> Vec<u8> {
    format!("wherry/oauth/v1/{connection}/{generation}").into_bytes()
}

#[cfg(test)]
mod tests;
