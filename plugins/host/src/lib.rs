//! The host of connectors: loads WebAssembly components built against `plugins/wit` and runs them in a box.
//!
//! This is the only crate that knows wasmtime. It knows neither gRPC nor leases: one invocation is a [`Task`] in, a
//! stream of [`ToConnector`] and [`FromConnector`] messages, and an [`Outcome`] or a [`ConnectorFault`] out. All of
//! them can cross a process boundary, because connector code is to move into worker processes.
//!
//! What the box guarantees: no files, sockets, environment or name lookup; memory, time, output and host calls within
//! [`HostSettings`]; a fresh instance for every invocation, which may be made before it is needed; and no way out except the [`Egress`] of the caller, which
//! adds credentials where the connector cannot see them.

mod admission;
mod bindings;
mod blobs;
mod clock;
mod codes;
mod connector;
mod describe;
mod descriptor;
mod discovery;
mod egress;
mod engine;
mod error;
mod expr;
mod fault;
mod few;
mod host;
mod imports;
mod inbox;
mod message;
mod outgoing;
mod referee;
mod settings;
mod state;
mod stdio;
mod supervise;
mod text;
mod trap;

pub use blobs::{BlobError, BlobWish, Blobs, GrowingBlob};
pub use connector::{Connector, Remains};
pub use descriptor::{Activity, ActivityKind, AuthScheme, ConnectionShape, Descriptor, InvalidDescriptor};
pub use egress::{Body, Egress, EgressError, EgressFuture};
pub use error::HostError;
pub use expr::{
    Part, Place, RecordFault, TransformFault, TransformHost, TransformSettings, Transformation, Transformed,
    Transformer,
};
pub use fault::{ConnectorError, ConnectorFault, ErrorKind, Limit, WorkerFault};
pub use few::Few;
pub use host::Host;
pub use message::{Batch, Call, FromConnector, Level, Outcome, Task, ToConnector};
pub use outgoing::{REQUEST_HEADERS, admit_request};
pub use referee::{Foul, Referee};
pub use settings::HostSettings;
