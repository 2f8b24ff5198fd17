//! Runs of connections that one agent uses at a time.

use std::time::Duration;

use serde_json::json;
use wherry_controller::engine::{Inquiry, Submission};
use wherry_proto::frame::{Answer, Attempt, FromAgent, FromController, Question};

use crate::support::{Agent, Bench, Disk, in_flight, name, on_each_store, submission};

/// Term and grace of the ordinary lease.
const LOST: Duration = Duration::from_secs(75);

on_each_store!(
    the_work_of_a_single_agent_connection_goes_to_one_agent_at_a_time_and_other_work_to_all,
    when_its_agent_is_lost_the_work_goes_to_another_one_after_the_lease,
    an_agent_that_drains_gives_the_seat_away_once_it_holds_no_such_run,
    a_restart_remembers_who_has_the_seat,
    a_question_about_such_a_connection_goes_to_the_agent_that_has_the_seat,
);

async fn the_work_of_a_single_agent_connection_goes_to_one_agent_at_a_time_and_other_work_to_all(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 4).await;
    let mut other = Agent::online(&bench, "pier-2", 4).await;
    for _ in 0..4 {
        bench.try_submit(helix()).await.unwrap();
    }
    let (to_one, to_other) = (one.offers(&bench).await.len(), other.offers(&bench).await.len());
    // Of four slots one is kept for callers who wait.
    assert!((to_one, to_other) == (3, 0) || (to_one, to_other) == (0, 3), "{to_one} {to_other}");
    bench.submit("look").await;
    let (holder, idle) = if to_one > 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
    assert_eq!(idle.offers(&bench).await.len(), 1, "the fourth waits for its agent, not before everybody else");
    assert_eq!(holder.offers(&bench).await, []);
}

async fn when_its_agent_is_lost_the_work_goes_to_another_one_after_the_lease(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 1).await;
    bench.try_submit(helix()).await.unwrap();
    one.offer().await;
    let mut other = Agent::online(&bench, "pier-2", 1).await;
    bench.try_submit(helix()).await.unwrap();
    bench.ledger.close_session(one.id, one.epoch).await;
    bench.pass(LOST - Duration::from_millis(1)).await;
    other.connect(&bench, &[]).await;
    assert_eq!(other.offers(&bench).await, [], "its lease runs");
    bench.pass(Duration::from_millis(1)).await;
    let first = other.offer().await.attempt;
    one.connect(&bench, &[]).await;
    assert_eq!(one.offers(&bench).await, [], "the seat does not come back by itself");
    other.succeed(&bench, first).await;
    other.offer().await;
}

async fn an_agent_that_drains_gives_the_seat_away_once_it_holds_no_such_run(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 2).await;
    bench.try_submit(helix()).await.unwrap();
    let attempt = one.offer().await.attempt;
    let mut other = Agent::online(&bench, "pier-2", 2).await;
    bench.ledger.drain("test".to_owned(), "pier-1".to_owned(), true).await.unwrap();
    bench.try_submit(helix()).await.unwrap();
    assert_eq!(other.offers(&bench).await, [], "two would be at work");
    one.succeed(&bench, attempt).await;
    other.offer().await;
}

async fn a_restart_remembers_who_has_the_seat(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 2).await;
    let mut other = Agent::online(&bench, "pier-2", 2).await;
    bench.try_submit(helix()).await.unwrap();
    bench.settle().await;
    let attempts: Vec<Attempt> = one.offers(&bench).await.into_iter().map(|offer| offer.attempt).collect();
    let (holder, idle) = if attempts.is_empty() { (&mut other, &mut one) } else { (&mut one, &mut other) };
    let attempt = match attempts.first() {
        Some(attempt) => *attempt,
        None => holder.offer().await.attempt,
    };
    let bench = bench.restart().await;
    idle.connect(&bench, &[]).await;
    bench.try_submit(helix()).await.unwrap();
    assert_eq!(idle.offers(&bench).await, []);
    holder.connect(&bench, &in_flight(attempt)).await;
    holder.offer().await;
}

async fn a_question_about_such_a_connection_goes_to_the_agent_that_has_the_seat(disk: Disk) {
    let bench = ready(disk).await;
    let mut one = Agent::online(&bench, "pier-1", 4).await;
    for _ in 0..2 {
        bench.try_submit(helix()).await.unwrap();
        one.offer().await;
    }
    // It has nothing to do, and would be the one to ask otherwise.
    let _idle = Agent::online(&bench, "pier-2", 4).await;
    let inquiry = Inquiry {
        environment: name("prod"),
        project: Some(name("remedy")),
        connection: name("helix"),
        agent: None,
        question: Question::Test,
        limit: Duration::from_secs(1),
    };
    let (answered, ()) = tokio::join!(bench.ledger.ask(inquiry), async {
        let FromController::Ask(ask) = one.frame().await else { panic!("it was not asked") };
        let answer = Answer { id: ask.id, duration: Duration::ZERO, path: None, result: Ok(Vec::new()) };
        one.say(&bench, FromAgent::Answer(answer)).await;
    });
    assert_eq!(answered.unwrap().agent.as_str(), "pier-1");
}

async fn ready(disk: Disk) -> Bench {
    let bench = Bench::ready(disk).await;
    let source = json!({ "connection": "helix", "activity": "list" });
    let document = json!({
        "name": "remedy",
        "connections": { "helix": { "connector": "http", "url": "https://helix.example", "single_agent": true } },
        "operations": { "incidents": { "source": source } },
    });
    let project = serde_json::from_value(document).unwrap();
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
    bench
}

fn helix() -> Submission {
    Submission { project: Some(name("remedy")), ..submission("incidents") }
}
