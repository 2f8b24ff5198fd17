//! `cargo xtask bench`: measurements of the release binaries.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::command::Run;
use crate::layout::{Layout, Profile};
use crate::{build, wasm};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The measurement.
    name: Measurement,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Measurement {
    /// From submission to the first effect, and runs per second.
    Dispatch,
    /// Memory and processor of idle programs.
    Idle,
    /// Thousands of agents on one controller.
    Fleet,
    /// What the box around a connector costs.
    Sandbox,
    /// Records per second through the whole product.
    Stream,
    /// Latency of a synchronous action.
    Action,
    /// How long sealing a group's secrets anew takes after an agent was removed.
    Secrets,
    /// A load during fifty swaps of its connector.
    Swap,
}

/// Builds release binaries and connectors, then becomes the measuring program.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<ExitCode> {
    wasm::build(layout)?;
    build::release()?;
    let program = layout.binaries(Profile::Release).join("wherry-bench");
    let name = match options.name {
        Measurement::Dispatch => "dispatch",
        Measurement::Idle => "idle",
        Measurement::Fleet => "fleet",
        Measurement::Sandbox => "sandbox",
        Measurement::Stream => "stream",
        Measurement::Action => "action",
        Measurement::Secrets => "secrets",
        Measurement::Swap => "swap",
    };
    let arguments = [name].into_iter().chain(options.json.then_some("--json"));
    layout.describe(Run::program(program, arguments), Profile::Release).replace()
}
