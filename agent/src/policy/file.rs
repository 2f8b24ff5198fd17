//! The policy file: where it is, whether it is the owner's alone, and what it says.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use wherry_daemon::config::{self, ConfigFaults};
use wherry_domain::failure::Code;

use super::rules::Rules;

/// Largest file: thousands of hosts.
const MAX_FILE: u64 = 256 << 10;
/// Of a folder such as `/tmp`: nobody replaces the files of others there.
const STICKY: u32 = 0o1000;
/// Others who may write.
const OTHERS_WRITE: u32 = 0o022;

/// Where the owner's policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPlace {
    /// The file.
    pub path: PathBuf,
    /// Whether the configuration names it. If not, there need not be one.
    pub named: bool,
}

/// Why a policy file cannot be taken as it is.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It cannot be read.
    #[error("the policy file {path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can change it.
    #[error("{path} may be written by others than its owner: chmod go-w")]
    Writable {
        /// The file, or its folder.
        path: PathBuf,
    },
    /// It is another user's.
    #[error("the policy file {path} belongs neither to root nor to the agent's own user: chown root")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// What it says.
    #[error("the policy file {path} is not taken over: {faults}")]
    Faults {
        /// Which file.
        path: PathBuf,
        /// All of them.
        faults: ConfigFaults,
    },
}

impl PolicyFileError {
    /// The stable code, with a page in `docs/errors`.
    pub const fn code(&self) -> Code {
        Code::new("agent_policy.invalid")
    }

    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Tells one version of the file from another, its permissions included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    mode: u32,
    owner: u32,
}

impl Stamp {
    fn new(found: &Metadata) -> Self {
        Self {
            place: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            mode: found.mode(),
            owner: found.uid(),
        }
    }

    /// Of the file as it is now; none if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::new)
    }
}

/// Reads the file. What is judged and what is read is the same file, whatever happens to its name meanwhile.
pub(super) fn read(path: &Path) -> Result<(Rules, Stamp), PolicyFileError> {
    let unreadable = |source| PolicyFileError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(PolicyFileError::Writable { path: path.to_owned() });
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        return Err(PolicyFileError::Foreign { path: path.to_owned() });
    }
    // Whoever may write the folder may put another file there.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let around = folder.metadata().map_err(unreadable)?;
    let sticky = around.mode() & STICKY != 0;
    if around.mode() & OTHERS_WRITE != 0 && !sticky {
        return Err(PolicyFileError::Writable { path: folder.to_owned() });
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(unreadable(io::Error::other(format!("it is larger than {MAX_FILE} bytes"))));
    }
    let faults = |faults| PolicyFileError::Faults { path: path.to_owned(), faults };
    let raw = config::parse(text, path).map_err(faults)?;
    let rules = Rules::check(raw).map_err(faults)?;
    Ok((rules, Stamp::new(&found)))
}
