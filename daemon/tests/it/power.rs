//! Power loss, by a model of the disk: only what was synced surely survives.
//!
//! A preloaded shim notes every change the victim makes to its files. From that note one of two
//! disks is made: one that kept nothing unsynced, or one that kept any part of it, in any order,
//! torn at sectors. Names (creations, renames, removals) become durable in their order, at the
//! latest with a sync of their folder.
//! `WHERRY_POWER_TRIALS` sets the number of trials.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    crash::{History, let_run, victim},
    support::{Random, setting},
};

const SECTOR: u64 = 512;

/// What becomes of writes that were never synced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unsynced {
    Lost,
    Any,
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(shim) = compile(scratch.path()) else {
        println!("skipped: there is no C compiler to build the power-loss shim with");
        return;
    };
    let seed = setting("WHERRY_SEED", 1);
    for trial in 0..setting("WHERRY_POWER_TRIALS", 4) {
        let mut random = Random(seed + trial);
        let size = [600, 16_000, 60_000, 5_000][trial as usize % 4];
        let unsynced = if (trial + trial / 4) % 2 == 0 { Unsynced::Any } else { Unsynced::Lost };
        let acknowledged = lose_power_twice(&shim, size, unsynced, &mut random);
        println!("trial {trial}: {size} byte values, unsynced {unsynced:?}: {acknowledged} acknowledged, none lost");
    }
}

/// Two cuts, so that the second falls on a store that recovered from the first.
fn lose_power_twice(shim: &Path, size: usize, unsynced: Unsynced, random: &mut Random) -> usize {
    let scratch = tempfile::tempdir().unwrap();
    let mut dir = scratch.path().join("0");
    let mut history = History::default();
    for cut in 0..2 {
        let log = scratch.path().join(format!("log{cut}"));
        let mut disk = Disk::read(&dir);
        let environment = [
            ("LD_PRELOAD", shim.to_str().unwrap()),
            ("SHIM_PREFIX", dir.to_str().unwrap()),
            ("SHIM_LOG", log.to_str().unwrap()),
        ];
        let mut victim = victim(&dir, history.next_start(), size, &environment);
        let_run(&mut victim, Duration::from_millis(200 + random.below(400)));
        history.add(victim);
        disk.replay(&fs::read(&log).unwrap());
        let after = scratch.path().join((cut + 1).to_string());
        disk.write(&dir, &after, unsynced, random);
        let copy = scratch.path().join("verified");
        copy_folder(&after, &copy);
        history.verify(&copy);
        fs::remove_dir_all(&copy).unwrap();
        dir = after;
    }
    history.acknowledged.len()
}

fn compile(dir: &Path) -> Option<PathBuf> {
    let shim = dir.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shim.c");
    let compiler =
        Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).arg("-lpthread").status();
    match compiler {
        Ok(status) => {
            assert!(status.success(), "the shim does not compile");
            Some(shim)
        }
        Err(_) => None,
    }
}

/// The files as a disk holds them.
#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, Content>,
    /// Changes of names since their folder was synced, oldest first.
    names: Vec<Named>,
}

