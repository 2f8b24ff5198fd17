//! `cargo xtask demo`: everything on this machine, in one command.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::command::Run;
use crate::layout::{Layout, Profile};
use crate::{build, wasm};

/// Options, passed on to `wherry demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the operation once and stop.
    #[arg(long)]
    once: bool,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

/// Builds programs and connectors, then becomes `wherry demo`.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<ExitCode> {
    wasm::build(layout)?;
    build::programs()?;
    let program = layout.binaries(Profile::Dev).join("wherry");
    let flags = [(options.once, "--once"), (options.json, "--json")];
    let flags = flags.into_iter().filter_map(|(wanted, flag)| wanted.then_some(flag));
    layout.describe(Run::program(program, ["demo"]).arguments(flags), Profile::Dev).replace()
}
