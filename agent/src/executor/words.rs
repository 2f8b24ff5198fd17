//! How the failures of connectors are told: in the host's own words, and in theirs only where the agent's owner lets them
//! out.

use wherry_domain::failure::{Code, Failure};
use wherry_host::{ConnectorFault, Descriptor};

/// Most characters of a connector's words that leave.
const MAX_WORDS: usize = 400;

/// Stands for a code that the connector does not declare.
const UNDECLARED: Code = Code::new("connector.error_undeclared");

/// The code of a connector's own error, as it may leave: one that was made up at run time could say anything.
pub(super) fn code(descriptor: &Descriptor, code: &str) -> Code {
    if descriptor.declares_error(code) { Code::received(code) } else { UNDECLARED }
}

/// The failure for the controller. `out` says whether the connector's own words may leave.
pub(super) fn failure(descriptor: &Descriptor, fault: &ConnectorFault, out: bool) -> Failure {
    let mut failure = fault.failure();
    if let ConnectorFault::Reported(error) = fault
        && error.cause.is_none()
    {
        failure.code = code(descriptor, &error.code);
    }
    // What the host itself saw says more than the connector's words: nobody needs to look for them.
    let Some(words) = said(fault).filter(|_| out || !was_seen(fault)) else { return failure };
    let message = if out {
        format!("{}: {}", failure.message, cut(words))
    } else {
        format!("{}; the connector's own words are in the agent's log", failure.message)
    };
    Failure { message, ..failure }
}

/// Whether the host saw what failed on the way out.
fn was_seen(fault: &ConnectorFault) -> bool {
    match fault {
        ConnectorFault::Reported(error) => error.cause.is_some(),
        ConnectorFault::Trap { cause, .. } => cause.is_some(),
        ConnectorFault::Limit(_) | ConnectorFault::Cancelled | ConnectorFault::Host(_) | ConnectorFault::Worker(_) => {
            false
        }
    }
}

/// What the connector itself wrote of its failure.
pub(super) fn said(fault: &ConnectorFault) -> Option<&str> {
    let words = match fault {
        ConnectorFault::Reported(error) => error.message.as_str(),
        ConnectorFault::Trap { output, .. } => output.as_str(),
        ConnectorFault::Limit(_) | ConnectorFault::Cancelled | ConnectorFault::Host(_) | ConnectorFault::Worker(_) => {
            ""
        }
    };
    (!words.trim().is_empty()).then_some(words)
}

/// As much of a connector's words as may leave, in one line.
pub(super) fn cut(words: &str) -> String {
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use wherry_host::{ConnectorError, EgressError, ErrorKind};

    use super::*;

    fn descriptor() -> Descriptor {
        let document = serde_json::json!({
            "schemaVersion": 1, "name": "crm", "version": "1.0.0", "errors": ["crm.odd"],
            "connection": { "configSchema": {} },
            "activities": [{ "name": "query", "kind": "source", "sideEffects": "read", "configSchema": {} }],
        });
        Descriptor::parse(&document.to_string()).unwrap()
    }

    fn reported(message: &str) -> ConnectorFault {
        ConnectorFault::Reported(Box::new(ConnectorError {
            kind: ErrorKind::Data,
            code: "crm.odd".into(),
            message: message.into(),
            retry_after_ms: None,
            details: None,
            cause: None,
        }))
    }

    #[test]
    fn a_connectors_words_leave_only_where_the_owner_says_so() {
        let fault = reported("customer 4711\nis odd");
        let kept = failure(&descriptor(), &fault, false);
        assert_eq!(
            kept.message,
            "the connector reported unacceptable data; the connector's own words are in the agent's log"
        );
        assert_eq!(
            failure(&descriptor(), &fault, true).message,
            "the connector reported unacceptable data: customer 4711 is odd"
        );
        let panicked = ConnectorFault::Trap { reason: "unreachable".into(), output: "4711".into(), cause: None };
        assert!(!failure(&descriptor(), &panicked, false).message.contains("4711"));
        assert!(failure(&descriptor(), &panicked, true).message.ends_with(": 4711"));
    }

    #[test]
    fn where_a_connector_says_nothing_nothing_is_added() {
        assert_eq!(failure(&descriptor(), &reported(""), false).message, "the connector reported unacceptable data");
        assert_eq!(failure(&descriptor(), &ConnectorFault::Cancelled, false), ConnectorFault::Cancelled.failure());
    }

    #[test]
    fn where_the_host_saw_what_failed_nobody_is_sent_to_the_log() {
        let ConnectorFault::Reported(mut error) = reported("4711 did not answer") else { unreachable!() };
        error.cause = Some(EgressError::RequestAborted);
        let fault = ConnectorFault::Reported(error);
        assert_eq!(failure(&descriptor(), &fault, false), fault.failure());
        assert!(failure(&descriptor(), &fault, true).message.ends_with(": 4711 did not answer"));
    }

    #[test]
    fn a_code_leaves_only_if_it_was_declared_or_is_the_kits() {
        let told = |said: &str| {
            let ConnectorFault::Reported(mut error) = reported("") else { unreachable!() };
            error.code = said.into();
            failure(&descriptor(), &ConnectorFault::Reported(error), true).code.as_str().to_owned()
        };
        assert_eq!(told("crm.odd"), "crm.odd");
        assert_eq!(told("http.not_found"), "http.not_found");
        for made_up in ["crm.customer-4711", "worker.died", "agent_policy.host", "sandbox.trap", ""] {
            assert_eq!(told(made_up), "connector.error_undeclared", "{made_up}");
        }
    }

    #[test]
    fn a_long_story_is_cut() {
        assert_eq!(cut(&"x".repeat(1_000)).len(), MAX_WORDS);
    }
}
