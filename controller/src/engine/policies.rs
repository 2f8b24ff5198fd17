//! Policies: the organisation's rules, environments that are stricter, and what a deployment has to keep.

use std::collections::{BTreeMap, BTreeSet};

use wherry_domain::{
    failure::Code,
    name::Name,
    policy::{Allowed, Policies, Policy, Set, Value},
    project::{MAX_TIMEOUT, Project, check::Fault},
};

use super::{Ledger, Refusal, Turn};
use crate::model::{Connector, PolicyRecord};

/// An operation may run for longer than the policy allows.
const RUN_TOO_LONG: Code = Code::new("policy.run_too_long");
/// The connector's publisher is not one that the policy allows.
const PUBLISHER_REFUSED: Code = Code::new("policy.publisher_refused");
/// A connection asks for weaker TLS than the policy allows.
const TLS_REFUSED: Code = Code::new("policy.tls_refused");

/// Warnings that are told one by one: more than a person reads.
const MOST_WARNINGS: usize = 100;

/// Where a policy was set, and which.
pub(super) type Place = (Option<Name>, Policy);

/// A policy with what holds and who said so.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// Which.
    pub policy: Policy,
    /// What holds.
    pub value: Value,
    /// What was set at this place, if anything was.
    pub set: Option<PolicyRecord>,
    /// What the organisation set, if this is an environment's view.
    pub organisation: Option<PolicyRecord>,
    /// Environments whose locks only operators move, of the policy that says so.
    pub held_in: BTreeSet<Name>,
    /// What people may not have meant, of a value that was set just now.
    pub warnings: Vec<String>,
}

impl Ledger {
    /// Every policy as it holds for the organisation, or in an environment.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn policies(&self, environment: Option<Name>) -> Result<Vec<PolicyView>, Refusal> {
        self.act(move |turn| {
            if let Some(name) = &environment {
                turn.environment(name)?;
            }
            Ok(turn.policy_views(environment.as_ref()))
        })
        .await
    }

    /// Sets a policy for the organisation, or more tightly in an environment.
    ///
    /// # Errors
    /// If the value is none of this policy, or the environment's would be looser than the organisation's.
    pub async fn set_policy(
        &self,
        who: String,
        environment: Option<Name>,
        policy: Policy,
        text: String,
    ) -> Result<PolicyView, Refusal> {
        let value = policy.read(&text);
        let value = value.map_err(|error| {
            Refusal::invalid("policy.value_invalid", format!("{policy} cannot be {text:.80}: {error}"))
        })?;
        self.begin(move |turn| turn.set_policy(who, environment, policy, value)).await
    }

    /// Forgets what was set of a policy at this place.
    ///
    /// # Errors
    /// If there is no such environment, or nothing was set there.
    pub async fn unset_policy(
        &self,
        who: String,
        environment: Option<Name>,
        policy: Policy,
    ) -> Result<PolicyView, Refusal> {
        self.act(move |turn| {
            if let Some(name) = &environment {
                turn.environment(name)?;
            }
            let place = (environment, policy);
            let missing = || {
                Refusal::not_found(
                    "policy.not_set",
                    format!("{policy} is not set here: it has its default, or what the organisation set"),
                )
            };
            turn.state.policies.remove(&place).ok_or_else(missing)?;
            let key = key(&place);
            turn.undefine("policy", &key);
            turn.audit(&who, "policy.unset", &key, "");
            turn.desire();
            Ok(turn.policy_view(place.0.as_ref(), policy))
        })
        .await
    }
}

/// Key of a stored policy: no name begins with a slash, so the organisation's come apart.
fn key((environment, policy): &Place) -> String {
    format!("{}/{policy}", environment.as_ref().map(Name::as_str).unwrap_or_default())
}

/// Puts what is stored in place.
pub(super) fn load(records: Vec<PolicyRecord>) -> BTreeMap<Place, PolicyRecord> {
    records.into_iter().map(|record| ((record.environment.clone(), record.policy), record)).collect()
}

