//! What an operator is about to sign: the lock that the controller sends, compared with what was asked for and with the
//! last lock that was signed here. A signature is worth nothing if it covers what nobody read.
//!
//! Agents believe an operator's lock whatever it says, so this is the only place where a controller that lies about a
//! move is found out.

use std::collections::BTreeSet;

use semver::Version;
use wherry_domain::lock::{Lock, Locked, Mode};
use wherry_domain::name::Name;
use wherry_trust::chain::{Level, MAX_RISE, grown, speaks_of_auth, step};

use crate::text::plain;

/// A move as the person asked for it, and as the plan showed it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) environment: Name,
    pub(crate) connector: Name,
    pub(crate) action: Action,
    /// The version that was named, if one was.
    pub(crate) version: Option<Version>,
    /// The version that the plan says everyone has.
    pub(crate) from: Option<Version>,
    /// The version that the plan says comes.
    pub(crate) to: Version,
    /// Capabilities that the plan says are added.
    pub(crate) added: BTreeSet<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Another version for everyone.
    Upgrade,
    /// Another version for a share of the attempts.
    Canary,
    /// An earlier version.
    Rollback,
    /// To stay.
    Pin,
    /// To follow the publisher again.
    Unpin,
}

/// What a person is told of a lock that is what was asked for, as far as anybody can tell here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// What becomes of the connector, and who moves the environment's lock from now on; the whole lock if none was
    /// signed here before.
    pub(crate) says: Vec<String>,
    /// What changed since the last lock that was signed here, within what the controller may do by itself.
    pub(crate) since: Vec<String>,
    /// What differs from that lock and nobody here asked for.
    pub(crate) unasked: Vec<String>,
}

/// Compares a lock with what was asked for, and with the `last` one that was signed here.
///
/// # Errors
/// How it is not what was asked for.
pub(crate) fn judge(asked: &Asked, lock: &Lock, last: Option<&Lock>) -> Result<Judged, String> {
    let moved = asked.moved(lock)?;
    let mut judged = Judged { says: vec![mode(lock)], ..Judged::default() };
    let Some(last) = last else {
        judged.says.extend(lock.connectors.iter().map(|(name, locked)| entry("connector", name, locked)));
        judged.says.extend(lock.trials.iter().map(|(name, locked)| entry("on trial: connector", name, locked)));
        return Ok(judged);
    };
    if let Some(moved) = moved {
        judged.says.push(entry("connector", &asked.connector, moved));
        judged.compare_moved(asked, moved, last)?;
    }
    judged.compare_numbers(lock, last);
    let names: BTreeSet<&Name> = [&lock.connectors, &lock.trials, &last.connectors, &last.trials]
        .into_iter()
        .flat_map(|all| all.keys())
        .collect();
    for name in names {
        let before = Side::of(last, name);
        let after = if *name == asked.connector { asked.unmoved(lock, before) } else { Side::of(lock, name) };
        judged.compare(last, name, (before, after));
    }
    Ok(judged)
}

impl Asked {
    /// Whether the connector keeps its version.
    fn stays(&self) -> bool {
        self.from.as_ref() == Some(&self.to)
    }

