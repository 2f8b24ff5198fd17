//! A folder that is open: everything in it is reached through its handle, so that nobody can exchange it meanwhile.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, flock, fstat, fsync, mkdirat, open, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Largest file here: tokens of some kilobytes, JSON Web Tokens with many claims among them.
pub(super) const MAX_FILE: u64 = 256 << 10;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PRIVATE_FOLDER: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Something in a folder could not be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FolderError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FolderError {
    pub(super) fn of(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self { action, path, source: errno.into() }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }

    pub(super) fn refused(action: &'static str, path: &Path, reason: &'static str) -> Self {
        Self { action, path: path.to_owned(), source: io::Error::other(reason) }
    }
}

/// An open folder, and where it was found.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

/// Tells one folder from another on this machine, until the next start of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Same(u64, u64);

/// A lock that the system releases when the process ends, however.
#[derive(Debug)]
pub(super) struct Lock {
    _held: OwnedFd,
}

impl Folder {
    /// Opens a folder that is there; its path has no links.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let handle = open(path, FOLDER, Mode::empty()).map_err(FolderError::of("open", path))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of that name inside; made if it is not there. Also says whether it was made.
    pub(super) fn enter(&self, name: &str) -> Result<(Self, bool), FolderError> {
        let path = self.path.join(name);
        let made = match mkdirat(&self.handle, name, PRIVATE_FOLDER) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(FolderError::of("create", &path)(errno)),
        };
        let handle = openat(&self.handle, name, FOLDER, Mode::empty()).map_err(FolderError::of("open", &path))?;
        if made {
            fsync(&self.handle).map_err(FolderError::of("sync", &self.path))?;
        }
        Ok((Self { handle, path }, made))
    }

    /// Who it is.
    pub(super) fn same(&self) -> Result<Same, FolderError> {
        let found = fstat(&self.handle).map_err(FolderError::of("look at", &self.path))?;
        Ok(Same(found.st_dev, found.st_ino))
    }

    /// Whether only this user may look into it.
    pub(super) fn is_private(&self) -> Result<bool, FolderError> {
        let found = fstat(&self.handle).map_err(FolderError::of("look at", &self.path))?;
        let ours = found.st_uid == rustix::process::geteuid().as_raw();
        Ok(ours && Mode::from_raw_mode(found.st_mode).intersection(Mode::RWXG | Mode::RWXO).is_empty())
    }

    /// Names of what is in it, at most `limit`.
    pub(super) fn names(&self, limit: usize) -> Result<Vec<String>, FolderError> {
        let failed = || FolderError::of("list", &self.path);
        let entries = rustix::fs::Dir::read_from(&self.handle).map_err(failed())?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() >= limit {
                break;
            }
        }
        Ok(names)
    }

    /// A file's content; nothing if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, FolderError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(FolderError::of("open", &path)(errno)),
        };
        let found = fstat(&file).map_err(FolderError::of("look at", &path))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile || found.st_nlink > 1 {
            return Err(FolderError::refused("read", &path, "it is not a file of its own"));
        }
        let length = u64::try_from(found.st_size).unwrap_or(u64::MAX);
        if length > MAX_FILE {
            return Err(FolderError::refused("read", &path, "it is larger than anything kept here"));
        }
        // Reserved at once: growing would leave copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
        File::from(file).take(MAX_FILE).read_to_end(&mut content).map_err(FolderError::io("read", &path))?;
        Ok(Some(content))
    }

    /// Puts a file there, whole and durable, in place of whatever had its name.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let fresh = format!("{name}.new");
        // A leftover of a process that died.
        unlinkat(&self.handle, &*fresh, AtFlags::empty()).ok();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.handle, &*fresh, flags, PRIVATE_FILE).map_err(FolderError::of("create", &path))?;
        let mut file = File::from(file);
        let written = file.write_all(content).and_then(|()| file.sync_all());
        if let Err(error) = written {
            unlinkat(&self.handle, &*fresh, AtFlags::empty()).ok();
            return Err(FolderError::io("write", &path)(error));
        }
        renameat(&self.handle, &*fresh, &self.handle, name).map_err(FolderError::of("write", &path))?;
        fsync(&self.handle).map_err(FolderError::of("sync", &self.path))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), FolderError> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) => fsync(&self.handle).map_err(FolderError::of("sync", &self.path)),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(FolderError::of("remove", &self.path.join(name))(errno)),
        }
    }

    /// Takes the lock of that name; nothing if another process has it.
    pub(super) fn lock(&self, name: &str) -> Result<Option<Lock>, FolderError> {
        let path = self.path.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.handle, name, flags, PRIVATE_FILE).map_err(FolderError::of("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _held: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(FolderError::of("lock", &path)(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_replaced_whole_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, made) = Folder::open(dir.path()).unwrap().enter("one").unwrap();
        assert!(made && folder.is_private().unwrap());
        assert!(folder.read("a").unwrap().is_none());
        for content in [&b"first"[..], b"second"] {
            folder.write("a", content).unwrap();
            assert_eq!(folder.read("a").unwrap().unwrap().as_slice(), content);
        }
        assert_eq!(folder.names(10).unwrap(), ["a"]);
        let path = dir.path().join("one");
        assert_eq!(std::fs::metadata(path.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        symlink("a", path.join("link")).unwrap();
        std::fs::hard_link(path.join("a"), path.join("twin")).unwrap();
        assert!(folder.read("link").is_err() && folder.read("twin").is_err());
        symlink(&path, dir.path().join("elsewhere")).unwrap();
        assert!(Folder::open(dir.path()).unwrap().enter("elsewhere").is_err());
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let first = folder.lock("lock").unwrap();
        assert!(first.is_some() && folder.lock("lock").unwrap().is_none());
        drop(first);
        assert!(folder.lock("lock").unwrap().is_some());
    }
}
