//! What an environment may say, and what then holds.

use alloc::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn one(policy: Policy, text: &str) -> Set {
    Set::from([(policy, policy.read(text).unwrap())])
}

#[test]
fn without_a_word_of_anybody_the_defaults_hold() {
    let none = Set::new();
    assert_eq!(Policies::effective(&none, &none), Policies::default());
    let defaults: Vec<_> = Policy::ALL.into_iter().map(|policy| policy.default().to_string()).collect();
    assert_eq!(defaults, ["false", "any", "1d", "false", "false", "false", "false"]);
}

#[test]
fn an_environment_tightens_and_never_loosens() {
    let cases = [
        (Policy::DisableAutoConnectorUpdate, "true", "false"),
        (Policy::AllowedPublishers, "acme", "acme,initech"),
        (Policy::AllowedPublishers, "acme", "any"),
        (Policy::MaxRunTime, "1h", "2h"),
        (Policy::AllowAnswers, "false", "true"),
        (Policy::RefuseInvalidCertificates, "true", "false"),
        (Policy::RefuseNonTls, "true", "false"),
        (Policy::RequireSignedDeployments, "true", "false"),
    ];
    for (policy, tight, loose) in cases {
        let (tight, loose) = (policy.read(tight).unwrap(), policy.read(loose).unwrap());
        let refused = policy.tighten(&tight, &loose).unwrap_err();
        assert!(refused.to_string().contains(policy.key()), "{refused}");
        assert_eq!(policy.tighten(&loose, &tight), Ok(()), "{policy}");
        assert_eq!(policy.tighten(&tight, &tight), Ok(()), "{policy}");
    }
}

#[test]
fn an_organisation_that_tightens_later_overrules_its_environments() {
    let before = one(Policy::AllowedPublishers, "acme,initech");
    let later = one(Policy::AllowedPublishers, "initech,hooli");
    let policies = Policies::effective(&later, &before);
    assert_eq!(policies.allowed_publishers.to_string(), "initech");
    assert!(policies.allowed_publishers.has("initech") && !policies.allowed_publishers.has("acme"));
    let nobody = Policies::effective(&one(Policy::AllowedPublishers, "hooli"), &before).allowed_publishers;
    assert_eq!((nobody.to_string().as_str(), nobody.has("acme")), ("none", false), "an empty list is not: everybody");
}

#[test]
fn a_looser_word_of_an_environment_counts_for_nothing_where_nobody_set_the_rule() {
    let policies = Policies::effective(&Set::new(), &one(Policy::AllowAnswers, "true"));
    assert!(!policies.allow_answers);
}

#[test]
fn values_read_back_what_they_wrote_and_others_are_refused() {
    let good = [(Policy::RefuseNonTls, "true"), (Policy::MaxRunTime, "90m"), (Policy::AllowedPublishers, "a.b,c_d")];
    for (policy, text) in good {
        assert_eq!(policy.read(text).unwrap().to_string(), text);
    }
    let bad = [
        (Policy::RefuseNonTls, "yes"),
        (Policy::MaxRunTime, "0s"),
        (Policy::MaxRunTime, "25h"),
        (Policy::AllowedPublishers, ""),
        (Policy::AllowedPublishers, "a,,b"),
        (Policy::AllowedPublishers, "a b"),
    ];
    for (policy, text) in bad {
        policy.read(text).unwrap_err();
    }
    assert_eq!("refuse-non-tls".parse(), Ok(Policy::RefuseNonTls));
    assert_eq!("nothing".parse::<Policy>(), Err(UnknownPolicy));
}

proptest! {
    /// Whatever was set in whatever order, nothing is allowed that either of the two forbids.
    #[test]
    fn what_holds_is_never_looser_than_either(organisation in any::<[Option<bool>; 5]>(), here in any::<[Option<bool>; 5]>()) {
        let flags = Policy::ALL.into_iter().filter(|policy| matches!(policy.default(), Value::Flag(_)));
        let set = |values: [Option<bool>; 5]| -> Set {
            flags.clone().zip(values).filter_map(|(policy, value)| Some((policy, Value::Flag(value?)))).collect()
        };
        let (organisation, here) = (set(organisation), set(here));
        let policies = Policies::effective(&organisation, &here);
        for policy in flags {
            let value = policies.get(policy);
            for said in [organisation.get(&policy), here.get(&policy)].into_iter().flatten() {
                prop_assert_eq!(policy.tighten(said, &value), Ok(()));
            }
        }
    }
}
