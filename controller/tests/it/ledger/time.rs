//! What is forgotten, and when.

use std::time::Duration;

use wherry_controller::engine::Settings;
use wherry_proto::frame::{FromAgent, LogLine};

use crate::support::{Agent, Bench, Disk, on_each_store, settings};

const DAY: Duration = Duration::from_secs(86_400);

on_each_store!(
    a_finished_run_is_forgotten_with_its_log_and_an_active_one_is_not,
    a_sweep_of_many_long_logs_does_not_stop_the_writer,
);

async fn a_finished_run_is_forgotten_with_its_log_and_an_active_one_is_not(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { keep_runs: DAY, ..settings() }).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    let (done, waiting) = (bench.submit("look").await, bench.submit("look").await);
    let attempt = agent.offer().await.attempt;
    let line = LogLine { at_ms: 1, level: "info".to_owned(), text: "begun".to_owned() };
    agent.say(&bench, FromAgent::Log { attempt, lines: vec![line] }).await;
    agent.succeed(&bench, attempt).await;
    bench.pass(DAY).await;
    assert_eq!(bench.state(done).await, "succeeded");
    let younger = bench.submit("look").await;
    bench.ledger.cancel(younger, "ada".to_owned()).await.unwrap();
    bench.pass(Duration::from_secs(601)).await;
    assert_eq!(bench.ledger.run(done).await.unwrap_err().code.as_str(), "run.not_found");
    assert_eq!(bench.ledger.logs(done, 0, 10).await.unwrap_err().code.as_str(), "run.not_found");
    assert_eq!((bench.state(waiting).await, bench.state(younger).await), ("queued", "cancelled"));
    let bench = bench.restart().await;
    assert!(bench.ledger.run(done).await.is_err(), "it came back");
}

async fn a_sweep_of_many_long_logs_does_not_stop_the_writer(disk: Disk) {
    let bench = Bench::ready_with(disk, Settings { keep_runs: DAY, ..settings() }).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let many = 60;
    for _ in 0..many {
        bench.submit("look").await;
        let attempt = agent.offer().await.attempt;
        let line = LogLine { at_ms: 1, level: "info".to_owned(), text: "working".to_owned() };
        for _ in 0..12 {
            agent.say(&bench, FromAgent::Log { attempt, lines: vec![line.clone(); 500] }).await;
        }
        agent.succeed(&bench, attempt).await;
    }
    bench.pass(DAY).await;
    for _ in 0..(many + 10) {
        bench.pass(Duration::from_secs(601)).await;
    }
    let left = bench.ledger.runs(Default::default(), None, 200).await.unwrap().items;
    assert_eq!(left.len(), 0);
}
