//! From the folder of a connector to its component.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;

const TARGET: &str = "wasm32-wasip2";
/// The profile of components, where a project or its workspace has it.
const PROFILE: &str = "[profile.connector]";

/// Builds what the folder holds: a package of cargo, or one with a script `build` in `package.json`, or `build.sh`.
pub(crate) async fn component(folder: &Path) -> Outcome<PathBuf> {
    if folder.join("Cargo.toml").is_file() {
        return cargo(folder).await;
    }
    let mut command = if folder.join("package.json").is_file() {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent", "build"]);
        npm
    } else if folder.join("build.sh").is_file() {
        let mut script = Command::new("sh");
        script.arg("build.sh");
        script
    } else {
        let message = "nothing here can be built: there is no Cargo.toml, package.json or build.sh";
        return Err(failed(folder, message).fix("name a component: wherry connector test DIR --wasm COMPONENT.wasm"));
    };
    // What is built belongs to standard error: standard output is for findings.
    let status = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).status();
    if !status.await.map_err(|error| failed(folder, &format!("it cannot be built: {error}")))?.success() {
        return Err(failed(folder, "it does not build"));
    }
    built(&folder.join("dist")).ok_or_else(|| failed(folder, "the build left no dist/*.wasm"))
}

async fn cargo(folder: &Path) -> Outcome<PathBuf> {
    let profile = if has_profile(folder) { "connector" } else { "release" };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--lib", "--target", TARGET, "--profile", profile, "--message-format"]);
    command.arg("json-render-diagnostics").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.kill_on_drop(true).spawn();
    let child = child.map_err(|error| failed(folder, &format!("cargo cannot be started: {error}")))?;
    let ended = child.wait_with_output().await.map_err(|error| failed(folder, &error.to_string()))?;
    if !ended.status.success() {
        let fix = format!("see the compiler's message above; if it misses the target: rustup target add {TARGET}");
        return Err(failed(folder, "it does not build").fix(fix));
    }
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    let files = told
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|told| told.get("filenames").and_then(Value::as_array).cloned().unwrap_or_default());
    let mut components =
        files.filter_map(|file| file.as_str().filter(|file| file.ends_with(".wasm")).map(PathBuf::from));
    components.next_back().ok_or_else(|| failed(folder, "it builds no component: crate-type needs \"cdylib\""))
}

/// Whether the package, or the workspace around it, knows the profile.
fn has_profile(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let manifests = folder.ancestors().map(|folder| folder.join("Cargo.toml"));
    let mut texts = manifests.filter_map(|manifest| std::fs::read_to_string(manifest).ok());
    texts.any(|text| text.contains(PROFILE))
}

fn built(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let mut components: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "wasm")).collect();
    components.sort();
    components.into_iter().next()
}

fn failed(folder: &Path, why: &str) -> CliError {
    CliError::new(Exit::Failed, codes::CONNECTOR_TEST_BUILD, why).at(folder.display().to_string())
}
