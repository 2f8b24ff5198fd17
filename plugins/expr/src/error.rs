//! Why a text is not a program.

use crate::{MAX_PROGRAM, Position};

/// Why a text is not a program that Wherry runs, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It is too long.
    #[error("a program has at most {MAX_PROGRAM} bytes, this one has {bytes}: move parts of it into two operations")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It does not read as jq.
    #[error("{message}")]
    Malformed {
        /// Where.
        at: Position,
        /// What is wrong.
        message: String,
    },
    /// It uses something that does not exist, or that no program may use.
    #[error("{message}")]
    Unknown {
        /// Where.
        at: Position,
        /// The name as written, with `$` for a variable.
        name: String,
        /// What is wrong.
        message: String,
        /// A known name close to it.
        suggestion: Option<String>,
    },
}

impl ProgramError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "transform.too_long",
            Self::Malformed { .. } | Self::Unknown { .. } => "transform.invalid",
        }
    }

    /// Where.
    pub const fn at(&self) -> Position {
        match self {
            Self::TooLong { .. } => Position::START,
            Self::Malformed { at, .. } | Self::Unknown { at, .. } => *at,
        }
    }

    /// A known name that was perhaps meant.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::Unknown { suggestion, .. } => suggestion.as_deref(),
            Self::TooLong { .. } | Self::Malformed { .. } => None,
        }
    }
}