impl Turn<'_> {
    /// What holds in an environment.
    pub(super) fn policies(&self, environment: &Name) -> Policies {
        Policies::effective(&self.set_at(None), &self.set_at(Some(environment)))
    }

    /// What holds in those of the environments that have other rules than the usual ones.
    pub(super) fn policies_of<'a>(&self, environments: impl Iterator<Item = &'a Name>) -> BTreeMap<Name, Policies> {
        let all = environments.map(|name| (name.clone(), self.policies(name)));
        all.filter(|(_, policies)| *policies != Policies::default()).collect()
    }

    /// Forgets what was said for an environment that is removed.
    pub(super) fn forget_policies(&mut self, environment: &Name) {
        for policy in Policy::ALL {
            let place = (Some(environment.clone()), policy);
            if self.state.policies.remove(&place).is_some() {
                self.undefine("policy", &key(&place));
            }
        }
    }

    /// What of a project breaks the rules of the environment.
    pub(super) fn forbidden(&self, environment: &Name, project: &Project) -> Vec<Fault> {
        let policies = self.policies(environment);
        let mut faults = Vec::new();
        for (name, operation) in &project.operations {
            // What no policy could allow is a fault of its own.
            if operation.timeout > policies.max_run_time && operation.timeout <= MAX_TIMEOUT {
                let most = policies.get(Policy::MaxRunTime);
                let message = format!("a run may take at most {most} in {environment} (policy max_run_time)");
                faults.push(fault(&["operations", name.as_str(), "timeout"], RUN_TOO_LONG, message));
            }
        }
        for (name, connection) in &project.connections {
            let at = |key: &'static str| ["connections", name.as_str(), "tls", key];
            if policies.refuse_invalid_certificates && connection.tls.allow_invalid_certificates {
                let message =
                    format!("{environment} refuses invalid certificates (policy refuse_invalid_certificates)");
                faults.push(fault(&at("allow_invalid_certificates"), TLS_REFUSED, message));
            }
            if policies.refuse_non_tls && connection.tls.use_non_tls_connections {
                let message = format!("{environment} refuses connections without TLS (policy refuse_non_tls)");
                faults.push(fault(&at("use_non_tls_connections"), TLS_REFUSED, message));
            }
            let publisher = self.chosen(environment, &connection.connector).map(|known| known.publisher.as_str());
            if let Some(publisher) = publisher.filter(|publisher| !policies.allowed_publishers.has(publisher)) {
                let allowed = &policies.allowed_publishers;
                let message = format!(
                    "{} is signed by {publisher}, and {environment} allows {allowed} (policy allowed_publishers)",
                    connection.connector
                );
                faults.push(fault(&["connections", name.as_str(), "connector"], PUBLISHER_REFUSED, message));
            }
        }
        faults
    }

    fn set_policy(
        &mut self,
        who: String,
        environment: Option<Name>,
        policy: Policy,
        value: Value,
    ) -> Result<PolicyView, Refusal> {
        if let Some(name) = &environment {
            self.environment(name)?;
            let organisation = self.set_at(None).remove(&policy).unwrap_or_else(|| policy.default());
            policy
                .tighten(&organisation, &value)
                .map_err(|looser| Refusal::conflict(wherry_domain::policy::Looser::CODE, looser.to_string()))?;
        }
        let place = (environment, policy);
        let key = key(&place);
        let value = value.to_string();
        self.audit(&who, "policy.set", &key, &value);
        let by = who.clone();
        let (environment, set_ms) = (place.0.clone(), self.wall_ms);
        let record = PolicyRecord { policy, environment, value, set_by: who, set_ms };
        self.define("policy", &key, &record);
        self.state.policies.insert(place.clone(), record);
        self.hold_locks(&by);
        self.desire();
        let view = self.policy_view(place.0.as_ref(), policy);
        let warnings =
            if policy == Policy::AllowedPublishers { self.warn_of(&view.value, place.0.as_ref()) } else { Vec::new() };
        Ok(PolicyView { warnings, ..view })
    }

    /// Publishers that nobody knows, and connectors that run now and will not any more.
    fn warn_of(&self, value: &Value, environment: Option<&Name>) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Value::Publishers(Allowed::Only(names)) = value {
            let unknown = names.iter().filter(|name| !self.state.publishers.contains_key(*name));
            warnings.extend(unknown.map(|name| format!("no publisher {name} is trusted: see wherry publisher list")));
        }
        let here = self.state.environments.keys().filter(|name| environment.is_none_or(|wanted| wanted == *name));
        warnings.extend(here.flat_map(|name| self.stopped_in(name)));
        if warnings.len() > MOST_WARNINGS {
            let more = warnings.len() - MOST_WARNINGS;
            warnings.truncate(MOST_WARNINGS);
            warnings.push(format!("and {more} more"));
        }
        warnings
    }

    /// Connectors of an environment's lock whose publishers are not allowed there.
    fn stopped_in(&self, environment: &Name) -> Vec<String> {
        let Some(lock) = self.lock_of(environment) else { return Vec::new() };
        let allowed = self.policies(environment).allowed_publishers;
        let locked = lock.connectors.iter().chain(&lock.trials);
        let known = locked.filter_map(|(name, one)| self.state.connectors.get(name)?.get(&one.version));
        let refused = known.filter(|connector| !allowed.has(&connector.publisher));
        let told = refused.map(|Connector { name, version, publisher, .. }| {
            format!("connector {name} {version} of publisher {publisher} may not run in {environment} any more")
        });
        told.collect()
    }

    /// What somebody set at this place.
    fn set_at(&self, environment: Option<&Name>) -> Set {
        let here = self.state.policies.iter().filter(|((place, _), _)| place.as_ref() == environment);
        // What cannot be read any more was stored by a newer controller, which this one refuses to follow.
        here.filter_map(|((_, policy), record)| Some((*policy, policy.read(&record.value).ok()?))).collect()
    }

    fn policy_views(&self, environment: Option<&Name>) -> Vec<PolicyView> {
        Policy::ALL.into_iter().map(|policy| self.policy_view(environment, policy)).collect()
    }

    fn policy_view(&self, environment: Option<&Name>, policy: Policy) -> PolicyView {
        let here = environment.map(|name| self.set_at(Some(name))).unwrap_or_default();
        let record = |place: Option<&Name>| self.state.policies.get(&(place.cloned(), policy)).cloned();
        PolicyView {
            policy,
            value: Policies::effective(&self.set_at(None), &here).get(policy),
            set: record(environment),
            organisation: environment.and_then(|_| record(None)),
            held_in: if policy == Policy::DisableAutoConnectorUpdate {
                self.held_in(environment)
            } else {
                BTreeSet::new()
            },
            warnings: Vec::new(),
        }
    }
}

fn fault(path: &[&str], code: Code, message: String) -> Fault {
    let path = path.iter().map(|part| (*part).to_owned()).collect();
    Fault { path, code, message, suggestion: None, at: None }
}
