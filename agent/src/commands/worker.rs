//! `wherry-agent worker`: what the agent starts for the code of each connection's connector.

use std::process::ExitCode;

use wherry_daemon::exit::Exit;

/// Runs as a worker; says why not where nobody reads it but the agent.
pub fn worker() -> ExitCode {
    match wherry_worker::run() {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            eprintln!("{error}");
            Exit::Usage.into()
        }
    }
}
