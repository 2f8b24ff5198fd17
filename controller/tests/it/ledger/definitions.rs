//! Environments, groups, connectors, deployments; and a disk without room for more of them.

use wherry_controller::engine::Kind;
use wherry_domain::run::Outcome;
use wherry_trust::release::{Prefix, Publisher, sign_release};

use crate::support::{
    Agent, Bench, Disk, desk, in_flight, name, on_each_store, package, publisher_key, release, submission,
};

on_each_store!(
    an_environment_is_made_once_and_its_group_with_it,
    an_environment_that_something_depends_on_stays_and_says_what_that_is,
    definitions_outlive_the_process,
    a_full_disk_takes_results_but_no_new_work,
    a_deployment_gets_a_number_only_if_something_changed,
    a_release_that_no_record_can_hold_is_refused_and_the_ledger_goes_on,
);

async fn an_environment_is_made_once_and_its_group_with_it(disk: Disk) {
    let bench = Bench::open(disk);
    let (environment, group) =
        bench.ledger.create_environment("ada".to_owned(), name("prod"), name("berlin")).await.unwrap();
    assert_eq!((environment.name, environment.group), (name("prod"), group.id));
    let taken = bench.ledger.create_environment("ada".to_owned(), name("prod"), name("paris")).await.unwrap_err();
    assert_eq!((taken.kind, taken.code.as_str()), (Kind::Conflict, "environment.exists"));
    bench.ledger.create_environment("ada".to_owned(), name("dev"), name("berlin")).await.unwrap();
    let groups = bench.ledger.groups().await.unwrap();
    assert_eq!(groups.len(), 1, "the refused request made no group");
    assert_eq!((&groups[0].0.name, &groups[0].1), (&name("berlin"), &vec![name("dev"), name("prod")]));
}

async fn an_environment_that_something_depends_on_stays_and_says_what_that_is(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let remove = async || bench.ledger.delete_environment("ada".to_owned(), name("prod")).await.unwrap_err();
    let deployed = remove().await;
    assert_eq!(deployed.code.as_str(), "resource.in_use");
    assert!(deployed.message.contains("desk"), "{deployed}");
    bench.submit("look").await;
    assert!(remove().await.message.contains("1 run"), "{}", remove().await);
    bench.ledger.create_environment("ada".to_owned(), name("empty"), name("berlin")).await.unwrap();
    bench.ledger.delete_environment("ada".to_owned(), name("empty")).await.unwrap();
    let missing = bench.ledger.delete_environment("ada".to_owned(), name("empty")).await.unwrap_err();
    assert_eq!(missing.code.as_str(), "environment.not_found");
}

async fn definitions_outlive_the_process(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let agent = Agent::enrol(&bench, "pier-1", 2).await;
    let (token, _) = bench
        .ledger
        .create_access_token("ada".to_owned(), "ci".to_owned(), vec![wherry_controller::model::Scope::Run], None)
        .await
        .unwrap();
    let bench = bench.restart().await;
    let environments = bench.ledger.environments().await.unwrap();
    assert_eq!(environments.len(), 2);
    assert_eq!(bench.ledger.agent("pier-1".to_owned()).await.unwrap().agent.id, agent.id);
    assert_eq!(bench.ledger.publishers().await.unwrap().len(), 1);
    assert_eq!(bench.ledger.connectors(None).await.unwrap().len(), 1);
    assert_eq!(bench.ledger.access_tokens()[0].id, token.id);
    let (deployment, snapshot) = bench.ledger.operations(name("prod")).await.unwrap().remove(0);
    assert_eq!((deployment.number, snapshot.project.name.as_str()), (1, "desk"));
}

async fn a_full_disk_takes_results_but_no_new_work(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    let (environments, audit) = counted(&bench).await;

    let mut bench = bench;
    bench.fill(true);
    let bench = bench.restart().await;
    agent.connect(&bench, &in_flight(attempt)).await;
    let refused = bench.try_submit(submission("look")).await.err().unwrap();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Full, "store.full"));
    let refused = bench.ledger.create_environment("ada".to_owned(), name("more"), name("berlin")).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "store.full");
    assert_eq!(counted(&bench).await, (environments, audit), "a refusal changed something");
    agent.succeed(&bench, attempt).await;
    assert_eq!(bench.state(run).await, "succeeded");

    let mut bench = bench;
    bench.fill(false);
    let bench = bench.restart().await;
    assert_eq!(bench.run(run).await.stored.state, wherry_domain::run::State::Finished { outcome: Outcome::Succeeded });
    bench.submit("look").await;
}

async fn a_deployment_gets_a_number_only_if_something_changed(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let deploy = async |project, trial| bench.ledger.deploy("ada".to_owned(), name("prod"), project, trial).await;
    let same = deploy(desk(), false).await.unwrap();
    assert_eq!((same.changed, same.deployment.number), (false, 1));
    let mut changed = desk();
    changed.description = "tickets".to_owned();
    let trial = deploy(changed.clone(), true).await.unwrap();
    assert_eq!((trial.changed, trial.deployment.number), (true, 2));
    assert_eq!(bench.ledger.deployments(name("prod"), None).await.unwrap().len(), 1, "a trial was kept");
    let (one, two) = tokio::join!(deploy(changed.clone(), false), deploy(changed, false));
    let mut numbers = [one, two].map(|done| done.map(|done| done.deployment.number).map_err(|no| no.code.to_string()));
    numbers.sort();
    let overtaken = Err("deployment.overtaken".to_owned());
    assert!(numbers == [Ok(2), Ok(2)] || numbers == [Ok(2), overtaken], "{numbers:?}");
    assert_eq!(bench.ledger.deployments(name("prod"), None).await.unwrap()[0].number, 2);

    let mut wrong = desk();
    wrong.operations.get_mut("copy").unwrap().target.as_mut().unwrap().activity = "upsrt".to_owned();
    let refused = deploy(wrong, false).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "project.invalid");
    assert_eq!(refused.faults[0].path, ["operations", "copy", "target", "activity"]);
    assert_eq!(refused.faults[0].suggestion.as_deref(), Some("upsert"));
}

async fn a_release_that_no_record_can_hold_is_refused_and_the_ledger_goes_on(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let key = publisher_key();
    let trusted = Publisher { name: "wordy".to_owned(), key: key.public(), prefix: Prefix::all() };
    bench.ledger.trust_publisher("ada".to_owned(), trusted).await.unwrap();
    let mut wordy = release("wordy", "1.0.0", b"wordy");
    let template = wordy.activities[0].clone();
    wordy.activities = (0..256)
        .map(|n| {
            let mut one = template.clone();
            one.name = format!("{}{n}", "x".repeat(60));
            one
        })
        .collect();
    wordy.notes = "n".repeat(16 * 1024);
    let envelope = sign_release(&wordy, &key).unwrap().to_json();
    let refused = bench.ledger.publish("ada".to_owned(), envelope, b"wordy".to_vec()).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "connector.release_too_large"));
    let (envelope, wasm) = package("wordy", "1.0.1", &key);
    assert!(bench.ledger.publish("ada".to_owned(), envelope, wasm).await.unwrap().1);
}

async fn counted(bench: &Bench) -> (usize, u64) {
    let audit = bench.ledger.audit(None, 1).await.unwrap().items[0].n;
    (bench.ledger.environments().await.unwrap().len(), audit)
}
