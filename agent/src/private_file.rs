//! Files that only the agent's own user may read, replaced as a whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }

    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Makes a folder with mode 0700, and those above it.
///
/// # Errors
/// If the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::of("create", path))
}

/// Makes `path` with mode 0600 and this content, unless something is there already; whether it did. Of two processes
/// that come at the same time, one does.
///
/// # Errors
/// If the system refuses.
pub fn create_new(path: &Path, content: &[u8]) -> Result<bool, FileError> {
    let temporary = temporary(path);
    let made = write_synced(&temporary, content).and_then(|()| fs::hard_link(&temporary, path));
    drop(fs::remove_file(&temporary));
    match made {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FileError::of("write", path)(error)),
    }
}

/// Replaces `path` by a file of mode 0600 with this content; durable when it returns.
///
/// # Errors
/// If the system refuses; the old file is then still there.
pub fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = temporary(path);
    let written = write_synced(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // A leftover would only be replaced by the next try.
        drop(fs::remove_file(&temporary));
        return Err(FileError::of("write", path)(error));
    }
    sync_folder(path)
}

/// A name beside `path` that no other process uses.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(name)
}

/// Makes the name of `path` durable.
fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::of("sync", folder))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // `mode` says nothing about a leftover that was there before.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Adds to the end of a file that is there; durable when it returns, and not there at all if it fails.
///
/// # Errors
/// If the system refuses.
pub fn append(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut file = OpenOptions::new().append(true).open(path).map_err(FileError::of("write", path))?;
    let before = file.metadata().map_err(FileError::of("write", path))?.len();
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half of it must not stand before what is written next.
        drop(file.set_len(before));
        FileError::of("write", path)(error)
    })
}

/// The names in a folder, in no order; none if there is no such folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).and_then(Iterator::collect);
    entries.unwrap_or_default().iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Gives a file another name, in place of whatever had it.
///
/// # Errors
/// If the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::of("write", to))
}

/// Reads a file of at most `limit` bytes; the buffer is wiped when it is dropped.
///
/// # Errors
/// If the file is missing, unreadable or larger.
pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let mut content = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(FileError::of("read", path))?;
    let length = file.metadata().map_err(FileError::of("read", path))?.len();
    if length > limit {
        let reason = io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"));
        return Err(FileError::of("read", path)(reason));
    }
    // Reserved at once: growing would leave copies behind.
    content.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(limit).read_to_end(&mut content).map_err(FileError::of("read", path))?;
    Ok(content)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<Zeroizing<String>, FileError> {
    let content = read(path, limit)?;
    let text = std::str::from_utf8(&content)
        .map_err(|_| FileError::of("read", path)(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Removes a file; gives whether there was one.
///
/// # Errors
/// If the system refuses.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::of("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/key");
        create_folder(path.parent().unwrap()).unwrap();
        for content in ["first", "second"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(read_text(&path, 100).unwrap().as_str(), content);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_there_already_is_not_replaced_by_something_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(create_new(&path, b"first").unwrap());
        assert!(!create_new(&path, b"second").unwrap());
        assert_eq!(read_text(&path, 100).unwrap().as_str(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_beyond_its_limit_is_refused_and_a_missing_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        write(&path, &[0; 11]).unwrap();
        assert!(read(&path, 10).is_err());
        assert!(read(&folder.path().join("none"), 10).unwrap_err().is_missing());
        assert!(remove(&path).unwrap() && !remove(&path).unwrap());
    }
}