    /// The entry that comes anew, if one does.
    ///
    /// # Errors
    /// How the lock is for something else than was asked for.
    fn moved<'a>(&self, lock: &'a Lock) -> Result<Option<&'a Locked>, String> {
        let Self { connector: name, to, .. } = self;
        if lock.environment != self.environment {
            return Err(format!("its lock is for environment {}", lock.environment));
        }
        if let Some(version) = self.version.as_ref().filter(|version| *version != to) {
            return Err(format!("it goes to {to} where {version} was asked for"));
        }
        let tried = self.action == Action::Canary && !self.stays();
        let everyone = if tried { self.from.as_ref() } else { Some(to) };
        let (entry, trial) = (lock.connectors.get(name), lock.trials.get(name));
        let entry = entry.ok_or_else(|| format!("its lock has no connector {name}"))?;
        if everyone != Some(&entry.version) {
            return Err(format!("its lock has {name} {}", entry.version));
        }
        let trial_version = trial.map(|trial| &trial.version);
        if trial_version != tried.then_some(to) {
            let tries = trial_version.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            return Err(format!("its lock tries {tries} of {name}"));
        }
        let moves = !self.stays() || (self.action == Action::Rollback && self.version.is_some());
        let moved = if tried { trial } else { Some(entry).filter(|_| moves) };
        let pinned = match self.action {
            Action::Upgrade | Action::Canary => moved.map(|_| false),
            Action::Rollback => moved.map(|_| true),
            Action::Pin => Some(true),
            Action::Unpin => Some(false),
        };
        if pinned.is_some_and(|pinned| moved.unwrap_or(entry).pinned != pinned) {
            return Err(format!("its lock {} {name}", if pinned == Some(true) { "does not pin" } else { "pins" }));
        }
        match self.action {
            Action::Upgrade | Action::Canary if self.from.as_ref().is_some_and(|from| from > to) => {
                Err(format!("an upgrade does not go down to {to}"))
            }
            Action::Pin | Action::Unpin if !self.stays() => Err(format!("a pin does not move {name} to {to}")),
            Action::Upgrade | Action::Canary | Action::Rollback | Action::Pin | Action::Unpin => Ok(moved),
        }
    }

    /// What the lock says of the connector, without what was asked for.
    fn unmoved<'a>(&self, lock: &'a Lock, before: Side<'a>) -> Side<'a> {
        let after = Side::of(lock, &self.connector);
        match (self.action, self.stays()) {
            // Whatever was tried before has to be settled by now.
            (Action::Canary, false) => Side { trial: None, ..after },
            (Action::Upgrade | Action::Rollback, false) => before,
            (Action::Rollback, true) if self.version.is_some() => before,
            (Action::Pin | Action::Unpin, _) => Side { pin_aside: true, ..after },
            (Action::Upgrade | Action::Canary | Action::Rollback, true) => after,
        }
    }
}

/// What a lock says of one connector.
#[derive(Clone, Copy)]
struct Side<'a> {
    entry: Option<&'a Locked>,
    trial: Option<&'a Locked>,
    /// Whether the pin was asked for.
    pin_aside: bool,
}

impl<'a> Side<'a> {
    fn of(lock: &'a Lock, name: &Name) -> Self {
        Self { entry: lock.connectors.get(name), trial: lock.trials.get(name), pin_aside: false }
    }

    /// The entry, with the pin that it had before where another one was asked for.
    fn entry(&self, before: &Side<'_>) -> Option<Locked> {
        let pinned = before.entry.filter(|_| self.pin_aside).map(|before| before.pinned);
        self.entry.map(|entry| Locked { pinned: pinned.unwrap_or(entry.pinned), ..entry.clone() })
    }
}

impl Judged {
    /// What comes anew: the bytes that are known under its version, and what it may.
    fn compare_moved(&mut self, asked: &Asked, moved: &Locked, last: &Lock) -> Result<(), String> {
        let name = &asked.connector;
        let known = [last.connectors.get(name), last.trials.get(name)].into_iter().flatten();
        if known.clone().any(|known| known.version == moved.version && !same_bytes(known, moved)) {
            return Err(format!("its lock has other bytes as {name} {}", moved.version));
        }
        let more = |known: &Locked| {
            let agreed = known.approved.union(&asked.added).cloned().collect();
            grown(&moved.approved, &agreed).iter().map(|one| plain(one)).collect::<Vec<_>>()
        };
        // A trial that became everyone's was agreed to when it began.
        let more = known.clone().map(more).min_by_key(Vec::len).unwrap_or_default();
        if known.clone().any(|known| speaks_of_auth(&known.approved)) && !speaks_of_auth(&moved.approved) {
            self.unasked.push(format!("{name} may authenticate in any way"));
        }
        let Some(entry) = last.connectors.get(name) else {
            match &asked.from {
                // It is new here: what it may was just told.
                None => (),
                Some(from) => self.unasked.push(format!("{name} {from} was in no lock that was signed here")),
            }
            return Ok(());
        };
        let unmoved = asked.from.as_ref() == Some(&entry.version);
        match (&asked.from, more.is_empty()) {
            (_, false) if unmoved => return Err(format!("its lock lets {name} have {}", more.join(", "))),
            (_, true) if unmoved => return Ok(()),
            (_, _) => self.unasked.extend(more.iter().map(|one| format!("{name} may have {one}"))),
        }
        let from = asked.from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let line = format!("{name} was {} in the last lock that was signed here, not {from}", entry.version);
        let raised = |from: &Version| *from > entry.version && from.major == entry.version.major;
        let settled = |from: &Version| last.trials.get(name).is_some_and(|trial| trial.version == *from);
        let by_itself = last.mode == Mode::Automatic && asked.from.as_ref().is_some_and(raised);
        if by_itself || asked.from.as_ref().is_some_and(settled) {
            self.since.push(line);
        } else {
            self.unasked.push(line);
        }
        Ok(())
    }

