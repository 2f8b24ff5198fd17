//! Compiling in a child process, because compiling takes memory and may crash over a hostile component.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{io::AsyncReadExt, process::Command, time};
use wherry_daemon::store::StoreError;
use wherry_domain::failure::{Code, Failure};
use wherry_expr_box::COMPONENT;
use wherry_host::{Host, HostError, HostSettings, TransformHost, TransformSettings};

use crate::private_file::{self, FileError};

/// Longest time for one component.
const LIMIT: Duration = Duration::from_secs(180);
/// Memory of the child, in bytes.
const MEMORY: u64 = 1 << 30;
/// Address space of the child, in bytes: threads and the engine reserve more than they use.
const ADDRESS_SPACE: u64 = 8 << 30;
/// Largest component read.
const MAX_COMPONENT: u64 = 32 << 20;
/// Compiling failed for a reason that has no code of its own.
const FAILED: Code = Code::new("connector.compile_failed");
/// Codes of refusals begin with it.
const SANDBOX: &str = "sandbox.";
/// What is kept of the child's words.
const MAX_WORDS: u64 = 1_024;

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is not on disk any more.
    #[error("the component is gone from the connectors folder")]
    Gone,
    /// The child could not be started or watched.
    #[error("the compiler cannot be started: {0}")]
    Start(std::io::Error),
    /// It took too long.
    #[error("compiling took longer than {} seconds", LIMIT.as_secs())]
    TooSlow,
    /// It said no.
    #[error("the component cannot be compiled: {reason}")]
    Refused {
        /// Its own code for that.
        code: Code,
        /// In its words.
        reason: String,
    },
    /// It broke off.
    #[error("the compiler broke off, it may have run out of memory")]
    Broke,
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The component on disk is not what it should be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host refuses the component.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl CompileError {
    /// The failure of a run that needed the component.
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Host(error) => error.code(),
            Self::Store(error) => Code::new(error.code()),
            Self::Refused { code, .. } => code.clone(),
            Self::Gone | Self::Start(_) | Self::TooSlow | Self::Broke | Self::File(_) => FAILED,
        };
        match self {
            Self::Refused { .. } | Self::Host(_) => Failure::permanent(code, self.to_string()),
            Self::Gone | Self::Start(_) | Self::TooSlow | Self::Broke | Self::File(_) | Self::Store(_) => {
                Failure::retry(code, self.to_string())
            }
        }
    }
}

/// Compiles `input` to `output` with `wherry-agent compile`.
pub(super) async fn run(compiler: &Path, input: &Path, output: &Path) -> Result<(), CompileError> {
    let mut child = Command::new(compiler)
        .arg0("wherry-agent")
        .arg("compile")
        .args([input, output])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(CompileError::Start)?;
    let mut words = Vec::new();
    let stderr = child.stderr.take();
    let ended = time::timeout(LIMIT, async {
        if let Some(stderr) = stderr {
            // Whatever it says beyond that is not worth waiting for.
            drop(stderr.take(MAX_WORDS).read_to_end(&mut words).await);
        }
        child.wait().await
    });
    let status = ended.await.map_err(|_| CompileError::TooSlow)?.map_err(CompileError::Start)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(_) => Err(refused(&String::from_utf8_lossy(&words))),
        None => Err(CompileError::Broke),
    }
}

/// The child's words begin with its code; whatever else it writes is only shown.
fn refused(words: &str) -> CompileError {
    let (first, rest) = words.split_once(' ').unwrap_or_default();
    let code = Some(first).filter(|code| code.starts_with(SANDBOX) && Code::received(code).as_str() == *code);
    let reason = if code.is_some() { rest } else { words };
    let reason = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned();
    CompileError::Refused { code: code.map_or(FAILED, Code::received), reason }
}

/// How the child says why it compiles nothing; `refused` reads it.
pub fn say_why(error: &CompileError) -> String {
    format!("{} {error}", error.failure().code)
}

/// What the child does: lowers its own limits, then compiles.
///
/// # Errors
/// If the component is unacceptable or a file cannot be used.
pub fn compile_in_this_process(input: &Path, output: &Path) -> Result<(), CompileError> {
    for (resource, limit) in [
        (Resource::As, ADDRESS_SPACE),
        (Resource::Data, MEMORY),
        (Resource::Core, 0),
        (Resource::Cpu, 2 * LIMIT.as_secs()),
    ] {
        // A system that knows no such limit still has the parent's clock.
        let _ = setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    }
    // Runs come first; where that cannot be said, it is merely slower.
    let _ = rustix::process::nice(10);
    let component = private_file::read(input, MAX_COMPONENT)?;
    let code = if component.as_slice() == COMPONENT {
        // The agent's own box for transformations runs in an engine of its own.
        TransformHost::new(TransformSettings::default())?.compile(&component)?
    } else {
        Host::new(HostSettings::default())?.compile(&component)?
    };
    Ok(private_file::write(output, &code)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_code_of_the_sandbox_and_no_other() {
        let told = say_why(&CompileError::Host(HostError::ContractMismatch("no describe".into())));
        let failure = refused(&told).failure();
        assert_eq!(failure.code.as_str(), "sandbox.contract_mismatch", "{told}");
        assert!(failure.message.starts_with("the component cannot be compiled: "), "{failure}");
        for words in ["", "thread main panicked", "store.damaged x", "sandbox.\u{1b} x", "sandbox.TRAP x"] {
            assert_eq!(refused(words).failure().code.as_str(), "connector.compile_failed", "{words:?}");
        }
    }
}
