//! The part of WASI that connectors get: streams, clocks, chance, empty standard streams, and HTTP on its way out.
//!
//! Files and sockets are not merely empty, they are not there: no Rust guest that does not use them imports them, and
//! what is not linked cannot have a hole.

use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiView};

use super::Guest;
use crate::stdio::Tail;

/// A random number generator asked for gigabytes is a way to exhaust the host.
const RANDOM_BYTES: u64 = 64 << 10;

/// Nothing is inherited: no environment, arguments or input.
pub(super) fn context(stdout: Tail, stderr: Tail) -> WasiCtx {
    WasiCtx::builder()
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES)
        .stdout(stdout)
        .stderr(stderr)
        .build()
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    // Streams, polling, clocks, random numbers and the three standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |guest| guest.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |guest| guest.ctx().ctx.random())?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)
}
