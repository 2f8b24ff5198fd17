//! Opening sled so that a half-written or damaged file never keeps the process down.
//!
//! sled 0.34.7 takes a snapshot file it was killed while writing for the newest one and then will
//! not open at all; removing it is safe, because a rename is its commit point. Removing every
//! snapshot is safe too: sled rebuilds them from its log.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ENGINE_FOLDER, OpenReport, StoreError, StoreOptions, TALLY_KEY, envelope, filesystem, lock::FolderLock, mark,
    quarantine, tally::Tally,
};

/// Fixed when a store is created. Messages above a quarter of it become files that sled never
/// syncs; with 64 KiB values and up to 17 of them in a page, 8 MiB stays clear of that.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// How long to wait for threads of an earlier attempt inside this process to let go of sled's own
/// lock.
const LET_GO_ATTEMPTS: u32 = 40;
const LET_GO_PAUSE: Duration = Duration::from_millis(50);

/// An open engine.
pub(super) struct Opened {
    pub(super) db: ::sled::Db,
    pub(super) report: OpenReport,
    pub(super) engine_dir: PathBuf,
    pub(super) tally: Tally,
    pub(super) lock: FolderLock,
}

/// How one attempt ended.
enum Attempt {
    Opened(Box<::sled::Db>, Tally),
    /// The files are not what they should be.
    Damaged(String),
    /// Something else is wrong; moving files would make it worse.
    Refused(String),
}

/// Takes the folder and opens the engine in it, repairing or setting aside what is damaged.
pub(super) fn open(options: &StoreOptions) -> Result<Opened, StoreError> {
    let dir = &options.dir;
    filesystem::create_private(dir)?;
    let mut report = OpenReport { warnings: filesystem::check(dir)?.into_iter().collect(), ..OpenReport::default() };
    let lock = FolderLock::take(dir)?;
    let engine_dir = dir.join(ENGINE_FOLDER);
    filesystem::create_private(&engine_dir)?;
    report.guard_hits = remove_half_written(&engine_dir)?;
    set_damaged_settings_aside(dir, &engine_dir, &mut report)?;
    let expected = mark::read(&engine_dir).unwrap_or(0);
    let attempt = || attempt(&engine_dir, options.cache_bytes);
    let (db, mut tally) = open_or_set_aside(options, &engine_dir, &mut report, attempt)?;
    report.lost_changes = expected.saturating_sub(tally.sequence);
    make_durable(dir, &engine_dir)?;
    // Counting on from where acknowledged changes ended, the loss is reported again until the first
    // commit after it.
    tally.sequence = tally.sequence.max(expected);
    Ok(Opened { db, report, engine_dir, tally, lock })
}

/// Up to three attempts: as it is, without snapshots, and from nothing.
fn open_or_set_aside(
    options: &StoreOptions,
    engine_dir: &Path,
    report: &mut OpenReport,
    mut attempt: impl FnMut() -> Attempt,
) -> Result<(::sled::Db, Tally), StoreError> {
    let refused = |reason: String| StoreError::Open { path: options.dir.clone(), reason: reason.into() };
    let reason = match attempt() {
        Attempt::Opened(db, tally) => return Ok((*db, tally)),
        Attempt::Refused(reason) => return Err(refused(reason)),
        Attempt::Damaged(reason) => reason,
    };
    let snapshots = snapshots(engine_dir)?;
    let reason = if snapshots.is_empty() {
        reason
    } else {
        report.quarantined.push(quarantine::take(&options.dir, &snapshots, &reason)?);
        match attempt() {
            Attempt::Opened(db, tally) => return Ok((*db, tally)),
            Attempt::Refused(reason) => return Err(refused(reason)),
            Attempt::Damaged(reason) => reason,
        }
    };
    report.quarantined.push(quarantine::take(&options.dir, &[engine_dir.to_owned()], &reason)?);
    report.emptied = true;
    filesystem::create_private(engine_dir)?;
    match attempt() {
        Attempt::Opened(db, tally) => Ok((*db, tally)),
        Attempt::Refused(reason) | Attempt::Damaged(reason) => Err(refused(reason)),
    }
}

/// Opens once; patient only with sled's own lock, which nobody but this process can hold.
fn attempt(engine_dir: &Path, cache_bytes: u64) -> Attempt {
    for _ in 0..LET_GO_ATTEMPTS {
        let ended = attempt_once(engine_dir, cache_bytes);
        if !matches!(&ended, Attempt::Refused(reason) if reason.contains("could not acquire lock")) {
            return ended;
        }
        #[expect(clippy::disallowed_methods, reason = "sled tells nobody when its threads let go")]
        std::thread::sleep(LET_GO_PAUSE);
    }
    attempt_once(engine_dir, cache_bytes)
}

