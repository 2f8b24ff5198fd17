//! Tools the commands need and a fresh machine lacks.

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;

/// The target connectors are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Adds the WebAssembly target to the toolchain.
pub(crate) fn wasm_target() -> Result<()> {
    let libraries = Run::program("rustc", ["--print", "target-libdir", "--target", WASM_TARGET]).output()?;
    if std::path::Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    Run::program("rustup", ["target", "add", WASM_TARGET]).check()
}

/// Installs the test runner.
pub(crate) fn nextest(layout: &Layout) -> Result<()> {
    if Run::cargo(["nextest", "--version"]).succeeds() {
        return Ok(());
    }
    tool(layout, &["cargo-nextest"])
}

/// Installs the licence and dependency checker.
pub(crate) fn deny(layout: &Layout) -> Result<()> {
    if Run::cargo(["deny", "--version"]).succeeds() {
        return Ok(());
    }
    // Unoptimised it starts a little slower and builds in a third of the time.
    tool(layout, &["--debug", "--version", "^0.20", "cargo-deny"])
}

fn tool(layout: &Layout, what: &[&str]) -> Result<()> {
    // A folder of its own: a tool's dependencies must not evict ours.
    let folder = layout.target().join("tools");
    let install = Run::cargo(["install", "--locked", "--target-dir"]).arguments([folder]);
    install.arguments(what).quiet_stdout().check()
}
