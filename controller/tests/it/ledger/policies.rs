//! Policies: what an environment may say, what agents are told, and what cannot be deployed.

use wherry_controller::engine::Refusal;
use wherry_domain::{
    name::Name,
    policy::{Policies, Policy},
    project::Project,
};
use wherry_proto::frame::FromController;

use crate::support::{Agent, Bench, Disk, desk, name, on_each_store, soon};

on_each_store!(
    an_environment_may_be_stricter_than_its_organisation_and_never_looser,
    policies_say_who_set_them_and_survive_a_restart,
    agents_are_told_the_policies_of_their_environments,
    what_breaks_a_policy_cannot_be_deployed,
    who_lets_nobody_known_publish_is_warned_of_what_stops,
);

async fn set(bench: &Bench, environment: Option<&str>, policy: Policy, value: &str) -> Result<String, Refusal> {
    let place = environment.map(name);
    let view = soon(bench.ledger.set_policy("ada".to_owned(), place, policy, value.to_owned())).await?;
    Ok(view.value.to_string())
}

async fn value(bench: &Bench, environment: Option<&str>, policy: Policy) -> String {
    let views = bench.ledger.policies(environment.map(name)).await.unwrap();
    views.into_iter().find(|view| view.policy == policy).unwrap().value.to_string()
}

async fn an_environment_may_be_stricter_than_its_organisation_and_never_looser(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let policy = Policy::MaxRunTime;
    assert_eq!(set(&bench, None, policy, "2h").await.unwrap(), "2h");
    assert_eq!(set(&bench, Some("prod"), policy, "3h").await.unwrap_err().code.as_str(), "policy.looser");
    assert_eq!(set(&bench, Some("prod"), policy, "1h").await.unwrap(), "1h");
    assert_eq!(value(&bench, None, policy).await, "2h");
    assert_eq!(set(&bench, None, policy, "30m").await.unwrap(), "30m");
    assert_eq!(value(&bench, Some("prod"), policy).await, "30m", "the organisation tightened later");
    assert_eq!(set(&bench, None, policy, "soon").await.unwrap_err().code.as_str(), "policy.value_invalid");
    let unset = bench.ledger.unset_policy("ada".to_owned(), Some(name("prod")), policy).await.unwrap();
    assert_eq!(unset.value.to_string(), "30m");
    let again = bench.ledger.unset_policy("ada".to_owned(), Some(name("prod")), policy).await.unwrap_err();
    assert_eq!(again.code.as_str(), "policy.not_set");
}

async fn policies_say_who_set_them_and_survive_a_restart(disk: Disk) {
    let bench = Bench::ready(disk).await;
    set(&bench, None, Policy::RefuseNonTls, "true").await.unwrap();
    set(&bench, Some("prod"), Policy::AllowedPublishers, "acme").await.unwrap();
    let bench = bench.restart().await;
    let views = bench.ledger.policies(Some(name("prod"))).await.unwrap();
    assert_eq!(views.len(), Policy::ALL.len());
    let of = |policy| views.iter().find(|view| view.policy == policy).unwrap();
    let record = of(Policy::RefuseNonTls).organisation.clone().unwrap();
    assert!(record.set_by == "ada" && record.set_ms > 0);
    let here = of(Policy::AllowedPublishers);
    assert_eq!((here.set.clone().unwrap().set_by.as_str(), here.value.to_string().as_str()), ("ada", "acme"));
    assert!(of(Policy::MaxRunTime).set.is_none() && of(Policy::MaxRunTime).organisation.is_none());
}

async fn agents_are_told_the_policies_of_their_environments(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::enrol(&bench, "pier-1", 1).await;
    assert!(agent.connect(&bench, &[]).await.desired.policies.is_empty(), "nothing is restricted");
    set(&bench, Some("prod"), Policy::RefuseNonTls, "true").await.unwrap();
    let told = |frame: &FromController| {
        if let FromController::Desired(desired) = frame { Some(desired.policies.clone()) } else { None }
    };
    let policies = agent.find(told).await;
    let wanted = Policies { refuse_non_tls: true, ..Policies::default() };
    assert_eq!(policies.into_iter().collect::<Vec<(Name, Policies)>>(), [(name("prod"), wanted)]);
}

async fn what_breaks_a_policy_cannot_be_deployed(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let deploy = async |project: Project| {
        let refused = bench.ledger.deploy("ada".to_owned(), name("prod"), project, false).await.unwrap_err();
        refused.faults.into_iter().map(|fault| (fault.path.join("."), fault.code.to_string())).collect::<Vec<_>>()
    };
    set(&bench, Some("prod"), Policy::MaxRunTime, "30s").await.unwrap();
    let faults = deploy(desk()).await;
    assert!(faults.contains(&("operations.look.timeout".to_owned(), "policy.run_too_long".to_owned())), "{faults:?}");
    bench.ledger.unset_policy("ada".to_owned(), Some(name("prod")), Policy::MaxRunTime).await.unwrap();
    for (policy, key) in [
        (Policy::RefuseInvalidCertificates, "allow_invalid_certificates"),
        (Policy::RefuseNonTls, "use_non_tls_connections"),
    ] {
        set(&bench, None, policy, "true").await.unwrap();
        let mut project = desk();
        let tls = &mut project.connections.get_mut(&name("tracker")).unwrap().tls;
        (tls.allow_invalid_certificates, tls.use_non_tls_connections) =
            (key.starts_with("allow"), key.starts_with("use"));
        let faults = deploy(project).await;
        let wanted = (format!("connections.tracker.tls.{key}"), "policy.tls_refused".to_owned());
        assert!(faults.contains(&wanted), "{faults:?}");
    }
    set(&bench, None, Policy::AllowedPublishers, "initech").await.unwrap();
    let faults = deploy(desk()).await;
    assert_eq!(faults, [("connections.tracker.connector".to_owned(), "policy.publisher_refused".to_owned())]);
}

async fn who_lets_nobody_known_publish_is_warned_of_what_stops(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let warnings = async |value: &str| {
        let place = Some(name("prod"));
        let set = bench.ledger.set_policy("ada".to_owned(), place, Policy::AllowedPublishers, value.to_owned()).await;
        set.unwrap().warnings
    };
    assert!(warnings("acme").await.is_empty());
    let expected = [
        "no publisher nobody-such is trusted: see wherry publisher list",
        "connector http 1.0.0 of publisher acme may not run in prod any more",
    ];
    assert_eq!(warnings("nobody-such").await, expected);
    let views = bench.ledger.policies(Some(name("prod"))).await.unwrap();
    assert!(views.iter().all(|view| view.warnings.is_empty()), "who only looks is not warned");
}
