//! Files that a connection names, read within limits.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::CertificateError;
use crate::policy::Policy;

/// Largest file. A chain takes 10 KiB; a store with every authority of a system some hundred.
const MAX_FILE: u64 = 512 << 10;

/// Which files a connection may name.
#[derive(Clone, Debug, Default)]
pub struct FileRules {
    /// Folders that stay closed: the agent's own, with the key of its identity. Whoever writes a project must not be able
    /// to use it against another system.
    pub closed: Vec<PathBuf>,
    /// What the owner allows.
    pub policy: Policy,
}

impl FileRules {
    /// The whole file.
    ///
    /// # Errors
    /// If it is none, is too large, may not be read or lies in a closed folder.
    pub fn read(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
        let (named, real) = (Path::new(path), fs::canonicalize(path));
        self.policy.rules().file(named, real.as_deref().ok())?;
        real.and_then(|real| self.try_read(named, &real)).map_err(|error| {
            tracing::warn!(path, %error, "a file that a connection names cannot be used");
            CertificateError::Unreadable(path.to_owned())
        })
    }

    fn try_read(&self, path: &Path, real: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let closed = self.closed.iter().filter_map(|folder| fs::canonicalize(folder).ok());
        if !path.is_absolute() || closed.into_iter().any(|folder| real.starts_with(folder)) {
            return Err(io::Error::other("it lies in the agent's own folder"));
        }
        // Opening a pipe would wait for its other end.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(real)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        read_whole(file)
    }
}

fn read_whole(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content =
        Zeroizing::new(Vec::with_capacity(usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or(0)));
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RawPolicy;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_are_read_and_what_is_none_or_closed_or_too_large_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        fs::create_dir(&own).unwrap();
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(place("good.pem"), "content").unwrap();
        fs::write(own.join("key"), "the agent's").unwrap();
        fs::write(place("large"), vec![0; 513 << 10]).unwrap();
        symlink(own.join("key"), place("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let mut raw = RawPolicy::default();
        let rules = FileRules { closed: vec![own], policy: Policy::default() };
        assert_eq!(rules.read(&place("good.pem")).unwrap().as_slice(), b"content");
        for bad in ["own/key", "large", "link", "pipe", "nowhere", "own/../own/key", "own"] {
            let error = rules.read(&place(bad)).err().unwrap();
            assert_eq!(error.code().as_str(), "certificate.unreadable", "{bad}");
            // The same words for all of them.
            assert_eq!(error.to_string(), format!("the agent cannot use the file {}, its log says why", place(bad)));
        }
        raw.files.roots = Some(vec![folder.path().join("roots")]);
        let rules = FileRules { policy: Policy::of(raw).unwrap(), ..rules };
        assert_eq!(rules.read(&place("good.pem")).err().unwrap().code().as_str(), "agent_policy.file");
    }
}
