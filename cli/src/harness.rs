//! The real host of connectors, which belongs to `wherry-agent`: this tool starts it and reads what it says.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use wherry_domain::failure::Code;

use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::{codes, sibling};

/// Why the harness gives no answer: the last line of its standard error.
#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
}

/// What a component says of itself, as the text that it returns. It has run in the box for that.
pub(crate) async fn describe(component: &Path) -> Outcome<String> {
    let said = ask([OsStr::new("describe"), component.as_os_str()], &[]).await;
    let said = said.map_err(|error| error.at(component.display().to_string()))?;
    String::from_utf8(said).map_err(|_| broken("it said something that is no text"))
}

/// Starts the harness, gives it `input` and waits for its answer.
pub(crate) async fn ask<'a>(arguments: impl IntoIterator<Item = &'a OsStr>, input: &[u8]) -> Outcome<Vec<u8>> {
    let agent = sibling::find("wherry-agent")?;
    let started = |why: std::io::Error| broken(&why.to_string()).at(agent.display().to_string());
    let mut command = Command::new(&agent);
    command.arg("harness").args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(started)?;
    let stdin = child.stdin.take();
    let feeding = async move {
        if let Some(mut stdin) = stdin {
            // A harness that fails early leaves the rest unread.
            drop(stdin.write_all(input).await);
        }
    };
    let ((), ended) = tokio::join!(feeding, child.wait_with_output());
    let ended = ended.map_err(started)?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let words = String::from_utf8_lossy(&ended.stderr);
    match words.lines().last().and_then(|line| serde_json::from_str::<Told>(line).ok()) {
        Some(told) => Err(CliError::new(Exit::Invalid, Code::received(&told.code), told.message)),
        None => Err(broken(&format!("it ended with {}", ended.status))),
    }
}

fn broken(why: &str) -> CliError {
    CliError::new(Exit::Failed, codes::PROGRAM_MISSING, format!("wherry-agent cannot run the component: {why}"))
}
