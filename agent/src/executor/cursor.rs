//! What travels as a run's cursor: the connector's own, and how many records of the run came before it.
//!
//! The count keeps row numbers, and keys made from them, the same over all attempts.

use serde::{Deserialize, Serialize};

/// Where an attempt begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Records that earlier attempts applied.
    #[serde(rename = "wherry_rows")]
    pub(super) rows: u64,
    /// How many of them the target refused; the run fails for it in the end, whichever attempt gets there.
    #[serde(rename = "wherry_refused", default, skip_serializing_if = "is_none")]
    pub(super) refused: u64,
    /// The connector's cursor.
    pub(super) cursor: Option<String>,
}

impl Position {
    /// Reads the cursor of an offer. One that is not ours came from elsewhere and is the connector's own.
    pub(super) fn read(offered: Option<String>) -> Self {
        match offered {
            None => Self::default(),
            Some(text) => match serde_json::from_str(&text) {
                Ok(position) => position,
                Err(_) => Self { cursor: Some(text), ..Self::default() },
            },
        }
    }

    /// What to send; `None` if it is too long for the wire.
    pub(super) fn write(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok()?;
        if text.len() > wherry_proto::MAX_CURSOR {
            let (bytes, most) = (text.len(), wherry_proto::MAX_CURSOR);
            tracing::warn!(bytes, most, "a cursor is too long to be kept: a retry would begin at an older one");
            return None;
        }
        Some(text)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_a_foreign_cursor_is_kept() {
        let position = Position { rows: 7, refused: 2, cursor: Some(r#"{"page":3}"#.to_owned()) };
        assert_eq!(Position::read(position.write()), position);
        assert_eq!(Position::read(None), Position::default());
        let foreign = Position::read(Some(r#"{"page":3}"#.to_owned()));
        assert_eq!(foreign, Position { cursor: Some(r#"{"page":3}"#.to_owned()), ..Position::default() });
        assert_eq!(Position { cursor: Some("x".repeat(20_000)), ..Position::default() }.write(), None);
    }
}
