//! `wherry-agent compile`: what the agent starts for each new component.

use std::{path::Path, process::ExitCode};

use wherry_daemon::exit::Exit;

use crate::connectors::{compile_in_this_process, say_why};

/// Compiles one component; prints why not, for the parent to read.
pub fn compile(input: &Path, output: &Path) -> ExitCode {
    match compile_in_this_process(input, output) {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            eprintln!("{}", say_why(&error));
            Exit::Data.into()
        }
    }
}
