//! How a process tells its end: one line with the whole chain of causes, and an exit code that a
//! supervisor can act on.

use std::{error::Error, process::ExitCode};

/// Exit codes, after `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: failed, for no reason that has a code of its own.
    Failure,
    /// 64: wrong command line.
    Usage,
    /// 65: input data is wrong.
    Data,
    /// 69: something needed is not there, such as an address to listen on.
    Unavailable,
    /// 70: a defect of ours.
    Software,
    /// 74: the store or the disk failed. Restart: nothing was acknowledged that is not durable.
    Store,
    /// 75: a temporary failure, try again.
    Temporary,
    /// 77: not permitted.
    Permission,
    /// 78: the configuration is wrong; restarting alone does not help.
    Config,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Store => 74,
            Self::Temporary => 75,
            Self::Permission => 77,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints `error` with its causes and its stable code to standard error; returns the exit code.
pub fn report(error: &(dyn Error + 'static), code: &str, exit: Exit) -> ExitCode {
    eprintln!("error: {} ({code})", chain(error));
    exit.into()
}

/// The error and its causes in one line, without repeating a cause that a message already ends with.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("the store: {0}")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(Middle(std::io::Error::other("no space left")));
        assert_eq!(chain(&error), "cannot start: the store: no space left");
    }
}
