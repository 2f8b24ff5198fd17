//! Checking a program where nothing may be run: on a laptop and in the controller.

use std::{fmt::Display, thread};

use wherry_domain::project::check::nearest;

use crate::{Position, ProgramError, compile, language};

/// Stack for reading one program. Reading recurses with every `-`, `if` and `|`, of which a program of the greatest
/// length may have thousands; only what is used is taken from the system.
const STACK: usize = 512 << 20;

/// A program as text.
#[derive(Clone, Copy, Debug)]
pub struct Program;

impl Program {
    /// Whether a text is a program that Wherry runs. Nothing of it is executed.
    ///
    /// # Errors
    /// With the first fault, its place, and a name that was perhaps meant.
    pub fn check(text: &str) -> Result<(), ProgramError> {
        Self::check_all([text]).pop().unwrap_or(Ok(()))
    }

    /// The same for several, in their order.
    pub(crate) fn check_all<'a>(texts: impl IntoIterator<Item = &'a str> + Send) -> Vec<Result<(), ProgramError>> {
        let checked = thread::scope(|scope| {
            let work = || texts.into_iter().map(check).collect::<Vec<_>>();
            let thread =
                thread::Builder::new().name("program-check".into()).stack_size(STACK).spawn_scoped(scope, work);
            thread.map_err(|error| unchecked(&error)).and_then(|thread| {
                thread.join().map_err(|_| unchecked(&"the compiler has a defect, shorten the program"))
            })
        });
        checked.unwrap_or_else(|error| vec![Err(error)])
    }
}

fn check(text: &str) -> Result<(), ProgramError> {
    compile(text).map(drop).map_err(|error| match error {
        ProgramError::Unknown { at, name, message, .. } => {
            let suggestion = nearest(&name, language::names()).filter(|near| *near != name);
            ProgramError::Unknown { at, name, message, suggestion }
        }
        other @ (ProgramError::TooLong { .. } | ProgramError::Malformed { .. }) => other,
    })
}

fn unchecked(why: &dyn Display) -> ProgramError {
    ProgramError::Malformed { at: Position::START, message: format!("it cannot be checked: {why}") }
}
