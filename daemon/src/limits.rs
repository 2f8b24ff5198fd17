//! What the system lets the process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files and connections that the process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// As it was found; `None` is no limit.
    pub before: Option<u64>,
    /// As it is now.
    pub now: Option<u64>,
}

/// Raises the soft limit on open files to the hard one, and logs that. The soft limit of most systems, 1,024, is there
/// for programs that use `select`; a controller has a connection for each agent.
pub fn raise_open_files() -> OpenFiles {
    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = getrlimit(Resource::Nofile).current;
    match raised {
        Ok(()) if before == now => tracing::debug!(now, "the limit on open files is as high as it may be"),
        Ok(()) => tracing::info!(before, now, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, before, "could not raise the limit on open files"),
    }
    OpenFiles { before, now }
}

/// Lets no crash write the memory of the process to a disk: keys and secrets are in it.
pub fn no_core_dumps() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum }) {
        tracing::warn!(%error, "a crash could write the memory of this process to a disk");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_written() {
        no_core_dumps();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
        assert_eq!(raise_open_files(), OpenFiles { before: Some(64), now: maximum });
        assert_eq!(raise_open_files().before, maximum);
    }
}