fn attempt_once(engine_dir: &Path, cache_bytes: u64) -> Attempt {
    let config = ::sled::Config::new()
        .path(engine_dir)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(cache_bytes)
        // The committer flushes; segments are cleaned by writers too (measured: the file grows no
        // faster), and sled's thread would only swallow the errors of its own syncs.
        .flush_every_ms(None);
    // The first read belongs to opening: a tree without a readable root is not open.
    let work = std::panic::AssertUnwindSafe(|| {
        let db = config.open()?;
        let tally = db.get(TALLY_KEY)?;
        Ok((db, tally))
    });
    let (db, stored) = match std::panic::catch_unwind(work) {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return classify(&error),
        Err(panic) => return Attempt::Damaged(crate::tasks::panic_text(panic.as_ref())),
    };
    // Without a readable tally the audit says that the content differs from what it should be.
    let tally = stored.as_deref().and_then(|stored| envelope::open(TALLY_KEY, stored).ok());
    Attempt::Opened(Box::new(db), tally.and_then(Tally::from_bytes).unwrap_or_default())
}

/// Damage is what no repetition can heal; a full disk or a missing permission is not damage.
fn classify(error: &::sled::Error) -> Attempt {
    let text = error.to_string();
    match error {
        ::sled::Error::Corruption { .. } | ::sled::Error::ReportableBug(_) | ::sled::Error::CollectionNotFound(_) => {
            Attempt::Damaged(text)
        }
        ::sled::Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Attempt::Damaged(text),
        ::sled::Error::Io(_) | ::sled::Error::Unsupported(_) => Attempt::Refused(text),
    }
}

/// Removes snapshot files that sled was killed while writing.
fn remove_half_written(engine_dir: &Path) -> Result<u64, StoreError> {
    let mut removed = 0;
    for path in snapshots(engine_dir)? {
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn snapshots(engine_dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listing = fs::read_dir(engine_dir).map_err(StoreError::io("list", engine_dir))?;
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(StoreError::io("list", engine_dir))?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// sled only warns about a settings file that fails its checksum and then may panic over it. Its
/// content is known, so sled can write it anew.
fn set_damaged_settings_aside(dir: &Path, engine_dir: &Path, report: &mut OpenReport) -> Result<(), StoreError> {
    let path = engine_dir.join("conf");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let intact = bytes
        .split_last_chunk::<4>()
        .is_some_and(|(body, crc)| !body.is_empty() && crc32fast::hash(body) == u32::from_le_bytes(*crc));
    if !intact {
        report.quarantined.push(quarantine::take(dir, &[path], "the engine's settings file is damaged")?);
    }
    Ok(())
}

/// sled never syncs the folder its files are created in.
fn make_durable(dir: &Path, engine_dir: &Path) -> Result<(), StoreError> {
    let settings = engine_dir.join("conf");
    fs::File::open(&settings).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &settings))?;
    filesystem::sync_folder(engine_dir)?;
    filesystem::sync_folder(dir)?;
    let Some(parent) = dir.canonicalize().ok().and_then(|dir| dir.parent().map(Path::to_owned)) else { return Ok(()) };
    match filesystem::sync_folder(&parent) {
        // Whoever may not read the parent did not create the folder in it either.
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_not_open_twice_is_set_aside_whole_and_an_empty_store_opened() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(dir.path());
        let engine_dir = dir.path().join(ENGINE_FOLDER);
        fs::create_dir(&engine_dir).unwrap();
        for name in ["db", "snap.1", "snap.2"] {
            fs::write(engine_dir.join(name), name).unwrap();
        }
        let mut report = OpenReport::default();
        let mut seen = Vec::new();
        let opened = open_or_set_aside(&options, &engine_dir, &mut report, || {
            let mut names: Vec<_> =
                fs::read_dir(&engine_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            seen.push(names.len());
            if seen.len() < 3 {
                return Attempt::Damaged(format!("attempt {}", seen.len()));
            }
            attempt_once(&engine_dir, 1 << 20)
        });
        assert_eq!((opened.unwrap().1, seen), (Tally::default(), vec![3, 1, 0]));
        assert!(report.emptied);
        let [snapshots, whole] = report.quarantined.as_slice() else { panic!("{report:?}") };
        assert_eq!((snapshots.reason.as_str(), whole.reason.as_str()), ("attempt 1", "attempt 2"));
        assert_eq!(fs::read_to_string(snapshots.to.join("snap.2")).unwrap(), "snap.2");
        assert_eq!(fs::read_to_string(whole.to.join("engine/db")).unwrap(), "db");
    }

    #[test]
    fn a_reason_that_is_not_damage_moves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(dir.path());
        let engine_dir = dir.path().join(ENGINE_FOLDER);
        // sled wants a file of this name.
        fs::create_dir_all(engine_dir.join("db")).unwrap();
        fs::write(engine_dir.join("snap.1"), b"kept").unwrap();
        let error = open(&options).map(|opened| opened.report).unwrap_err();
        assert_eq!(error.code(), "store.cannot_open");
        assert!(engine_dir.join("snap.1").exists() && !dir.path().join("quarantine").exists());
    }
}