    fn compare_numbers(&mut self, lock: &Lock, last: &Lock) {
        match (last.mode, lock.mode) {
            (Mode::Automatic, Mode::Automatic) | (Mode::Held, Mode::Held) => (),
            (Mode::Automatic, Mode::Held) => self.since.push("the environment is held now".to_owned()),
            (Mode::Held, Mode::Automatic) => {
                self.unasked.push("the environment is held no more: the controller moves its connectors".to_owned());
            }
        }
        for (what, old, new, least) in [
            ("lock", last.version, lock.version, last.version.saturating_add(1)),
            ("index", last.index, lock.index, last.index),
        ] {
            if new < least || new > old.saturating_add(MAX_RISE) {
                self.unasked.push(format!("the number of the {what} goes from {old} to {new}"));
            }
        }
    }

    /// One connector as it was and as it is to be.
    fn compare(&mut self, last: &Lock, name: &Name, (before, after): (Side<'_>, Side<'_>)) {
        let new = after.entry(&before);
        let mut lines = differences(name, "connector", before.entry, new.as_ref());
        lines.extend(differences(name, "trial of connector", before.trial, after.trial));
        if lines.is_empty() {
            return;
        }
        let only = |entry: Option<&Locked>, trial: Option<&Locked>| Lock {
            connectors: entry.map(|one| (name.clone(), one.clone())).into_iter().collect(),
            trials: trial.map(|one| (name.clone(), one.clone())).into_iter().collect(),
            ..last.clone()
        };
        let (before, after) = (only(before.entry, before.trial), only(new.as_ref(), after.trial));
        match step(&before, &after, Level::Controller) {
            Ok(()) => self.since.extend(lines),
            Err(_) => self.unasked.extend(lines),
        }
    }
}

fn same_bytes(one: &Locked, other: &Locked) -> bool {
    (one.release, one.wasm, one.length) == (other.release, other.wasm, other.length)
}

/// What differs between two entries of one connector, a line each.
fn differences(name: &Name, what: &str, old: Option<&Locked>, new: Option<&Locked>) -> Vec<String> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (None, Some(new)) => return vec![format!("new: {}", entry(what, name, new))],
        (Some(old), None) => return vec![format!("gone: {what} {name} {}", old.version)],
        (Some(old), Some(new)) => (old, new),
    };
    let mut lines = Vec::new();
    if old.version != new.version {
        lines.push(format!("{what} {name} goes from {} to {}", old.version, new.version));
    } else if !same_bytes(old, new) {
        lines.push(format!("{what} {name} {} is other bytes, {}", new.version, new.wasm));
    }
    if old.pinned != new.pinned {
        lines.push(format!("{what} {name} is {}", if new.pinned { "pinned" } else { "pinned no more" }));
    }
    lines.extend(new.approved.difference(&old.approved).map(|one| format!("{what} {name} may have {}", plain(one))));
    let less = old.approved.difference(&new.approved);
    lines.extend(less.map(|one| format!("{what} {name} may not have {} any more", plain(one))));
    lines
}

/// An entry in one line.
fn entry(what: &str, name: &Name, locked: &Locked) -> String {
    let pinned = if locked.pinned { ", pinned" } else { "" };
    let approved: Vec<String> = locked.approved.iter().map(|one| plain(one)).collect();
    let may = if approved.is_empty() { String::new() } else { format!("; it may have {}", approved.join(", ")) };
    format!("{what} {name} {}{pinned}, {}{may}", locked.version, locked.wasm)
}

fn mode(lock: &Lock) -> String {
    let who = match lock.mode {
        Mode::Automatic => "automatic, the controller moves it within bounds",
        Mode::Held => "held, only operators move it",
    };
    format!("lock {} of {}: {who}", lock.version, lock.environment)
}

#[cfg(test)]
mod tests;
