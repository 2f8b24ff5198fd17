//! What connections remember: handed from run to run, changed under the fence, gone with the connection.

use serde_json::{Value, json};
use wherry_domain::{id::RunId, project::Project, run::Outcome};
use wherry_proto::frame::{Attempt, ConnectionState, Ending, FromAgent, Offer, Wrapped};
use wherry_trust::keys::sha256;

use crate::support::{Agent, Bench, Disk, desk, failed, name, on_each_store, package, publisher_key};

on_each_store!(
    what_a_run_leaves_behind_is_handed_to_the_next_one_also_after_a_restart,
    a_checkpoint_hands_it_to_the_next_attempt_and_an_older_fence_changes_nothing,
    of_two_runs_at_the_same_time_the_first_to_say_so_is_heard_and_the_other_is_told,
    what_a_connection_remembers_goes_with_it,
    another_connector_of_the_same_connection_begins_with_nothing,
);

async fn what_a_run_leaves_behind_is_handed_to_the_next_one_also_after_a_restart(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    // The following run is offered in the same turn.
    bench.submit("chained").await;
    let first = agent.offer().await;
    assert_eq!(first.states, []);
    leave(&mut agent, &bench, &first, b"one").await;
    let second = agent.offer().await;
    assert_eq!(second.states, [kept(b"one")]);
    leave(&mut agent, &bench, &second, b"two").await;
    bench.settle().await;
    let bench = bench.restart().await;
    agent.connect(&bench, &[]).await;
    bench.submit("look").await;
    assert_eq!(agent.offer().await.states, [kept(b"two")]);
}

async fn a_checkpoint_hands_it_to_the_next_attempt_and_an_older_fence_changes_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    bench.submit("persistent").await;
    let first = agent.offer().await;
    for bytes in [b"one", b"two"] {
        // What an attempt says later stands on what it said before.
        let states = vec![made_from(&first, bytes)];
        agent.say(&bench, FromAgent::Checkpoint { attempt: first.attempt, cursor: "1".to_owned(), states }).await;
    }
    let report = agent.report(&bench, first.attempt, failed()).await;
    agent.acknowledged(report.seq).await;
    bench.pass(std::time::Duration::from_secs(9)).await;
    let second = agent.offer().await;
    assert_eq!((second.attempt.fence.attempt(), &second.states[..]), (2, &[kept(b"two")][..]));
    let late = vec![made_from(&second, b"late")];
    let stale = FromAgent::Checkpoint { attempt: first.attempt, cursor: "2".to_owned(), states: late.clone() };
    agent.say(&bench, stale).await;
    let mut report = agent.ended(first.attempt, Ending::Ended(Outcome::Succeeded));
    report.states = late;
    agent.say(&bench, FromAgent::Result(report.clone())).await;
    agent.acknowledged(report.seq).await;
    agent.succeed(&bench, second.attempt).await;
    bench.submit("look").await;
    assert_eq!(agent.offer().await.states, [kept(b"two")]);
}

async fn of_two_runs_at_the_same_time_the_first_to_say_so_is_heard_and_the_other_is_told(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 2).await;
    let runs = [bench.submit("look").await, bench.submit("look").await];
    let offers = [agent.offer().await, agent.offer().await];
    leave(&mut agent, &bench, &offers[1], b"second").await;
    leave(&mut agent, &bench, &offers[0], b"first").await;
    let told = |run: RunId| runs.iter().position(|one| *one == run).unwrap();
    let loser = offers[0].attempt.run;
    let lines = bench.ledger.logs(runs[told(loser)], 0, 10).await.unwrap().items;
    assert!(lines.iter().any(|(_, line)| line.text.contains("another run changed it")), "{lines:?}");
    assert_eq!(bench.state(loser).await, "succeeded", "what it did is done");
    bench.submit("look").await;
    assert_eq!(agent.offer().await.states, [kept(b"second")]);
}

