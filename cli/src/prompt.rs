//! Questions before something is destroyed. Without a terminal nobody is asked, and nothing hangs.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

/// Goes on if the person agrees, or said so beforehand with `--yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> Outcome {
    if yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let message = format!("{question} Nobody is here to answer");
        return Err(CliError::new(Exit::Invalid, codes::CONFIRMATION_NEEDED, message).fix("say --yes"));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().take(100).read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(CliError::new(Exit::Interrupted, codes::INTERRUPTED, "left as it was"))
}
