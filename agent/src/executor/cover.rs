//! Cursors and states as they lie at the controller: sealed to the agent's group as soon as it has a key.
//!
//! What was left before there was a key is read as it is, so that a group that gets its key goes on where it was.

use std::borrow::Cow;

use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure},
    name::Name,
};
use wherry_trust::sealing::{
    SealingError,
    left::{self, Matter},
};

use crate::keyring::Left;

/// What was left for this agent cannot be opened.
const UNREADABLE: Code = Code::new("connection.state_unreadable");

/// Covers what one attempt leaves, and uncovers what it finds.
#[derive(Clone, Default)]
pub(super) struct Cover {
    left: Option<Left>,
    run: String,
    /// Environment and project.
    place: Option<(Name, Name)>,
}

impl Cover {
    /// For an attempt of `run` with connections of the project that `path` is one of.
    pub(super) fn new(left: Option<Left>, run: String, path: &ConnectionPath) -> Self {
        Self { left, run, place: Some((path.environment.clone(), path.project.clone())) }
    }

    /// A cursor as it leaves the agent; `None` if it cannot be covered, or is too long for the wire then.
    pub(super) fn cursor(&self, text: String) -> Option<String> {
        let covered = match self.sealed(Matter::Cursor, &self.run, text.as_bytes())? {
            Some(sealed) => left::to_text(&sealed),
            None => text,
        };
        (covered.len() <= wherry_proto::MAX_CURSOR).then_some(covered)
    }

    /// A cursor as it was before it was covered.
    ///
    /// # Errors
    /// If it cannot be opened: to begin without it could repeat everything before it.
    pub(super) fn bare_cursor(&self, text: Option<String>) -> Result<Option<String>, Failure> {
        let Some(sealed) = text.as_deref().and_then(left::from_text).filter(|bytes| left::epoch_of(bytes).is_some())
        else {
            return Ok(text);
        };
        let opened =
            self.opened(Matter::Cursor, &self.run, &sealed).map_err(|error| refused("cursor", &self.run, error))?;
        let cursor = std::str::from_utf8(&opened).map(ToOwned::to_owned);
        cursor.map(Some).map_err(|_| refused("cursor", &self.run, SealingError::Unreadable))
    }

    /// A state as it leaves the agent. One that cannot be sealed does not leave as it is.
    pub(super) fn state(&self, connection: &Name, bytes: Vec<u8>) -> Option<Vec<u8>> {
        Some(self.sealed(Matter::State, &self.path(connection), &bytes)?.unwrap_or(bytes))
    }

    /// A state as it was before it was covered.
    ///
    /// # Errors
    /// If it cannot be opened: to begin without it could repeat everything that the connection remembers as done.
    pub(super) fn bare_state<'a>(&self, connection: &Name, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        if left::epoch_of(bytes).is_none() {
            return Ok(Cow::Borrowed(bytes));
        }
        let opened = self.opened(Matter::State, &self.path(connection), bytes);
        let opened = opened.map_err(|error| refused("state", connection.as_str(), error))?;
        Ok(Cow::Owned(opened.to_vec()))
    }

    /// `Some(None)`: there is no key. `None`: there is one, and it cannot be sealed with it.
    #[expect(clippy::option_option, reason = "without a key it leaves as it is, with a broken one not at all")]
    fn sealed(&self, matter: Matter, name: &str, content: &[u8]) -> Option<Option<Vec<u8>>> {
        let Some(left) = &self.left else { return Some(None) };
        let sealed = left.seal(matter, name, content);
        sealed.inspect_err(|error| tracing::error!(%error, "what a run leaves for the next agent is not sealed")).ok()
    }

    fn opened(&self, matter: Matter, name: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, SealingError> {
        let unknown = || SealingError::EpochUnknown { epoch: left::epoch_of(sealed).unwrap_or_default() };
        self.left.as_ref().ok_or_else(unknown)?.open(matter, name, sealed)
    }

    fn path(&self, connection: &Name) -> String {
        let (environment, project) = self
            .place
            .as_ref()
            .map(|(environment, project)| (environment.as_str(), project.as_str()))
            .unwrap_or_default();
        format!("{environment}/{project}/{connection}")
    }
}

