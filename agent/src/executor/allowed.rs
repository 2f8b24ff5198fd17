//! What of connectors' words and records may leave the agent: what the configuration says, narrowed by the owner's policy
//! as it is now.

use wherry_domain::failure::{Code, Failure};

use crate::{config::Answers, policy::Policy};

/// The owner keeps to the agent what connectors write.
const NOT_DESCRIBED: Code = Code::new("connection.describe_not_allowed");
/// The owner keeps what connectors read on the agent.
const NOT_ANSWERED: Code = Code::new("action.answers_not_allowed");

/// See the module.
#[derive(Clone)]
pub(super) struct Allowed {
    pub(super) own: Answers,
    pub(super) policy: Policy,
}

impl Allowed {
    /// Whether answers to `wherry connection describe` may leave.
    pub(super) fn describe(&self) -> Result<(), Failure> {
        if !self.own.describe {
            return Err(self.not_described());
        }
        self.policy.rules().describe().map_err(|refusal| refusal.failure())
    }

    /// Whether answers of actions may leave.
    pub(super) fn actions(&self) -> Result<(), Failure> {
        if !self.own.actions {
            let message = "what connectors read stays on this agent: its owner lets answers out with `actions = true` \
                           under [answers]";
            return Err(Failure::permanent(NOT_ANSWERED, message));
        }
        self.policy.rules().actions().map_err(|refusal| refusal.failure())
    }

    /// Whether the words of connectors' errors and logs may leave.
    pub(super) fn connector_text(&self) -> bool {
        self.own.connector_text && self.policy.rules().connector_text()
    }

    fn not_described(&self) -> Failure {
        let file = self.own.file.as_ref().map_or_else(
            || "a configuration file that the agent is started with (--config FILE)".to_owned(),
            |file| file.display().to_string(),
        );
        let message = format!(
            "what connectors write about their systems stays on this agent: to let it out, its owner adds the line `describe = true` under [answers] to {file} and starts the agent again"
        );
        Failure::permanent(NOT_DESCRIBED, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RawPolicy;

    fn allowed(own: bool, policy: Option<bool>) -> Allowed {
        let mut raw = RawPolicy::default();
        (raw.answers.describe, raw.answers.actions, raw.answers.connector_text) = (policy, policy, policy);
        let own = Answers { describe: own, actions: own, connector_text: own, file: None };
        Allowed { own, policy: Policy::of(raw).unwrap() }
    }

    #[test]
    fn the_narrower_of_configuration_and_policy_wins() {
        for (own, policy, describe, actions) in [
            (true, None, None, None),
            (true, Some(true), None, None),
            (true, Some(false), Some("agent_policy.answers"), Some("agent_policy.answers")),
            (false, Some(true), Some("connection.describe_not_allowed"), Some("action.answers_not_allowed")),
            (false, None, Some("connection.describe_not_allowed"), Some("action.answers_not_allowed")),
        ] {
            let allowed = allowed(own, policy);
            let code = |result: Result<(), Failure>| result.err().map(|failure| failure.code.as_str().to_owned());
            assert_eq!(code(allowed.describe()).as_deref(), describe, "{own} {policy:?}");
            assert_eq!(code(allowed.actions()).as_deref(), actions, "{own} {policy:?}");
            assert_eq!(allowed.connector_text(), own && policy != Some(false), "{own} {policy:?}");
        }
    }
}
