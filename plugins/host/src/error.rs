//! Why a component cannot be compiled, loaded or described.

use serde::{Deserialize, Serialize};
use wherry_domain::failure::Code;

use crate::descriptor::InvalidDescriptor;
use crate::fault::ConnectorFault;

/// Why the host refuses a component or cannot work with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HostError {
    /// The engine does not start on this machine.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The component is too large.
    #[error("the component has {bytes} bytes, at most {limit} are accepted; build it for release and strip it")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not a WebAssembly component.
    #[error("this is not a WebAssembly component: {0}")]
    InvalidComponent(String),
    /// The component wants something that no connector may have.
    #[error(
        "the component imports {name}, which no connector may use; it gets wherry:connector and WASI 0.2 without files and sockets"
    )]
    ImportForbidden {
        /// The import, cut to 128 characters.
        name: String,
    },
    /// The component does not fit the contract as this host knows it.
    #[error("the component does not fit the contract wherry:connector@1.0.0: {0}")]
    ContractMismatch(String),
    /// The component states needs beyond the limits.
    #[error("the component declares {what}, at most {limit} is accepted")]
    LimitDeclared {
        /// What it declares, with its size.
        what: String,
        /// The limit.
        limit: String,
    },
    /// The compiled code is not for this engine or is damaged; compile the component again.
    #[error("the compiled code cannot be used here, compile the component again: {0}")]
    StaleCode(String),
    /// A file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It was asked a question and answers none.
    #[error("the connector answers no questions about its system; its documentation says what its activities take")]
    NoDiscovery,
    /// What it says of itself is unacceptable.
    #[error("the connector describes itself wrongly: {0}")]
    InvalidDescriptor(#[from] InvalidDescriptor),
    /// The connector failed to describe itself.
    // It never travels: a fault contains a reason of the host, and what another process sends must not be able to put one
    // into the other for ever. It stays the last: formats that count variants would number those after it differently.
    #[serde(skip)]
    #[error("the connector does not describe itself: {0}")]
    DescribeFailed(Box<ConnectorFault>),
}

impl HostError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::new(match self {
            Self::Engine(_) => "sandbox.engine",
            Self::TooLarge { .. } => "sandbox.component_too_large",
            Self::InvalidComponent(_) => "sandbox.invalid_component",
            Self::ImportForbidden { .. } => "sandbox.import_forbidden",
            Self::ContractMismatch(_) => "sandbox.contract_mismatch",
            Self::LimitDeclared { .. } => "sandbox.limit_declared",
            Self::StaleCode(_) => "sandbox.stale_code",
            Self::Unreadable { .. } => "sandbox.unreadable",
            Self::NoDiscovery => "connector.no_discovery",
            Self::DescribeFailed(fault) => return fault.code(),
            Self::InvalidDescriptor(InvalidDescriptor::OtherRelease { .. }) => "sandbox.other_release",
            Self::InvalidDescriptor(_) => "sandbox.invalid_descriptor",
        })
    }
}
