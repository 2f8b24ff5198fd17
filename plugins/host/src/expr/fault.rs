//! Why a transformation failed: the program, a record, or a wall of the box.

use std::fmt;

use serde::{Deserialize, Serialize};
use wherry_domain::failure::{Code, Failure};

use super::bindings::programs as wit;
use crate::error::HostError;
use crate::text;

/// Longest text of a program's own words that is kept, in bytes.
const WORDS_BYTES: usize = 2 << 10;

/// Which program of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// `when`.
    When,
    /// `transform`.
    Transform,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::When => "when",
            Self::Transform => "transform",
        })
    }
}

/// A place in a program, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What went wrong with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum RecordFault {
    /// The program failed on it.
    #[error("the program failed")]
    Program,
    /// It is not JSON.
    #[error("the record is not JSON")]
    RecordMalformed,
    /// A result has no form in JSON.
    #[error("a result is not JSON, such as a number that is infinite or a key that is not a text")]
    ResultMalformed,
    /// Too many results, or too large ones.
    #[error("the record has too many results or too large ones, at most 1 MiB each; make fewer of it")]
    ResultsTooLarge,
}

/// Why a transformation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransformFault {
    /// A program does not compile.
    #[error("{part}, {at}: {message}")]
    Invalid {
        /// Which one.
        part: Part,
        /// Where.
        at: Place,
        /// Why.
        message: String,
    },
    /// A record came to nothing.
    #[error("{part}{}: record {record}: {fault}{}", place(.at.as_ref()), words(.message))]
    Record {
        /// Which program.
        part: Part,
        /// What went wrong.
        fault: RecordFault,
        /// The record's number in the input, counted from 1.
        record: u64,
        /// Where in the program, as far as that is known.
        at: Option<Place>,
        /// The program's own words: a stranger's, and perhaps a piece of the record.
        message: String,
    },
    /// Memory.
    #[error("the program needs more than {limit_bytes} bytes of memory {}; let it keep less", near(*.after))]
    Memory {
        /// The limit.
        limit_bytes: usize,
        /// How many records were used up before.
        after: u64,
    },
    /// Time spent computing.
    #[error(
        "the program computed for more than {limit_ms} ms without a result {}; this is most likely an endless loop",
        near(*.after)
    )]
    Time {
        /// The limit.
        limit_ms: u64,
        /// How many records were used up before.
        after: u64,
    },
    /// Stack.
    #[error("the program ran out of stack {}; this is most likely an endless recursion", near(*.after))]
    Stack {
        /// How many records were used up before.
        after: u64,
    },
    /// The box broke off.
    #[error("the program made the box break off {}: {reason}", near(*.after))]
    Broke {
        /// Why, in the host's words.
        reason: String,
        /// How many records were used up before.
        after: u64,
    },
    /// The host could not start it.
    #[error(transparent)]
    Host(#[from] HostError),
}

fn place(at: Option<&Place>) -> String {
    at.map(|at| format!(", {at}")).unwrap_or_default()
}

fn words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn near(after: u64) -> String {
    if after == 0 { "in the first records".to_owned() } else { format!("in the records after {after}") }
}

impl TransformFault {
    pub(super) fn invalid(fault: wit::Invalid) -> Self {
        Self::Invalid {
            part: fault.part.into(),
            at: fault.at.into(),
            message: text::one_line(&fault.message, WORDS_BYTES),
        }
    }

    pub(super) fn record(failure: wit::Failure, at: Option<Place>, after: u64) -> Self {
        Self::Record {
            part: failure.part.into(),
            fault: failure.cause.into(),
            record: after + u64::from(failure.record) + 1,
            at,
            message: text::one_line(&failure.message, WORDS_BYTES),
        }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        Code::new(match self {
            Self::Invalid { .. } => "transform.invalid",
            Self::Record { fault: RecordFault::ResultsTooLarge, .. } => "transform.output_limit",
            Self::Record { .. } => "transform.failed",
            Self::Memory { .. } => "transform.memory_limit",
            Self::Time { .. } => "transform.time_limit",
            Self::Stack { .. } => "transform.stack_limit",
            Self::Broke { .. } => "transform.broke_off",
            Self::Host(error) => return error.code(),
        })
    }

    /// The failure of a run in words of the host's own templates: what a program says may be a piece of a record.
    ///
    /// Another attempt would run the same program over the same records, so it is never worth one.
    pub fn failure(&self) -> Failure {
        let message = match self {
            Self::Record { part, fault, record, at, .. } => Self::Record {
                part: *part,
                fault: *fault,
                record: *record,
                at: *at,
                message: "its words are in the agent's log".to_owned(),
            }
            .to_string(),
            Self::Invalid { .. }
            | Self::Memory { .. }
            | Self::Time { .. }
            | Self::Stack { .. }
            | Self::Broke { .. }
            | Self::Host(_) => self.to_string(),
        };
        Failure::permanent(self.code(), message)
    }
}

impl From<wit::Part> for Part {
    fn from(part: wit::Part) -> Self {
        match part {
            wit::Part::Condition => Self::When,
            wit::Part::Transformation => Self::Transform,
        }
    }
}

impl From<wit::Position> for Place {
    fn from(wit::Position { line, column }: wit::Position) -> Self {
        Self { line, column }
    }
}

impl From<wit::Cause> for RecordFault {
    fn from(cause: wit::Cause) -> Self {
        match cause {
            wit::Cause::Program => Self::Program,
            wit::Cause::RecordMalformed => Self::RecordMalformed,
            wit::Cause::ResultMalformed => Self::ResultMalformed,
            wit::Cause::ResultsTooLarge => Self::ResultsTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_program_do_not_leave_the_agent() {
        let fault = TransformFault::Record {
            part: Part::Transform,
            fault: RecordFault::Program,
            record: 17,
            at: Some(Place { line: 2, column: 5 }),
            message: "cannot use \"Miller\" as number".into(),
        };
        assert!(fault.to_string().contains("Miller"));
        let failure = fault.failure();
        assert_eq!(failure.code.as_str(), "transform.failed");
        assert_eq!(
            failure.message,
            "transform, line 2, column 5: record 17: the program failed: its words are in the agent's log"
        );
    }

    #[test]
    fn faults_survive_a_process_boundary() {
        let fault = TransformFault::Memory { limit_bytes: 1, after: 2 };
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<TransformFault>(&json).unwrap(), fault);
    }
}