/// A change of names and what it takes to undo it.
enum Named {
    Created(PathBuf),
    Removed(PathBuf, Content),
    Moved { from: PathBuf, to: PathBuf, replaced: Option<Content> },
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl Disk {
    /// Everything below `dir` counts as synced.
    fn read(dir: &Path) -> Self {
        let mut disk = Self::default();
        for path in files_below(dir) {
            let synced = fs::read(&path).unwrap();
            disk.files.insert(path, Content { synced, unsynced: Vec::new() });
        }
        disk
    }

    fn undo_last_name(&mut self) {
        match self.names.pop() {
            Some(Named::Created(path)) => drop(self.files.remove(&path)),
            Some(Named::Removed(path, content)) => drop(self.files.insert(path, content)),
            Some(Named::Moved { from, to, replaced }) => {
                let moved = self.files.remove(&to).unwrap_or_default();
                self.files.insert(from, moved);
                self.files.extend(replaced.map(|content| (to, content)));
            }
            None => {}
        }
    }

    fn replay(&mut self, mut log: &[u8]) {
        while let Some(entry) = Entry::next(&mut log) {
            match entry.kind {
                b'C' if !self.files.contains_key(&entry.path) => {
                    self.files.insert(entry.path.clone(), Content::default());
                    self.names.push(Named::Created(entry.path));
                }
                b'C' => {}
                b'W' => {
                    self.files.entry(entry.path).or_default().unsynced.push(Change::Write(entry.offset, entry.data))
                }
                b'T' => self.files.entry(entry.path).or_default().unsynced.push(Change::Truncate(entry.offset)),
                b'S' => match self.files.get_mut(&entry.path) {
                    Some(content) => content.sync(),
                    None => self.names.retain(|name| name.folder() != Some(entry.path.as_path())),
                },
                b'M' => {
                    let moved = self.files.remove(&entry.path).unwrap_or_default();
                    let replaced = self.files.insert(entry.second.clone(), moved);
                    self.names.push(Named::Moved { from: entry.path, to: entry.second, replaced });
                }
                b'U' => {
                    let content = self.files.remove(&entry.path).unwrap_or_default();
                    self.names.push(Named::Removed(entry.path, content));
                }
                kind => panic!("the shim noted {kind}"),
            }
        }
    }

    /// Makes the folder `to` what is left of `from`.
    fn write(mut self, from: &Path, to: &Path, unsynced: Unsynced, random: &mut Random) {
        let kept = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Any => random.below(self.names.len() as u64 + 1) as usize,
        };
        while self.names.len() > kept {
            self.undo_last_name();
        }
        fs::create_dir_all(to.join("engine/blobs")).unwrap();
        for (path, mut content) in self.files {
            if unsynced == Unsynced::Any {
                content.keep_some(random);
            }
            let path = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.synced).unwrap();
        }
    }
}

impl Named {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Created(path) | Self::Removed(path, _) | Self::Moved { to: path, .. } => path.parent(),
        }
    }
}

impl Content {
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.synced, change);
        }
    }

    /// Keeps each unsynced change, loses it, or keeps some of its sectors.
    fn keep_some(&mut self, random: &mut Random) {
        for change in std::mem::take(&mut self.unsynced) {
            match (change, random.below(3)) {
                (_, 0) => {}
                (Change::Write(offset, data), 1) => {
                    let mut at = 0;
                    while at < data.len() {
                        let end = (at + (SECTOR - (offset + at as u64) % SECTOR) as usize).min(data.len());
                        if random.below(2) == 0 {
                            apply(&mut self.synced, Change::Write(offset + at as u64, data[at..end].to_vec()));
                        }
                        at = end;
                    }
                }
                (change, _) => apply(&mut self.synced, change),
            }
        }
    }
}

fn apply(content: &mut Vec<u8>, change: Change) {
    match change {
        Change::Truncate(length) => content.resize(length as usize, 0),
        Change::Write(offset, data) => {
            let (from, to) = (offset as usize, offset as usize + data.len());
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(&data);
        }
    }
}

/// One entry of the shim's log; see there.
struct Entry {
    kind: u8,
    path: PathBuf,
    second: PathBuf,
    offset: u64,
    data: Vec<u8>,
}

impl Entry {
    /// `None` at the end, or where the kill cut the last entry short.
    fn next(log: &mut &[u8]) -> Option<Self> {
        let mut rest = *log;
        let mut take = |length: usize| -> Option<&[u8]> {
            let (taken, left) = rest.split_at_checked(length)?;
            rest = left;
            Some(taken)
        };
        let kind = take(1)?[0];
        let path_length = u32::from_ne_bytes(take(4)?.try_into().unwrap());
        let second_length = u32::from_ne_bytes(take(4)?.try_into().unwrap());
        let offset = u64::from_ne_bytes(take(8)?.try_into().unwrap());
        let length = u64::from_ne_bytes(take(8)?.try_into().unwrap());
        let mut path = |length: u32| take(length as usize).map(|bytes| PathBuf::from(str::from_utf8(bytes).unwrap()));
        let (path, second) = (path(path_length)?, path(second_length)?);
        let data = take(length as usize)?.to_vec();
        *log = rest;
        Some(Self { kind, path, second, offset, data })
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Copies a folder, so that looking at it does not change it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
