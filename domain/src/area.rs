//! Where a connection is stuck: which of a few things a person has to look at.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::failure::Code;

/// What has to be looked at when a connection does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The way to the system, or the system itself: names, addresses, proxies, certificates, time-outs.
    Network,
    /// The credentials, or that there are none.
    Authentication,
    /// What the credentials' owner may do in the system.
    Permission,
    /// The connection in the project, or the agent's configuration.
    Configuration,
    /// The connector's package or its code.
    Connector,
}

/// What a connector says went wrong, as the contract of connectors has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Connection or activity are configured wrongly.
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
    /// It was stopped.
    Cancelled,
    /// The connector cannot do this.
    Unsupported,
    /// A defect.
    Internal,
}

impl Area {
    /// The area of a failure. What the agent saw itself has a code that says enough; of everything else only the
    /// connector's complaint is known.
    pub fn of(code: &Code, complaint: Option<Complaint>) -> Self {
        seen(code.as_str()).or_else(|| complaint.map(complained)).unwrap_or(Self::Connector)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Configuration => "configuration",
            Self::Connector => "connector",
        }
    }

    /// What a person can do about a failure with that code. The policy of an agent's owner is nobody else's to correct.
    pub fn advice_on(self, code: &Code) -> &'static str {
        if code.as_str().starts_with("agent_policy.") || code.as_str() == "egress.policy_denied" {
            return "the policy of the agent's owner does not allow this: ask them to change policy.toml on the agent's host, or test with another agent";
        }
        self.advice()
    }

    /// What a person can do about a failure in it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Network => {
                "check address, name lookup, firewall, proxy and certificate between the agent and the system, and whether the system is well"
            }
            Self::Authentication => {
                "check the connection's user name, and the secret on the agent: wherry-agent secret set NAME --environment ENVIRONMENT"
            }
            Self::Permission => {
                "the credentials are accepted: give their owner the rights in the system that the connector needs"
            }
            Self::Configuration => {
                "correct the connection in the project and deploy it again, or correct the agent's configuration"
            }
            Self::Connector => "see the agent's log; try another version of the connector, or ask who publishes it",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The area of a code that the agent gives itself.
fn seen(code: &str) -> Option<Area> {
    let family = code.split('.').next().unwrap_or_default();
    Some(match (family, code) {
        (_, "egress.denied" | "egress.address_denied" | "egress.policy_denied" | "egress.response_too_large") => {
            Area::Configuration
        }
        (_, "egress.invalid_request" | "egress.too_many_requests" | "egress.request_aborted" | "egress.internal") => {
            Area::Connector
        }
        // Whoever waits for a system that says nothing runs into the limit of the connector.
        (_, "connection.tls_untrusted" | "connection.tls_failed" | "connection.timed_out" | "sandbox.time_limit") => {
            Area::Network
        }
        (_, "connection.client_certificate" | "connection.credentials") => Area::Authentication,
        (_, "auth.settings_invalid" | "connector.auth_unsupported") => Area::Configuration,
        (_, "auth.echoed") => Area::Connector,
        ("auth" | "oauth", _) => Area::Authentication,
        ("egress" | "controller", _) => Area::Network,
        ("secret" | "sealed", _) => Area::Authentication,
        ("connection" | "deployment" | "agent_policy", _) => Area::Configuration,
        ("sandbox" | "agent", _) => Area::Connector,
        (_, _) => return None,
    })
}

const fn complained(complaint: Complaint) -> Area {
    match complaint {
        Complaint::Throttled | Complaint::Transient => Area::Network,
        Complaint::Auth => Area::Authentication,
        Complaint::Forbidden => Area::Permission,
        Complaint::Config | Complaint::NotFound => Area::Configuration,
        Complaint::Data | Complaint::Cancelled | Complaint::Unsupported | Complaint::Internal => Area::Connector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(code: &str, complaint: Option<Complaint>) -> Area {
        Area::of(&Code::received(code), complaint)
    }

    #[test]
    fn what_the_agent_saw_decides_whatever_the_connector_complains_of() {
        for (code, expected) in [
            ("egress.connect_refused", Area::Network),
            ("egress.dns_failed", Area::Network),
            ("egress.proxy_auth", Area::Network),
            ("egress.denied", Area::Configuration),
            ("egress.internal", Area::Connector),
            ("connection.tls_untrusted", Area::Network),
            ("connection.timed_out", Area::Network),
            ("connection.credentials", Area::Authentication),
            ("auth.login_refused", Area::Authentication),
            ("auth.settings_invalid", Area::Configuration),
            ("auth.echoed", Area::Connector),
            ("connector.auth_unsupported", Area::Configuration),
            ("oauth.needs_consent", Area::Authentication),
            ("connection.no_proxy", Area::Configuration),
            ("secret.missing", Area::Authentication),
            ("deployment.variable_unknown", Area::Configuration),
            ("sandbox.time_limit", Area::Network),
            ("sandbox.trap", Area::Connector),
        ] {
            for complaint in [None, Some(Complaint::Internal), Some(Complaint::Auth)] {
                assert_eq!(area(code, complaint), expected, "{code} {complaint:?}");
            }
        }
    }

    #[test]
    fn of_a_connectors_own_code_the_complaint_decides() {
        for (complaint, expected) in [
            (Complaint::Auth, Area::Authentication),
            (Complaint::Forbidden, Area::Permission),
            (Complaint::Config, Area::Configuration),
            (Complaint::NotFound, Area::Configuration),
            (Complaint::Throttled, Area::Network),
            (Complaint::Transient, Area::Network),
            (Complaint::Data, Area::Connector),
            (Complaint::Unsupported, Area::Connector),
            (Complaint::Internal, Area::Connector),
            (Complaint::Cancelled, Area::Connector),
        ] {
            assert_eq!(area("http.unauthorized", Some(complaint)), expected, "{complaint:?}");
            assert_eq!(area("connector.options_invalid", Some(complaint)), expected, "{complaint:?}");
        }
        assert_eq!(area("connector.altered", None), Area::Connector);
        assert_eq!(area("", None), Area::Connector);
    }

    #[test]
    fn what_an_owners_policy_refuses_sends_people_to_the_owner() {
        for code in ["agent_policy.connector", "agent_policy.file", "egress.policy_denied"] {
            let code = Code::received(code);
            let advice = Area::of(&code, None).advice_on(&code);
            assert!(advice.contains("owner") && !advice.contains("project"), "{code}: {advice}");
        }
        let other = Code::received("egress.denied");
        assert_eq!(Area::of(&other, None).advice_on(&other), Area::Configuration.advice());
    }

    #[test]
    fn every_area_has_a_word_and_advice() {
        let all = [Area::Network, Area::Authentication, Area::Permission, Area::Configuration, Area::Connector];
        for area in all {
            assert_eq!(serde_json::to_value(area).unwrap(), area.as_str());
            assert!(area.advice().len() > 20 && !area.advice().ends_with('.'), "{area}");
        }
    }
}
