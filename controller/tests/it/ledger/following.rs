//! Operations that follow from the end of another.

use wherry_controller::engine::{RunFilter, Settings};
use wherry_controller::model::RunRecord;
use wherry_domain::{
    failure::{Code, Failure},
    run::Outcome,
};

use crate::support::{Agent, Bench, Disk, name, on_each_store, settings};

on_each_store!(
    the_operation_that_follows_starts_once_in_the_commit_of_the_end,
    a_full_queue_does_not_swallow_the_operation_that_follows,
);

async fn the_operation_that_follows_starts_once_in_the_commit_of_the_end(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 3).await;
    let broken = Failure::permanent(Code::new("record.rejected"), "the target refused it");
    for (outcome, next) in
        [(Outcome::Succeeded, Some("look")), (Outcome::Failed(broken), Some("copy")), (Outcome::Cancelled, None)]
    {
        let run = bench.submit("chained").await;
        let attempt = agent.offer().await.attempt;
        agent.report(&bench, attempt, outcome.clone()).await;
        agent.heard(&bench).await;
        let followed = caused_by(&bench, run).await;
        let names: Vec<_> = followed.iter().map(|record| record.spec.operation.as_str()).collect();
        assert_eq!(names, next.into_iter().collect::<Vec<_>>(), "after {outcome:?}");
        if let Some(follower) = followed.first() {
            assert_eq!((follower.spec.by.as_str(), follower.spec.depth), ("operation chained", 1));
            agent.report(&bench, attempt_of(follower), Outcome::Succeeded).await;
            agent.heard(&bench).await;
        }
    }
}

async fn a_full_queue_does_not_swallow_the_operation_that_follows(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { max_active: 2, ..settings() }).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let run = bench.submit("chained").await;
    bench.submit("post").await;
    let attempt = agent.offer().await.attempt;
    agent.report(&bench, attempt, Outcome::Succeeded).await;
    agent.heard(&bench).await;
    let followed = caused_by(&bench, run).await;
    assert_eq!(followed.iter().map(|record| &record.spec.operation).collect::<Vec<_>>(), [&name("look")]);
}

async fn caused_by(bench: &Bench, run: wherry_domain::id::RunId) -> Vec<RunRecord> {
    let all = bench.ledger.runs(RunFilter::default(), None, 200).await.unwrap().items;
    all.into_iter().filter(|record| record.spec.caused_by == Some(run)).collect()
}

fn attempt_of(record: &RunRecord) -> wherry_proto::frame::Attempt {
    wherry_proto::frame::Attempt { run: record.spec.id, fence: record.stored.fence }
}
