//! Why an invocation failed: what the connector said, or which wall of the box it ran into.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wherry_domain::failure::{Code, Failure, FailureClass};

use crate::egress::EgressError;
use crate::error::HostError;

/// What kind of failure a connector reports; decides whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The connection or the activity is configured wrongly.
    Config,
    /// The system refused the credentials.
    Auth,
    /// The system says no to this request.
    Forbidden,
    /// The thing asked for does not exist.
    NotFound,
    /// The system asks for patience.
    Throttled,
    /// Network, time-outs, a system that is restarting.
    Transient,
    /// A record or an answer is unacceptable.
    Data,
    /// The host asked to stop.
    Cancelled,
    /// The connector cannot do this.
    Unsupported,
    /// A defect of the connector or the host.
    Internal,
}

impl ErrorKind {
    /// Whether another attempt may succeed.
    pub const fn class(self) -> FailureClass {
        match self {
            Self::Throttled | Self::Transient => FailureClass::Retry,
            Self::Config
            | Self::Auth
            | Self::Forbidden
            | Self::NotFound
            | Self::Data
            | Self::Cancelled
            | Self::Unsupported
            | Self::Internal => FailureClass::Permanent,
        }
    }

    /// The kind in words that finish the sentence "the connector reported ...".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Config => "a configuration fault",
            Self::Auth => "that the system refused the credentials",
            Self::Forbidden => "that the system forbids the request",
            Self::NotFound => "that the system does not know what was asked for",
            Self::Throttled => "that the system asks for fewer requests",
            Self::Transient => "a failure that may pass",
            Self::Data => "unacceptable data",
            Self::Cancelled => "that it was cancelled",
            Self::Unsupported => "that it cannot do this",
            Self::Internal => "a defect of its own",
        }
    }
}

/// An error in a connector's own words. Everything but `kind` and `cause` was written by a stranger: it is cut to
/// size, but it stays on the agent unless a policy lets it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorError {
    /// What kind.
    pub kind: ErrorKind,
    /// Stable code, such as `http.not_json`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// How long to wait before another attempt, if the system said so.
    pub retry_after_ms: Option<u64>,
    /// More, as JSON.
    pub details: Option<String>,
    /// What the host saw fail on the way out, if the last exchange did; more exact than what the connector made of it.
    pub cause: Option<EgressError>,
}

/// A limit that ended an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Limit {
    /// Wall-clock time.
    #[error(
        "the connector did not finish within {limit_ms} ms; raise the operation's timeout or let it do less at once"
    )]
    Time {
        /// The limit.
        limit_ms: u64,
    },
    /// Time spent computing.
    #[error("the connector computed for more than {limit_ms} ms; this is most likely an endless loop in it")]
    Cpu {
        /// The limit.
        limit_ms: u64,
    },
    /// Linear memory.
    #[error("the connector asked for more than {limit_bytes} bytes of memory; let it handle less at once")]
    Memory {
        /// The limit.
        limit_bytes: usize,
    },
    /// Elements of a table.
    #[error("the connector asked for a table of more than {limit} elements")]
    Table {
        /// The limit.
        limit: usize,
    },
    /// Core instances, memories or tables of the component.
    #[error("the component consists of more parts than the host allows: {0}")]
    Instances(String),
    /// Stack.
    #[error("the connector ran out of stack; this is most likely an endless recursion in it")]
    Stack,
    /// Data moved by one host call.
    #[error("the connector moved more than {limit_bytes} bytes in one host call; let it use smaller batches")]
    HostCall {
        /// The limit.
        limit_bytes: usize,
    },
    /// Handles and resources.
    #[error("the connector holds more than {limit} handles; it does not release what it opened")]
    Handles {
        /// The limit.
        limit: usize,
    },
    /// The document it returned.
    #[error("the connector returned {bytes} bytes, at most {limit_bytes} are accepted; records belong into the writer")]
    Output {
        /// What it returned.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
}

impl Limit {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Time { .. } => "sandbox.time_limit",
            Self::Cpu { .. } => "sandbox.cpu_limit",
            Self::Memory { .. } => "sandbox.memory_limit",
            Self::Table { .. } => "sandbox.table_limit",
            Self::Instances(_) => "sandbox.instance_limit",
            Self::Stack => "sandbox.stack_limit",
            Self::HostCall { .. } => "sandbox.hostcall_limit",
            Self::Handles { .. } => "sandbox.handle_limit",
            Self::Output { .. } => "sandbox.output_limit",
        }
    }
}

/// Why an invocation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ConnectorFault {
    /// The connector returned an error.
    #[error("{}: {}{}", .0.code, .0.message, because(.0.cause.as_ref()))]
    Reported(Box<ConnectorError>),
    /// The connector ran into a limit.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The connector's code broke off.
    #[error("the connector broke off: {reason}{}", because(.cause.as_deref()))]
    Trap {
        /// Why, in the host's words.
        reason: String,
        /// The end of what it wrote to standard error, such as the message of a panic; a stranger's words.
        output: String,
        /// What the host saw fail on the way out, if the last exchange did.
        cause: Option<Box<EgressError>>,
    },
    /// The caller cancelled, and the connector stopped or was stopped.
    #[error("the invocation was cancelled")]
    Cancelled,
    /// The host could not start it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The process that it runs in is gone or not to be trusted.
    #[error(transparent)]
    Worker(#[from] WorkerFault),
}

