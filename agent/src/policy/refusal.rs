//! What the owner's policy refuses, with a code for each reason.

use std::time::Duration;

use wherry_domain::{
    failure::{Code, Failure},
    name::Name,
};

/// Work that the owner does not want on this agent. No text says what the policy allows instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A connector of that name.
    #[error(
        "the owner of this agent does not allow connector {0}: see [connectors] allowed in the agent's policy file"
    )]
    Connector(Name),
    /// A connector that somebody else signed.
    #[error(
        "the owner of this agent does not allow connectors that {0} signed: see [connectors] publishers in the agent's \
         policy file"
    )]
    Publisher(String),
    /// A destination.
    #[error("the owner of this agent does not allow {host}:{port}: see [network] in the agent's policy file")]
    Host {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// An address behind a destination.
    #[error(
        "{host}:{port} leads to the address {address}, which the owner of this agent does not allow: see [network] in the \
         agent's policy file"
    )]
    Address {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// The address.
        address: String,
    },
    /// A destination whose addresses only the proxy knows.
    #[error(
        "the owner of this agent allows {host}:{port} for some addresses only, and the proxy alone knows them: name the \
         host under [network] allowed in the agent's policy file"
    )]
    Unresolved {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
    /// Answers of connectors that would leave the agent.
    #[error("the owner of this agent does not let out {0}: see [answers] in the agent's policy file")]
    Answers(&'static str),
    /// A file or folder that a project names.
    #[error("the owner of this agent does not allow the file {0}: see [files] roots in the agent's policy file")]
    File(String),
    /// Work at this time.
    #[error("the owner of this agent allows no work at this hour: see [work] hours in the agent's policy file")]
    Hours {
        /// When to try again.
        wait: Duration,
    },
}

impl Refusal {
    /// The stable code, with a page in `docs/errors`.
    pub const fn code(&self) -> Code {
        match self {
            Self::Connector(_) => Code::new("agent_policy.connector"),
            Self::Publisher(_) => Code::new("agent_policy.publisher"),
            Self::Host { .. } | Self::Address { .. } | Self::Unresolved { .. } => Code::new("agent_policy.host"),
            Self::Answers(_) => Code::new("agent_policy.answers"),
            Self::File(_) => Code::new("agent_policy.file"),
            Self::Hours { .. } => Code::new("agent_policy.hours"),
        }
    }

    /// The failure of whatever needed it. Only hours pass by themselves.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Hours { wait } => Failure::retry(self.code(), self.to_string()).asked_to_wait(Some(*wait)),
            Self::Connector(_)
            | Self::Publisher(_)
            | Self::Host { .. }
            | Self::Address { .. }
            | Self::Unresolved { .. }
            | Self::Answers(_)
            | Self::File(_) => Failure::permanent(self.code(), self.to_string()),
        }
    }
}
