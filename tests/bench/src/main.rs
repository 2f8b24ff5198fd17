//! `wherry-bench`: how fast and how small the product is, against a floor measured in the same run.
//!
//! Started by `cargo xtask bench`, which builds what is measured. Method and results are in
//! `docs/benchmarks.md`.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and owns all its tasks")]
#![allow(clippy::indexing_slicing, reason = "a missing field of a JSON value reads as null")]

mod action;
mod bed;
mod connect_proxy;
mod dispatch;
mod fleet;
mod floor;
mod idle;
mod log;
mod measure;
mod native;
mod process;
mod sandbox;
mod secrets;
mod stream;
mod swap;
mod system;
mod target;
mod tls;

use clap::{Parser, ValueEnum};

/// Benchmarks of Wherry.
#[derive(Parser)]
struct Options {
    /// What to measure.
    what: What,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Of `stream`, this part alone.
    #[arg(long)]
    part: Option<stream::Part>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Runs per second, latency, processor time and syncs.
    Dispatch,
    /// Memory and start-up time of idle programs, and their size on disk.
    Idle,
    /// Memory of a controller per connected agent.
    Fleet,
    /// What the box around a connector costs.
    Sandbox,
    /// Records per second through the whole product.
    Stream,
    /// Latency of a synchronous action.
    Action,
    /// How long sealing a group's secrets anew takes.
    Secrets,
    /// A load during fifty swaps of its connector.
    Swap,
}

#[expect(clippy::print_stdout, reason = "the answer of the program")]
fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let seconds = std::time::Duration::from_secs(options.seconds);
    let figures = runtime.block_on(async {
        match options.what {
            What::Dispatch => dispatch::measure(seconds).await,
            What::Idle => idle::measure().await,
            What::Fleet => fleet::measure().await,
            What::Sandbox => sandbox::measure().await,
            What::Stream => stream::measure(options.part).await,
            What::Action => action::measure(seconds).await,
            What::Secrets => secrets::measure().await,
            What::Swap => swap::measure().await,
        }
    })?;
    for (name, value) in &figures {
        println!("{name:<24} {value}");
    }
    if options.json {
        println!("{}", serde_json::Value::Object(figures));
    }
    Ok(())
}
