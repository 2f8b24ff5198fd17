//! The organisation's policies in environments.

use core::time::Duration;
use std::collections::BTreeMap;

use wherry_domain::{
    name::Name,
    policy::{Allowed, LONGEST_RUN, MAX_PUBLISHERS, Policies},
};

use super::{Invalid, parse};
use crate::wire;

/// Most environments that a group serves, as the controller limits them.
const MAX_ENVIRONMENTS: usize = 1_000;

pub(super) fn policies(list: Vec<wire::EnvironmentPolicies>) -> Result<BTreeMap<Name, Policies>, Invalid> {
    if list.len() > MAX_ENVIRONMENTS {
        return Err(Invalid::new("policies", format!("there are more than {MAX_ENVIRONMENTS}")));
    }
    list.into_iter().map(one).collect()
}

fn one(wire: wire::EnvironmentPolicies) -> Result<(Name, Policies), Invalid> {
    if wire.allowed_publishers.len() > MAX_PUBLISHERS {
        return Err(Invalid::new("allowed_publishers", format!("there are more than {MAX_PUBLISHERS}")));
    }
    let allowed = wire.restrict_publishers.then(|| Allowed::Only(wire.allowed_publishers.into_iter().collect()));
    let policies = Policies {
        disable_auto_connector_update: wire.disable_auto_connector_update,
        allowed_publishers: allowed.unwrap_or_default(),
        max_run_time: Duration::from_millis(wire.max_run_time_ms).min(LONGEST_RUN),
        allow_answers: wire.allow_answers,
        refuse_invalid_certificates: wire.refuse_invalid_certificates,
        refuse_non_tls: wire.refuse_non_tls,
        // Kept by the controller; what an agent demands of deployments says its owner.
        require_signed_deployments: false,
    };
    Ok((parse("environment", &wire.environment)?, policies))
}

pub(super) fn wire_policies(policies: BTreeMap<Name, Policies>) -> Vec<wire::EnvironmentPolicies> {
    policies.into_iter().map(wire_one).collect()
}

fn wire_one((environment, policies): (Name, Policies)) -> wire::EnvironmentPolicies {
    let (restrict_publishers, allowed_publishers) = match policies.allowed_publishers {
        Allowed::Any => (false, Vec::new()),
        Allowed::Only(names) => (true, names.into_iter().collect()),
    };
    wire::EnvironmentPolicies {
        environment: environment.to_string(),
        disable_auto_connector_update: policies.disable_auto_connector_update,
        restrict_publishers,
        allowed_publishers,
        max_run_time_ms: u64::try_from(policies.max_run_time.as_millis()).unwrap_or(u64::MAX),
        allow_answers: policies.allow_answers,
        refuse_invalid_certificates: policies.refuse_invalid_certificates,
        refuse_non_tls: policies.refuse_non_tls,
    }
}

#[cfg(test)]
mod tests {
    use wherry_domain::policy::Policy;

    use super::*;

    #[test]
    fn policies_come_back_from_the_wire_as_they_were_sent() {
        let set = |policy: Policy, text: &str| (policy, policy.read(text).unwrap());
        let organisation = [
            set(Policy::DisableAutoConnectorUpdate, "true"),
            set(Policy::AllowedPublishers, "acme,initech"),
            set(Policy::MaxRunTime, "90m"),
            set(Policy::AllowAnswers, "true"),
            set(Policy::RefuseNonTls, "true"),
        ];
        let none = Policies::effective(
            &organisation[1..2].iter().cloned().collect(),
            &[set(Policy::AllowedPublishers, "hooli")].into(),
        );
        let sent = BTreeMap::from([
            ("prod".parse().unwrap(), Policies::effective(&organisation.into(), &BTreeMap::new())),
            ("dev".parse().unwrap(), Policies::default()),
            ("none".parse().unwrap(), none),
        ]);
        assert_eq!(policies(wire_policies(sent.clone())).unwrap(), sent);
    }
}