/// Another agent may have the key, and this one may get it.
fn refused(what: &str, of: &str, error: SealingError) -> Failure {
    let message = format!("the {what} of {of} that another agent left cannot be opened here: {error}");
    match error {
        SealingError::EpochUnknown { .. } => Failure::retry(error.code(), message),
        SealingError::Malformed(_)
        | SealingError::Size { .. }
        | SealingError::VersionOld { .. }
        | SealingError::Misplaced
        | SealingError::SignerUnknown
        | SealingError::SignatureInvalid
        | SealingError::Unreadable
        | SealingError::InviteRefused(_)
        | SealingError::Unavailable(_) => Failure::permanent(UNREADABLE, message),
    }
}

#[cfg(test)]
mod tests {
    use wherry_domain::failure::FailureClass;

    use super::*;
    use crate::keyring::tests::two_and_an_outsider;

    fn cover(left: &Left, run: &str, path: &str) -> Cover {
        Cover::new(Some(left.clone()), run.to_owned(), &path.parse().unwrap())
    }

    fn desk() -> Name {
        "desk".parse().unwrap()
    }

    #[test]
    fn what_one_agent_left_another_one_of_its_group_goes_on_with_and_nobody_else_reads_it() {
        let [one, other, outsider] = two_and_an_outsider();
        let (first, second) = (cover(&one, "run_1", "prod/it/desk"), cover(&other, "run_1", "prod/it/desk"));
        let cursor = first.cursor(r#"{"page":3}"#.to_owned()).unwrap();
        let state = first.state(&desk(), b"\x01since".to_vec()).unwrap();
        assert!(!cursor.contains("page") && !state.windows(5).any(|five| five == b"since"));
        assert_eq!(second.bare_cursor(Some(cursor.clone())).unwrap().as_deref(), Some(r#"{"page":3}"#));
        assert_eq!(&*second.bare_state(&desk(), &state).unwrap(), b"\x01since");
        // Another run, another project, another connection: the controller cannot put one in the place of another.
        let elsewhere = cover(&other, "run_2", "test/it/desk");
        assert_eq!(elsewhere.bare_cursor(Some(cursor.clone())).unwrap_err().code, UNREADABLE);
        assert_eq!(elsewhere.bare_state(&desk(), &state).unwrap_err().code, UNREADABLE);
        assert_eq!(second.bare_state(&"other".parse().unwrap(), &state).unwrap_err().code, UNREADABLE);
        // An agent without the key says so, and the run goes to another one.
        let without = cover(&outsider, "run_1", "prod/it/desk");
        for failure in
            [without.bare_cursor(Some(cursor)).unwrap_err(), without.bare_state(&desk(), &state).map(drop).unwrap_err()]
        {
            assert_eq!((failure.code.as_str(), failure.class), ("seal.epoch_unknown", FailureClass::Retry));
        }
    }

    #[test]
    fn without_a_key_everything_is_as_it_was_and_what_was_left_before_the_key_is_read() {
        let [one, _, outsider] = two_and_an_outsider();
        let without = cover(&outsider, "run_1", "prod/it/desk");
        let cursor = without.cursor(r#"{"page":3}"#.to_owned()).unwrap();
        assert_eq!(cursor, r#"{"page":3}"#);
        assert_eq!(without.state(&desk(), b"\x01since".to_vec()).unwrap(), b"\x01since");
        let with = cover(&one, "run_1", "prod/it/desk");
        assert_eq!(with.bare_cursor(Some(cursor)).unwrap().as_deref(), Some(r#"{"page":3}"#));
        assert_eq!(&*with.bare_state(&desk(), b"\x01since").unwrap(), b"\x01since");
        assert_eq!(with.bare_cursor(None).unwrap(), None);
    }

    #[test]
    fn the_largest_cursor_fits_the_wire_sealed() {
        let [one, ..] = two_and_an_outsider();
        let cover = cover(&one, "run_1", "prod/it/desk");
        let largest = "x".repeat(wherry_proto::MAX_POSITION);
        let sealed = cover.cursor(largest.clone()).unwrap();
        assert!(sealed.len() <= wherry_proto::MAX_CURSOR);
        assert_eq!(cover.bare_cursor(Some(sealed)).unwrap(), Some(largest));
    }
}
