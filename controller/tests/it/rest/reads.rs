//! Actions that only read, on a disk that takes its time.

use serde_json::json;
use wherry_domain::run::{Outcome, State};
use wherry_proto::frame::{Ending, FromAgent, Offer, Report};

use super::actions::{POST, end, ready, restarted};
use crate::support::{Agent, Api, in_flight, soon};

const LIST: &str = "/v1/environments/prod/actions/crm/list";
const ANSWER: &str = "{\"records\":[1]}";

#[tokio::test]
async fn a_read_is_answered_before_the_disk_has_it_and_its_agent_may_forget_it_only_afterwards() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    api.bench.memory().hold();
    let called = read(&api, &mut agent).await;
    read(&api, &mut agent).await;
    api.bench.held().await;
    assert!(agent.hears_nothing(), "acknowledged before it was durable");
    let mut list = Box::pin(api.get("/v1/runs"));
    assert!(futures::poll!(list.as_mut()).is_pending(), "somebody was shown what is not durable");
    api.bench.memory().release();
    agent.acknowledged(2).await;
    assert_eq!(soon(list).await.with(200)["items"].as_array().unwrap().len(), 2);
    assert_eq!(api.bench.state(called.attempt.run).await, "succeeded");
    let log = api.get(&format!("/v1/runs/{}/logs", called.attempt.run)).await.with(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_action_that_writes_begins_only_when_the_disk_has_it() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    api.bench.memory().hold();
    let write = json!({ "records": [{}] });
    let mut call = Box::pin(api.post(POST, &write));
    tokio::select! {
        _ = &mut call => panic!("it is done, and nobody did it"),
        () = api.bench.held() => (),
    }
    assert!(agent.hears_nothing(), "offered before it was durable");
    api.bench.memory().release();
    let (answered, ()) = tokio::join!(soon(call), async {
        let offer = agent.offer().await;
        end(&api, &mut agent, &offer, Outcome::Succeeded, None).await;
    });
    answered.with(200);
}

#[tokio::test]
async fn a_power_cut_takes_reads_with_it_and_nothing_that_was_waited_for() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let kept = read(&api, &mut agent).await;
    agent.acknowledged(1).await;
    api.bench.memory().hold();
    let lost = read(&api, &mut agent).await;
    api.bench.held().await;
    api.bench.memory().crash();
    agent.stream_breaks_without_a_word().await;
    let bench = restarted(api).await;
    assert_eq!(bench.state(kept.attempt.run).await, "succeeded");
    assert_eq!(bench.ledger.run(lost.attempt.run).await.unwrap_err().code.as_str(), "run.not_found");
    // Its agent still has the result, and is told that it may go.
    agent.connect(&bench, &in_flight(lost.attempt)).await;
    agent.succeed(&bench, lost.attempt).await;
    assert_eq!(bench.ledger.totals().await.unwrap().1.values().sum::<usize>(), 0);
}

#[tokio::test]
async fn a_disk_that_fails_under_a_read_ends_the_controller() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    api.bench.memory().hold();
    read(&api, &mut agent).await;
    api.bench.held().await;
    api.bench.memory().break_down();
    agent.stream_breaks_without_a_word().await;
    assert_eq!(api.get("/v1/runs").await.problem(503), "controller.stopping");
}

#[tokio::test]
async fn a_result_for_a_run_stays_durable_first_beside_reads() {
    let api = ready().await;
    let mut agent = Agent::online(&api.bench, "pier-1", 4).await;
    let run = api.bench.submit("post").await;
    let offer = agent.offer().await;
    api.bench.memory().hold();
    read(&api, &mut agent).await;
    let report = agent.ended(offer.attempt, Ending::Ended(Outcome::Succeeded));
    agent.say(&api.bench, FromAgent::Result(report.clone())).await;
    api.bench.held().await;
    api.bench.memory().release();
    agent.acknowledged(report.seq).await;
    let record = api.bench.run(run).await;
    assert_eq!(record.stored.state, State::Finished { outcome: Outcome::Succeeded });
}

/// Somebody calls, the agent answers, the answer arrives.
async fn read(api: &Api, agent: &mut Agent) -> Offer {
    let nothing = json!({});
    let (answered, offer) = soon(async {
        tokio::join!(api.post(LIST, &nothing), async {
            let offer = agent.offer().await;
            let ended = agent.ended(offer.attempt, Ending::Ended(Outcome::Succeeded));
            let report = Report { answer: Some(ANSWER.as_bytes().to_vec()), ..ended };
            agent.say(&api.bench, FromAgent::Result(report)).await;
            offer
        })
    })
    .await;
    assert_eq!(answered.with(200)["answer"], json!({ "records": [1] }));
    offer
}
