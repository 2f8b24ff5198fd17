//! What travels as a run's cursor: the connector's own, and what of the run came before it.
//!
//! The number of rows keeps keys made from it the same over all attempts; the counts make the sums of a run that took
//! several. A cursor that is JSON, as the contract wants, stands inside as it is, so that the largest one fits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wherry_proto::frame::Counts;

/// Where an attempt begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Records for the target that earlier attempts applied.
    pub(super) rows: u64,
    /// What earlier attempts did up to here. The run fails in the end for records that were refused, whichever attempt
    /// gets there.
    pub(super) counts: Counts,
    /// The connector's cursor.
    pub(super) cursor: Option<String>,
}

/// A position as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    wherry_rows: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    wherry_read: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    wherry_written: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    wherry_refused: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    wherry_batches: u64,
    /// The connector's cursor, if it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wherry_cursor: Option<Box<RawValue>>,
    /// The connector's cursor, if it is anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl Position {
    /// Reads the cursor of an offer. One that is not ours came from elsewhere and is the connector's own.
    pub(super) fn read(offered: Option<String>) -> Self {
        let Some(text) = offered else { return Self::default() };
        match serde_json::from_str::<Written>(&text) {
            Ok(written) => written.into(),
            Err(_) => Self { cursor: Some(text), ..Self::default() },
        }
    }

    /// What to send; `None` if it is too long for the wire, which no cursor is that is JSON.
    pub(super) fn write(&self) -> Option<String> {
        let text = serde_json::to_string(&Written::from(self)).ok()?;
        if text.len() > wherry_proto::MAX_POSITION {
            let (bytes, most) = (text.len(), wherry_proto::MAX_POSITION);
            tracing::warn!(bytes, most, "a cursor is too long to be kept: a retry would begin at an older one");
            return None;
        }
        Some(text)
    }
}

impl From<&Position> for Written {
    fn from(position: &Position) -> Self {
        let Position { rows, counts: Counts { read, written, rejected, batches }, cursor } = position;
        let raw = cursor.as_deref().and_then(as_it_is);
        Self {
            wherry_rows: *rows,
            wherry_read: *read,
            wherry_written: *written,
            wherry_refused: *rejected,
            wherry_batches: *batches,
            cursor: if raw.is_some() { None } else { cursor.clone() },
            wherry_cursor: raw,
        }
    }
}

impl From<Written> for Position {
    fn from(written: Written) -> Self {
        let Written { wherry_read, wherry_written, wherry_refused, wherry_batches, .. } = written;
        let counts =
            Counts { read: wherry_read, written: wherry_written, rejected: wherry_refused, batches: wherry_batches };
        let raw = written.wherry_cursor.map(|raw| raw.get().to_owned());
        Self { rows: written.wherry_rows, counts, cursor: raw.or(written.cursor) }
    }
}

/// The text as JSON. `null` would read back as none at all.
fn as_it_is(text: &str) -> Option<Box<RawValue>> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    (raw.get().len() == text.len() && text != "null").then(|| raw.to_owned())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host takes from a connector at most.
    const LARGEST: usize = 16 << 10;

    fn at(cursor: &str) -> Position {
        let counts = Counts { read: 9, written: 7, rejected: 2, batches: 3 };
        Position { rows: 7, counts, cursor: Some(cursor.to_owned()) }
    }

    #[test]
    fn a_position_reads_back_and_a_foreign_cursor_is_kept() {
        for cursor in [r#"{"page":3}"#, "17", "null", "\"next\"", "no json", " 1", ""] {
            let position = at(cursor);
            assert_eq!(Position::read(position.write()), position, "{cursor}");
        }
        let before = Position { cursor: None, ..at("") };
        assert_eq!(Position::read(before.write()), before);
        assert_eq!(Position::read(None), Position::default());
        let foreign = Position::read(Some(r#"{"page":3}"#.to_owned()));
        assert_eq!(foreign, Position { cursor: Some(r#"{"page":3}"#.to_owned()), ..Position::default() });
        let early = Position::read(Some(r#"{"wherry_rows":7,"wherry_refused":1,"cursor":"{\"a\":1}"}"#.to_owned()));
        assert_eq!((early.rows, early.counts.rejected, early.cursor.as_deref()), (7, 1, Some(r#"{"a":1}"#)));
    }

    #[test]
    fn the_largest_cursor_fits_the_wire_however_many_quotation_marks_it_has() {
        let quotes = format!("[{}\"\"]", "\"\",".repeat((LARGEST - 4) / 3));
        let escapes = format!("\"{}\"", "\\\"".repeat((LARGEST - 2) / 2));
        let plain = format!("\"{}\"", "x".repeat(LARGEST - 2));
        for cursor in [quotes, escapes, plain] {
            assert!(cursor.len() > LARGEST - 4 && cursor.len() <= LARGEST);
            let most = Counts { read: u64::MAX, written: u64::MAX, rejected: u64::MAX, batches: u64::MAX };
            let position = Position { rows: u64::MAX, counts: most, cursor: Some(cursor) };
            assert_eq!(Position::read(position.write()), position);
        }
        assert_eq!(at(&"x".repeat(20_000)).write(), None);
    }
}
