//! Taking things back: deployments, environments, access tokens.

use std::time::Duration;

use wherry_controller::{engine::Kind, model::Scope};

use crate::support::{Agent, Bench, Disk, desk, name, on_each_store, submission};

on_each_store!(
    a_project_is_taken_out_of_an_environment_and_can_come_back,
    a_project_with_runs_that_are_not_over_stays_and_names_them,
    an_environment_is_removed_with_the_record_of_what_was_deployed_there,
    a_run_that_succeeded_is_not_retried_and_a_cancelled_one_is,
    names_of_access_tokens_are_unique,
    the_last_administrators_token_cannot_be_revoked,
);

async fn a_project_is_taken_out_of_an_environment_and_can_come_back(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let undeploy =
        async |bench: &Bench, project: &str| bench.ledger.undeploy("ada".to_owned(), name("prod"), name(project)).await;
    let missing = undeploy(&bench, "dsk").await.unwrap_err();
    assert_eq!((missing.kind, missing.code.as_str()), (Kind::NotFound, "project.not_deployed"));
    undeploy(&bench, "desk").await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(undeploy(&bench, "desk").await.unwrap_err().code.as_str(), "project.not_deployed");
    let refused = bench.try_submit(submission("look")).await.err().unwrap();
    assert_eq!(refused.code.as_str(), "operation.not_found");
    let known = bench.ledger.deployments(name("prod"), None).await.unwrap();
    assert!(known.len() == 1 && known[0].withdrawn_ms.is_some(), "{known:?}");
    let again = bench.ledger.deploy("ada".to_owned(), name("prod"), desk(), false).await.unwrap();
    assert_eq!((again.changed, again.deployment.number), (true, 2), "a number was used twice");
    let bench = bench.restart().await;
    bench.submit("look").await;
}

async fn a_project_with_runs_that_are_not_over_stays_and_names_them(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let run = bench.submit("look").await;
    let refused = bench.ledger.undeploy("ada".to_owned(), name("prod"), name("desk")).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "resource.in_use"));
    assert!(refused.message.contains(&run.to_string()), "{refused}");
    bench.ledger.cancel(run, "ada".to_owned()).await.unwrap();
    bench.ledger.undeploy("ada".to_owned(), name("prod"), name("desk")).await.unwrap();
}

async fn an_environment_is_removed_with_the_record_of_what_was_deployed_there(disk: Disk) {
    let bench = Bench::ready(disk).await;
    bench.ledger.undeploy("ada".to_owned(), name("prod"), name("desk")).await.unwrap();
    bench.ledger.delete_environment("ada".to_owned(), name("prod")).await.unwrap();
    let bench = bench.restart().await;
    bench.ledger.create_environment("ada".to_owned(), name("prod"), name("berlin")).await.unwrap();
    assert_eq!(bench.ledger.deployments(name("prod"), None).await.unwrap().len(), 0);
    let first = bench.ledger.deploy("ada".to_owned(), name("prod"), desk(), false).await.unwrap();
    assert_eq!(first.deployment.number, 1);
}

async fn a_run_that_succeeded_is_not_retried_and_a_cancelled_one_is(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let done = bench.submit("look").await;
    let attempt = agent.offer().await.attempt;
    agent.succeed(&bench, attempt).await;
    let refused = bench.ledger.retry(done, "ada".to_owned()).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "run.succeeded"));
    bench.ledger.drain("ada".to_owned(), "pier-1".to_owned(), true).await.unwrap();
    let cancelled = bench.submit("look").await;
    bench.ledger.cancel(cancelled, "ada".to_owned()).await.unwrap();
    let again = bench.ledger.retry(cancelled, "ada".to_owned()).await.unwrap();
    assert_eq!(again.spec.caused_by, Some(cancelled));
}

async fn names_of_access_tokens_are_unique(disk: Disk) {
    let bench = Bench::open(disk);
    let make = async || {
        let (who, called) = ("ada".to_owned(), "ci".to_owned());
        bench.ledger.create_access_token(who, called, vec![Scope::Run], None).await
    };
    let (first, _) = make().await.unwrap();
    let refused = make().await.err().unwrap();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "token.name_taken"));
    bench.ledger.revoke_access_token("ada".to_owned(), first.id).await.unwrap();
    make().await.unwrap();
}

async fn the_last_administrators_token_cannot_be_revoked(disk: Disk) {
    let bench = Bench::open(disk);
    let make = async |called: &str, scope, expires_in_s| {
        let made = bench.ledger.create_access_token("ada".to_owned(), called.to_owned(), vec![scope], expires_in_s);
        made.await.unwrap().0.id
    };
    let revoke = async |id: &String| bench.ledger.revoke_access_token("ada".to_owned(), id.clone()).await;
    let (first, second) = (make("first", Scope::Admin, None).await, make("second", Scope::Admin, Some(60)).await);
    let other = make("ci", Scope::Deploy, None).await;
    bench.pass(Duration::from_secs(60)).await;
    let refused = revoke(&first).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Conflict, "token.last_administrator"));
    revoke(&second).await.unwrap();
    revoke(&other).await.unwrap();
    let next = make("next", Scope::Admin, None).await;
    revoke(&first).await.unwrap();
    assert_eq!(revoke(&next).await.unwrap_err().code.as_str(), "token.last_administrator");
}
