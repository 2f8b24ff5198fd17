//! Notices that the policy file changed, and takes over what it says.
//!
//! A version counts once it was seen twice: half of a file that is just being written may be a policy, too, and a wider one.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use wherry_daemon::clock::Clock;

use super::{
    Known, Policy, Standing,
    file::{self, PolicyFileError, Stamp},
    rules::Rules,
};
use crate::private_file;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How soon a change is looked at again.
const AGAIN: Duration = Duration::from_millis(500);

/// What a look at the file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// Something new, to be looked at again soon.
    Moving,
    /// Something new, which was judged.
    Judged,
}

impl Policy {
    /// Follows the file until it is dropped, and writes down for `wherry-agent status` how it stands.
    pub async fn keep(self, clock: Clock, note: PathBuf) -> Result<(), Infallible> {
        self.note(&note);
        if self.path().is_none() {
            return std::future::pending().await;
        }
        loop {
            match self.look(clock.wall_unix_millis()) {
                Look::Same => clock.sleep(LOOK).await,
                Look::Moving => clock.sleep(AGAIN).await,
                Look::Judged => self.note(&note),
            }
        }
    }

    /// Looks at the file once.
    pub(super) fn look(&self, wall_ms: u64) -> Look {
        let Some(path) = self.path() else { return Look::Same };
        let now = Stamp::of(path);
        {
            let mut known = self.known();
            if now == known.judged {
                known.seen = now;
                return Look::Same;
            }
            if known.seen != now {
                known.seen = now;
                return Look::Moving;
            }
        }
        self.judge(file::read(path), now, wall_ms)
    }

    fn judge(&self, read: Result<(Rules, Stamp), PolicyFileError>, now: Option<Stamp>, wall_ms: u64) -> Look {
        let mut known = self.known();
        let allowed = read.is_ok();
        match read {
            Ok((_, stamp)) if Some(stamp) != now => {
                known.seen = Some(stamp);
                return Look::Moving;
            }
            Ok((rules, stamp)) => {
                known.judged = Some(stamp);
                self.0.rules.store(Arc::new(rules));
                let file = self.path().map(PathBuf::from).unwrap_or_default();
                known.standing = Some(Standing { file, loaded_ms: wall_ms, fault: None });
                tracing::info!(file = ?self.path(), "took over the owner's policy");
            }
            Err(error) => {
                known.judged = now;
                self.fault(&mut known, &error);
            }
        }
        drop(known);
        self.moved(allowed);
        Look::Judged
    }

    fn fault(&self, known: &mut Known, error: &PolicyFileError) {
        tracing::error!(code = %error.code(), %error, "the policy before stays in force");
        let file = self.path().map(PathBuf::from).unwrap_or_default();
        let standing = known.standing.get_or_insert(Standing { file, loaded_ms: 0, fault: None });
        standing.fault = Some(error.to_string());
    }

    /// For the command that shows the agent's status; nothing depends on it.
    fn note(&self, path: &std::path::Path) {
        let written = match self.standing().map(|standing| serde_json::to_vec(&standing)) {
            Some(Ok(json)) => private_file::write(path, &json),
            Some(Err(_)) | None => private_file::remove(path).map(drop),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "`wherry-agent status` does not know how the policy stands");
        }
    }
}