/// What is wrong with the process that a connector runs in. Every text in it is the agent's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum WorkerFault {
    /// It does not start.
    #[error("the worker process for connector code does not start: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
    /// It ended while it had work.
    #[error("the worker process of the connector ended ({how}) before its work was done; the next run starts another")]
    Died {
        /// How, such as "signal 9".
        how: String,
    },
    /// It did something that neither the host nor a connector ever does.
    #[error("the worker process of the connector was stopped by the system: its code tried to leave the sandbox")]
    Violation,
    /// What it sends is not what a worker sends.
    #[error("the worker process of the connector was stopped: {reason}")]
    Protocol {
        /// What is wrong with it.
        reason: String,
    },
}

impl WorkerFault {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Start { .. } => "worker.start_failed",
            Self::Died { .. } => "worker.died",
            Self::Violation => "worker.violation",
            Self::Protocol { .. } => "worker.protocol",
        }
    }

    const fn class(&self) -> FailureClass {
        match self {
            Self::Start { .. } | Self::Died { .. } => FailureClass::Retry,
            Self::Violation | Self::Protocol { .. } => FailureClass::Permanent,
        }
    }
}

fn because(error: Option<&EgressError>) -> String {
    error.map(|error| format!(" ({error})")).unwrap_or_default()
}

impl ConnectorFault {
    /// The stable code. What the host saw on the way out outranks the connector's own words.
    pub fn code(&self) -> Code {
        match self {
            Self::Reported(error) => match &error.cause {
                Some(cause) => cause.code(),
                None => Code::received(&error.code),
            },
            Self::Limit(limit) => Code::new(limit.code()),
            Self::Trap { cause: Some(cause), .. } => cause.code(),
            Self::Trap { cause: None, .. } => Code::new("sandbox.trap"),
            Self::Cancelled => Code::new("sandbox.cancelled"),
            Self::Host(error) => error.code(),
            Self::Worker(fault) => Code::new(fault.code()),
        }
    }

    /// Whether another attempt may succeed.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Reported(error) => error.cause.as_ref().map_or(error.kind, EgressError::kind).class(),
            Self::Trap { cause: Some(cause), .. } => cause.kind().class(),
            // Time passes differently on a busy machine or against a slow system.
            Self::Limit(Limit::Time { .. }) => FailureClass::Retry,
            Self::Worker(fault) => fault.class(),
            Self::Limit(_) | Self::Trap { cause: None, .. } | Self::Cancelled | Self::Host(_) => {
                FailureClass::Permanent
            }
        }
    }

    /// How long the system asked to wait.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Reported(error) => error.retry_after_ms,
            Self::Limit(_) | Self::Trap { .. } | Self::Cancelled | Self::Host(_) | Self::Worker(_) => None,
        }
    }

    /// What the connector added to its error as JSON, for the agent owner only.
    pub fn details(&self) -> Option<&str> {
        match self {
            Self::Reported(error) => error.details.as_deref(),
            Self::Limit(_) | Self::Trap { .. } | Self::Cancelled | Self::Host(_) | Self::Worker(_) => None,
        }
    }

    /// The failure in words of the host's own templates only: nothing a connector wrote, except its code.
    pub fn failure(&self) -> Failure {
        let message = match self {
            Self::Reported(error) => match &error.cause {
                Some(cause) => cause.to_string(),
                None => format!("the connector reported {}", error.kind.phrase()),
            },
            Self::Trap { cause: Some(cause), .. } => cause.to_string(),
            Self::Trap { cause: None, reason, .. } => format!("the connector broke off: {reason}"),
            Self::Host(HostError::DescribeFailed(fault)) => {
                format!("the connector does not describe itself: {}", fault.failure().message)
            }
            Self::Limit(_) | Self::Cancelled | Self::Host(_) | Self::Worker(_) => self.to_string(),
        };
        let failure = match self.class() {
            FailureClass::Retry => Failure::retry(self.code(), message),
            FailureClass::Permanent => Failure::permanent(self.code(), message),
        };
        failure.asked_to_wait(self.retry_after_ms().map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(cause: Option<EgressError>) -> ConnectorFault {
        ConnectorFault::Reported(Box::new(ConnectorError {
            kind: ErrorKind::Internal,
            code: "mine.broken".into(),
            message: "customer 4711 is odd".into(),
            retry_after_ms: None,
            details: None,
            cause,
        }))
    }

    #[test]
    fn what_the_host_saw_outranks_what_the_connector_says() {
        let fault = reported(Some(EgressError::ConnectRefused { host: "db.example".into(), port: 443 }));
        assert_eq!(fault.code().as_str(), "egress.connect_refused");
        assert_eq!(fault.class(), FailureClass::Retry);
        assert!(fault.failure().message.contains("db.example:443"));
    }

    #[test]
    fn words_of_a_connector_do_not_leave_the_agent() {
        let failure = reported(None).failure();
        assert_eq!(failure.code.as_str(), "mine.broken");
        assert_eq!(failure.message, "the connector reported a defect of its own");
        let described = ConnectorFault::Host(HostError::DescribeFailed(Box::new(reported(None)))).failure();
        assert!(!described.message.contains("4711"), "{}", described.message);
    }

    #[test]
    fn faults_survive_a_process_boundary() {
        let fault = ConnectorFault::Limit(Limit::Memory { limit_bytes: 1 });
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<ConnectorFault>(&json).unwrap(), fault);
    }

    #[test]
    fn a_fault_within_a_fault_crosses_no_process_boundary() {
        let within = ConnectorFault::Host(HostError::DescribeFailed(Box::new(ConnectorFault::Cancelled)));
        assert!(serde_json::to_string(&within).is_err());
        let said = r#"{"Host":{"DescribeFailed":"Cancelled"}}"#;
        assert!(serde_json::from_str::<ConnectorFault>(said).is_err());
    }
}
