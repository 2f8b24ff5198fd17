//! Where `oauth_settings_location` leads, decided over texts alone: no file is touched here.
//!
//! A location is a folder of its own below one of the agent owner's roots. Nothing of it is followed or expanded, so
//! what is decided here is what is opened later: each part by itself, without symbolic links.

use super::spelling::{composed, folded, unfit};

/// Longest location, in bytes. Far below what any system allows for a path with our own names behind it.
const MAX_LOCATION: usize = 1_024;
/// Longest name of one part, in bytes: file systems allow 255, some of them counted in UTF-16.
const MAX_PART: usize = 120;
/// Deepest location below its root.
const MAX_DEPTH: usize = 16;

/// Why a location leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It is not a path as we take them.
    #[error("{0}")]
    Malformed(&'static str),
    /// It leads out of every root, or names a root itself.
    #[error("it is not below one of the folders under oauth.location_roots in the agent's configuration")]
    Outside,
}

/// A folder below which locations may lie, as an absolute path without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Its names as they are on disk.
    parts: Vec<String>,
    /// How else it may be written: as it stands in the configuration.
    alias: Vec<String>,
}

/// All roots; the first is the one that a relative location means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roots(Vec<Root>);

/// A folder below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// Which root.
    pub(super) root: usize,
    /// The names below it, none of them `.` or `..`.
    pub(super) parts: Vec<String>,
    /// Equal for all spellings that may mean the same folder.
    pub(super) key: Key,
}

/// A whole path, folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(String);

impl Key {
    /// Of an absolute path.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut key = String::new();
        for part in parts {
            key.push('/');
            key.push_str(&folded(part));
        }
        Self(key)
    }

    /// Whether two folders are one, or one of them lies inside the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let inside = |inner: &Self, outer: &Self| {
            inner.0.strip_prefix(&outer.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        inside(self, other) || inside(other, self)
    }

    /// As it is kept.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Root {
    /// A root by its path on disk and as it was written. Nothing if one of them is not absolute.
    pub(super) fn new(real: &str, written: &str) -> Option<Self> {
        let parts = |path: &str| Some(clean(path.strip_prefix('/')?)?.iter().map(|part| (*part).to_owned()).collect());
        Some(Self { parts: parts(real)?, alias: parts(written)? })
    }
}

impl Roots {
    /// These, in order.
    pub(super) fn new(roots: Vec<Root>) -> Self {
        Self(roots)
    }

    /// Reads a location.
    ///
    /// # Errors
    /// If it is malformed or leads out of the roots.
    pub(super) fn resolve(&self, given: &str) -> Result<Location, LocationError> {
        let malformed = |reason| Err(LocationError::Malformed(reason));
        if given.is_empty() || given.len() > MAX_LOCATION {
            return malformed("it is empty or longer than 1024 bytes");
        }
        let (root, parts) = match given.strip_prefix('/') {
            Some(absolute) => self.root_of(&clean(absolute).ok_or(LocationError::Outside)?)?,
            None => (0, clean(given).ok_or(LocationError::Outside)?.into_iter().map(composed).collect()),
        };
        let known = self.0.get(root).ok_or(LocationError::Outside)?;
        if parts.is_empty() {
            return Err(LocationError::Outside);
        }
        if parts.len() > MAX_DEPTH || parts.iter().any(|part| part.len() > MAX_PART) {
            return malformed("it is deeper than 16 folders, or one of its names is longer than 120 bytes");
        }
        if let Some(reason) = parts.iter().find_map(|part| unfit(part)) {
            return malformed(reason);
        }
        let key = Key::of(known.parts.iter().chain(&parts).map(String::as_str));
        Ok(Location { root, parts, key })
    }

    /// The root that an absolute path lies in, and what is left of the path.
    fn root_of(&self, path: &[&str]) -> Result<(usize, Vec<String>), LocationError> {
        let below = |root: &[String]| {
            let (head, tail) = path.split_at_checked(root.len())?;
            (head == root && !tail.is_empty()).then(|| tail.iter().map(|part| composed(part)).collect())
        };
        let found = self.0.iter().enumerate().find_map(|(at, root)| {
            let parts = below(&root.parts).or_else(|| below(&root.alias));
            parts.map(|parts: Vec<String>| (at, parts))
        });
        found.ok_or(LocationError::Outside)
    }
}

/// The parts of a path without `.` and `..`; nothing if it climbs above where it began.
fn clean(path: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests;
