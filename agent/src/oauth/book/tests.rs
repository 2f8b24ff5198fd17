//! Tokens on a real disk: kept, moved, damaged, put back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{oauth::place::LocationSettings, paths::DataDir};

#[test]
fn two_generations_are_kept_sealed_and_the_newest_is_found_again() {
    let world = World::new();
    let (mut book, opened) = world.open("");
    assert!(opened.tokens.is_none() && !opened.rolled_back && opened.floor == 0);
    for generation in 1..=5 {
        book.save(&tokens(generation)).unwrap();
    }
    drop(book);
    let files = world.files();
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| !fs::read(file).unwrap().windows(6).any(|bytes| bytes == b"canary")));
    let (_book, opened) = world.open("");
    assert_eq!((opened.tokens.unwrap().generation, opened.floor, opened.doubts), (5, 5, 0));
}

#[test]
fn older_tokens_do_not_replace_newer_ones() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(5)).unwrap();
    book.note(1, true).unwrap();
    assert!(book.save(&tokens(4)).is_err());
    drop(book);
    let (_book, opened) = world.open("");
    assert_eq!((opened.tokens.unwrap().generation, opened.floor, opened.doubts), (5, 5, 2));
}

#[test]
fn a_folder_put_back_from_a_backup_is_noticed() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(1)).unwrap();
    let old = world.files().pop().unwrap();
    let backup = fs::read(&old).unwrap();
    (2..=4).for_each(|generation| book.save(&tokens(generation)).unwrap());
    drop(book);
    world.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    assert!(world.open("").1.rolled_back, "nothing is left");
    fs::write(&old, &backup).unwrap();
    let (_book, opened) = world.open("");
    assert!(opened.rolled_back && opened.tokens.is_none() && opened.floor == 4);
    // Under the newest name it does not open either.
    fs::rename(&old, old.with_file_name(name(4))).unwrap();
    drop(_book);
    assert!(world.open("").1.rolled_back);
}

#[test]
fn a_damaged_file_is_not_used_at_any_position() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(1)).unwrap();
    drop(book);
    let file = world.files().pop().unwrap();
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(world.open("").1.rolled_back, "bit at {at}");
    }
    fs::write(&file, &good).unwrap();
    assert!(!world.open("").1.rolled_back);
}

#[test]
fn a_request_that_was_under_way_is_remembered_and_new_tokens_settle_it() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(1)).unwrap();
    book.note(0, true).unwrap();
    drop(book);
    let (mut book, opened) = world.open("");
    assert_eq!(opened.doubts, 1);
    book.note(1, false).unwrap();
    drop(book);
    assert_eq!(world.open("").1.doubts, 1);
    let (mut book, _) = world.open("");
    book.note(1, true).unwrap();
    // The new file is there, its mark is not: the process died between the two.
    book.put(&tokens(2)).unwrap();
    drop(book);
    let (_book, opened) = world.open("");
    assert_eq!((opened.tokens.unwrap().generation, opened.doubts, opened.rolled_back), (2, 0, false));
}

#[test]
fn a_request_is_remembered_also_by_a_process_whose_predecessor_died_before_its_mark() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(1)).unwrap();
    book.note(0, true).unwrap();
    let other = Tokens { seed: [2; 32], ..tokens(2) };
    book.put(&other).unwrap();
    drop(book);
    let (mut book, opened) = world.open("");
    assert_eq!((opened.doubts, opened.seed), (0, Some([2; 32])), "new values are not made tokens of once more");
    book.note(0, true).unwrap();
    drop(book);
    let (mut book, opened) = world.open("");
    assert_eq!((opened.tokens.unwrap().generation, opened.doubts), (2, 1));
    book.note(1, true).unwrap();
    drop(book);
    assert_eq!(world.open("").1.doubts, 2);
}

#[test]
fn tokens_move_with_their_location_and_leave_nothing_behind() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(3)).unwrap();
    drop(book);
    for location in ["jira", "other/jira", ""] {
        let (book, opened) = world.open(location);
        assert_eq!(opened.tokens.map(|tokens| tokens.generation), Some(3), "{location:?}");
        assert!(!opened.rolled_back);
        drop(book);
        assert_eq!(world.files().len(), 1, "{location:?}");
    }
}

#[test]
fn tokens_that_somebody_else_holds_are_not_given_up() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(3)).unwrap();
    let places = Places::open(&DataDir::new(world.dir.path()), LocationSettings { enabled: true, roots: Vec::new() });
    let path = "prod/desk/jira".parse().unwrap();
    let moved = Book::open(&places.unwrap(), Arc::clone(&world.key), &path, "jira");
    assert!(matches!(moved, Err(PlaceError::Busy(_))));
    drop(book);
    assert_eq!(world.open("jira").1.tokens.map(|tokens| tokens.generation), Some(3));
}

#[test]
fn forgotten_tokens_do_not_come_back() {
    let world = World::new();
    let (mut book, _) = world.open("");
    book.save(&tokens(1)).unwrap();
    let file = world.files().pop().unwrap();
    let backup = fs::read(&file).unwrap();
    book.forget().unwrap();
    drop(book);
    assert!(world.files().is_empty());
    fs::write(&file, backup).unwrap();
    let (_book, opened) = world.open("");
    assert!(opened.tokens.is_none() && opened.floor == 2 && !opened.rolled_back);
}

struct World {
    dir: tempfile::TempDir,
    key: Arc<LocalKey>,
}

impl World {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: Arc::new(LocalKey::generate().unwrap()) }
    }

    fn open(&self, location: &str) -> (Book, Opened) {
        let settings = LocationSettings { enabled: true, roots: Vec::new() };
        let places = Places::open(&DataDir::new(self.dir.path()), settings).unwrap();
        Book::open(&places, Arc::clone(&self.key), &"prod/desk/jira".parse().unwrap(), location).unwrap()
    }

    /// Files with tokens, wherever they are.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.file_name().unwrap().to_string_lossy().starts_with(PREFIX) {
            found.push(path);
        }
    }
}

fn tokens(generation: u64) -> Tokens {
    Tokens {
        generation,
        access: Some("canary-access".into()),
        refresh: Some("canary-refresh".into()),
        obtained_ms: 1,
        expires_ms: Some(2),
        scope: String::new(),
        label: String::new(),
        cloud_id: String::new(),
        seed: [1; 32],
    }
}
