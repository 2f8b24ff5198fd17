//! The contract as Rust traits, generated from `plugins/wit/v1`.
//!
//! One module per major version of the contract. Only `connector-core` is generated: WASI itself comes from
//! `wasmtime-wasi`.

mod v1 {
    wasmtime::component::bindgen!({
        path: "../wit/v1",
        world: "wherry:connector/connector-core",
        imports: {
            "wherry:connector/rows.[method]reader.next": async | trappable,
            "wherry:connector/rows.[method]reader.ack": async | trappable,
            "wherry:connector/rows.[method]reader.reject": async | trappable,
            "wherry:connector/rows.[method]writer.write": async | trappable,
            "wherry:connector/rows.[method]writer.checkpoint": async | trappable,
            "wherry:connector/telemetry.log": async | trappable,
            "wherry:connector/blobs.open": async | trappable,
            "wherry:connector/blobs.[method]blob-writer.finish": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "wherry:connector/invocations.invocation": crate::imports::invocation::Invocation,
            "wherry:connector/rows.reader": crate::imports::rows::Reader,
            "wherry:connector/rows.writer": crate::imports::rows::Writer,
            "wherry:connector/blobs.blob": crate::imports::blobs::Blob,
            "wherry:connector/blobs.blob-writer": crate::imports::blobs::BlobWriter,
        },
    });
}

pub(crate) use v1::exports::wherry::connector::activities::Status;
pub(crate) use v1::wherry::connector::{blobs, invocations, rows, state, telemetry, types};
pub(crate) use v1::{ConnectorCore, ConnectorCorePre};
