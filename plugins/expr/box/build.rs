//! Builds the box: the guest as a WebAssembly component, which becomes part of the agent's binary.
//!
//! It has a target folder of its own inside this script's output, because the cargo that runs this script holds the
//! lock of the ordinary one. Whoever builds packages may name a component that is built already.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const GUEST: &str = "wherry-expr-guest";
const FILE: &str = "wherry_expr_guest.wasm";
const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "connector";
/// Names a component to take instead.
const READY_MADE: &str = "WHERRY_EXPR_COMPONENT";

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed={READY_MADE}");
    match component() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn component() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let built = match env::var_os(READY_MADE).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => build(&out)?,
    };
    println!("cargo::rerun-if-changed={}", built.display());
    let copied = fs::copy(&built, out.join("expr.wasm"));
    copied.map(drop).map_err(|error| format!("{} cannot be copied: {error}", built.display()))
}

fn build(out: &Path) -> Result<PathBuf, String> {
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../..");
    for source in
        ["plugins/expr/src", "plugins/expr/Cargo.toml", "plugins/expr/guest", "plugins/expr/wit", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let target = out.join("target");
    let output = Command::new(variable("CARGO")?)
        .args(["build", "--package", GUEST, "--lib", "--target", TARGET, "--profile", PROFILE, "--locked"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&workspace)
        // What the outer cargo says of the outer target does not hold for this one.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(target.join(TARGET).join(PROFILE).join(FILE));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    if words.contains("target may not be installed") {
        return Err(format!("the box for transformations needs the target {TARGET}: rustup target add {TARGET}"));
    }
    eprintln!("{words}");
    Err(format!("{GUEST} does not build for {TARGET}, see above"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo does not set {name}"))
}
