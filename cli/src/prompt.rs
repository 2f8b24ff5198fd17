//! Questions: before something is destroyed, and for secrets. Without a terminal nobody is asked, and nothing hangs.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::codes;
use crate::error::{CliError, Outcome, unreadable};
use crate::exit::Exit;

/// Read at most: one byte more than the largest secret with its line end, so that a larger one is noticed.
const SECRET_LIMIT: usize = (64 << 10) + 3;

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

/// Reads a secret: from `file`, from a pipe, or typed by the person without being shown. One line end is taken off.
pub(crate) fn read_secret(question: &str, file: Option<&Path>) -> Outcome<Zeroizing<Vec<u8>>> {
    let from_stdin = file.is_none_or(|file| file == Path::new("-"));
    // Reserved at once: growing would leave copies of the secret behind.
    let mut value = Zeroizing::new(Vec::with_capacity(SECRET_LIMIT));
    let read = match file.filter(|_| !from_stdin) {
        Some(file) => fs::File::open(file).and_then(|file| file.take(SECRET_LIMIT as u64).read_to_end(&mut value)),
        None if io::stdin().is_terminal() => {
            let _quiet = Quiet::begin(question);
            io::stdin().lock().take(SECRET_LIMIT as u64).read_until(b'\n', &mut value)
        }
        None => io::stdin().lock().take(SECRET_LIMIT as u64).read_to_end(&mut value),
    };
    read.map_err(|error| unreadable(file.unwrap_or(Path::new("-")), error))?;
    for end in [b'\n', b'\r'] {
        if value.last() == Some(&end) {
            value.pop();
        }
    }
    Ok(value)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet(Option<Termios>);

impl Quiet {
    fn begin(question: &str) -> Self {
        let _ = write!(io::stderr(), "{question}, not shown while you type: ");
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            // A terminal that cannot do this shows what is typed, as it would for any other program.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
        let _ = writeln!(io::stderr());
    }
}