async fn what_a_connection_remembers_goes_with_it(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    remember(&mut agent, &bench, b"old").await;
    // A deployment that keeps the connection keeps what it remembers.
    let mut changed = as_json(&desk());
    changed["operations"]["more"] = changed["operations"]["look"].clone();
    deploy(&bench, changed).await;
    assert_eq!(offered(&mut agent, &bench).await, [kept(b"old")]);
    bench.ledger.undeploy("test".to_owned(), name("prod"), name("desk")).await.unwrap();
    deploy(&bench, as_json(&desk())).await;
    assert_eq!(offered(&mut agent, &bench).await, []);
    // A run that was under way when its connection went leaves nothing behind.
    remember(&mut agent, &bench, b"new").await;
    bench.submit("look").await;
    let offer = agent.offer().await;
    let mut renamed = as_json(&desk());
    let connection = renamed["connections"].as_object_mut().unwrap().remove("tracker").unwrap();
    renamed["connections"]["other"] = connection;
    let renamed: Value =
        serde_json::from_str(&renamed.to_string().replace("\"connection\":\"tracker\"", "\"connection\":\"other\""))
            .unwrap();
    deploy(&bench, renamed).await;
    leave(&mut agent, &bench, &offer, b"orphan").await;
    deploy(&bench, as_json(&desk())).await;
    assert_eq!(offered(&mut agent, &bench).await, []);
}

async fn another_connector_of_the_same_connection_begins_with_nothing(disk: Disk) {
    let bench = Bench::ready(disk).await;
    let mut agent = Agent::online(&bench, "pier-1", 1).await;
    let key = publisher_key();
    let trusted = wherry_trust::release::Publisher {
        name: "other".to_owned(),
        key: key.public(),
        prefix: wherry_trust::release::Prefix::all(),
    };
    bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
    let (envelope, wasm) = package("halo", "1.0.0", &key);
    bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
    remember(&mut agent, &bench, b"of http").await;
    let mut other = as_json(&desk());
    other["connections"]["tracker"]["connector"] = json!("halo");
    deploy(&bench, other).await;
    assert_eq!(offered(&mut agent, &bench).await, []);
    deploy(&bench, as_json(&desk())).await;
    assert_eq!(offered(&mut agent, &bench).await, []);
}

fn kept(bytes: &[u8]) -> ConnectionState {
    ConnectionState { connection: name("tracker"), state: Wrapped(bytes.to_vec()), base: None }
}

/// A state that was made from the one that the offer brought.
fn made_from(offer: &Offer, bytes: &[u8]) -> ConnectionState {
    ConnectionState { base: offer.states.first().map(|state| sha256(&state.state.0)), ..kept(bytes) }
}

/// Ends an attempt well; its connection remembers this from now on.
async fn leave(agent: &mut Agent, bench: &Bench, offer: &Offer, bytes: &[u8]) {
    let mut report = agent.ended(offer.attempt, Ending::Ended(Outcome::Succeeded));
    report.states = vec![made_from(offer, bytes)];
    agent.say(bench, FromAgent::Result(report.clone())).await;
    agent.acknowledged(report.seq).await;
}

async fn remember(agent: &mut Agent, bench: &Bench, bytes: &[u8]) {
    bench.submit("look").await;
    let offer = agent.offer().await;
    leave(agent, bench, &offer, bytes).await;
}

/// What a run begins with, which leaves everything as it is.
async fn offered(agent: &mut Agent, bench: &Bench) -> Vec<ConnectionState> {
    bench.submit("look").await;
    let Offer { attempt, states, .. } = agent.offer().await;
    let attempt: Attempt = attempt;
    agent.succeed(bench, attempt).await;
    states
}

fn as_json(project: &Project) -> Value {
    serde_json::to_value(project).unwrap()
}

async fn deploy(bench: &Bench, project: Value) {
    let project = serde_json::from_value(project).unwrap();
    bench.ledger.deploy("test".to_owned(), name("prod"), project, false).await.unwrap();
}
