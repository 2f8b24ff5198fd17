//! What a connector can call: the host's side of the contract, one module per interface.

pub(crate) mod blobs;
pub(crate) mod guest;
pub(crate) mod invocation;
pub(crate) mod limiter;
pub(crate) mod memory;
pub(crate) mod rows;
pub(crate) mod telemetry;
mod wasi;

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::bindings;
use crate::error::HostError;
use crate::fault::ErrorKind;
pub(crate) use guest::Guest;

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

/// Links every interface that [`crate::admission`] lets a component import.
pub(crate) fn link(linker: &mut Linker<Guest>) -> Result<(), HostError> {
    fn all(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        wasi::link(linker)?;
        bindings::types::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
        bindings::invocations::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
        bindings::rows::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
        bindings::telemetry::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
        bindings::state::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
        bindings::blobs::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
    }
    all(linker).map_err(|error| HostError::Engine(format!("{error:#}")))
}

impl bindings::types::Host for Guest {}

/// An answer of the host to the connector, which the connector may handle or pass on.
pub(crate) fn refusal(
    kind: bindings::types::ErrorKind,
    code: &str,
    message: impl Into<String>,
) -> bindings::types::Error {
    bindings::types::Error { kind, code: code.into(), message: message.into(), retry_after_ms: None, details: None }
}

impl From<bindings::types::ErrorKind> for ErrorKind {
    fn from(kind: bindings::types::ErrorKind) -> Self {
        use bindings::types::ErrorKind as Wit;
        match kind {
            Wit::Config => Self::Config,
            Wit::Auth => Self::Auth,
            Wit::Forbidden => Self::Forbidden,
            Wit::NotFound => Self::NotFound,
            Wit::Throttled => Self::Throttled,
            Wit::Transient => Self::Transient,
            Wit::Data => Self::Data,
            Wit::Cancelled => Self::Cancelled,
            Wit::Unsupported => Self::Unsupported,
            Wit::Internal => Self::Internal,
        }
    }
}
