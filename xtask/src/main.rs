//! The commands people and CI run: `cargo xtask demo|test|ci|wasm|tidy|bench`.

mod bench;
mod build;
mod ci;
mod command;
mod demo;
mod install;
mod layout;
mod test;
mod third_party;
mod tidy;
mod wasm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::layout::Layout;

/// Builds, checks and measures Wherry.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start a controller, two agents and simulated systems on this machine, and run an operation.
    Demo(demo::Options),
    /// Build everything the tests need, then run them.
    Test(test::Options),
    /// Everything a change must pass, tests last.
    Ci,
    /// Build the connectors as WebAssembly components.
    Wasm,
    /// Check the rules of the house: edges, sizes, error pages, names.
    Tidy,
    /// Measure the release binaries.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    let layout = Layout::find()?;
    match task {
        Task::Demo(options) => demo::run(&layout, options),
        Task::Test(options) => test::run(&layout, options),
        Task::Ci => ci::run(&layout),
        Task::Wasm => wasm::build(&layout).map(|()| ExitCode::SUCCESS),
        Task::Tidy => tidy::run(&layout),
        Task::Bench(options) => bench::run(&layout, options),
    }
}
