//! The conversation with the controller.

use std::time::Duration;

use tonic::Status;
use wherry_proto::frame::{Decision, Ending, FromAgent, FromController, GoAwayReason, Stage};

use super::support::{
    agent::Agent,
    controller::{AGENT, Controller},
    package::Package,
    project::{Plan, attempt, offer},
    system::System,
};

#[tokio::test]
async fn an_agent_introduces_itself_beats_and_says_that_it_is_ready() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure("slots = 3\n");
    assert_eq!(agent.command(&["secret", "set", "token", "--environment", "prod"], "s3cret\n").await.code, Some(0));
    agent.start();
    let hello = controller.hello().await;
    assert_eq!((hello.slots, hello.free_slots, hello.next_seq), (3, 3, 1));
    assert_eq!(hello.secret_names, ["prod/token"]);
    assert_eq!(controller.beat("a heartbeat", |_| true).await.number, 1);
    assert_eq!(controller.beat("another", |_| true).await.number, 2);
    let ready = std::fs::read_to_string(agent.data().join("ready.json")).unwrap();
    assert!(ready.contains(&AGENT.to_string()) && ready.contains("\"connected\":true"), "{ready}");
}

#[tokio::test]
async fn a_lost_stream_is_dialled_again() {
    let mut controller = Controller::start().await;
    let agent = Agent::connected(&mut controller).await;
    controller.end_session(Status::unavailable("restarting")).await;
    let again = controller.hello().await;
    assert!(again.in_flight.is_empty());
    drop(agent);
}

#[tokio::test]
async fn a_controller_that_stops_answering_heartbeats_is_left() {
    let mut controller = Controller::start().await;
    let agent = Agent::connected(&mut controller).await;
    controller.script().beats = false;
    controller.hello().await;
    drop(agent);
}

#[tokio::test]
async fn a_removed_agent_ends_and_says_why() {
    for reason in [GoAwayReason::Locked, GoAwayReason::Removed] {
        let mut controller = Controller::start().await;
        let mut agent = Agent::connected(&mut controller).await;
        controller.say(FromController::GoAway { reason, reconnect_after: Duration::ZERO }).await;
        assert_eq!(agent.ended().await, Some(77), "{reason:?}");
        assert!(!agent.data().join("ready.json").exists());
    }
}

#[tokio::test]
async fn an_agent_that_is_refused_for_good_ends() {
    let controller = Controller::start().await;
    controller.script().refusal = Some(Status::permission_denied("this agent is locked"));
    let mut agent = Agent::enrolled(&controller).await;
    agent.start();
    assert_eq!(agent.ended().await, Some(77));
}

#[tokio::test]
async fn a_superseded_agent_comes_back() {
    let mut controller = Controller::start().await;
    let agent = Agent::connected(&mut controller).await;
    let away = FromController::GoAway { reason: GoAwayReason::Superseded, reconnect_after: Duration::from_secs(5) };
    controller.say(away).await;
    controller.hello().await;
    drop(agent);
}

#[tokio::test]
async fn a_result_is_sent_again_after_a_reconnect_until_it_is_acknowledged() {
    let mut controller = Controller::start().await;
    let system = System::with_items(3).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::connected(&mut controller).await;
    controller.script().acks = false;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let first = controller.result().await;
    controller.end_session(Status::unavailable("restarting")).await;
    let hello = controller.hello().await;
    assert_eq!(
        hello.in_flight.iter().map(|item| (item.attempt, item.stage)).collect::<Vec<_>>(),
        [(attempt(1, 1), Stage::Finished)]
    );
    assert_eq!(controller.result().await, first);
    agent.kill().await;
    agent.start();
    let hello = controller.hello().await;
    assert_eq!((hello.in_flight.len(), hello.next_seq), (1, 2), "it survived the process");
    controller.script().acks = true;
    assert_eq!(controller.result().await, first);
    controller.say(FromController::Ack { up_to: first.seq }).await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    assert_eq!(controller.result().await.seq, 2);
}

#[tokio::test]
async fn results_that_were_acknowledged_are_repeated_to_a_restored_controller() {
    let mut controller = Controller::start().await;
    let system = System::with_items(3).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    let mut sent = Vec::new();
    for run in 1..=2 {
        controller.say(FromController::Offer(offer(run, digest))).await;
        sent.push(controller.result().await);
    }
    controller.script().epoch = 2;
    controller.end_session(Status::unavailable("restarting")).await;
    controller.hello().await;
    controller.say(FromController::Offer(offer(3, digest))).await;
    assert_eq!(controller.result().await.seq, 3, "a controller that only restarted has forgotten nothing");
    controller.script().epoch = (1 << 32) + 3;
    controller.end_session(Status::unavailable("restored")).await;
    controller.hello().await;
    for first in sent {
        let again = controller.result().await;
        assert_eq!((again.seq, again.attempt, again.ending), (first.seq, first.attempt, first.ending));
    }
    assert_eq!(controller.result().await.seq, 3);
    drop(agent);
}

#[tokio::test]
async fn a_run_of_a_dead_process_is_reported_as_interrupted() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| None).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    system.next().await;
    agent.kill().await;
    agent.start();
    let hello = controller.hello().await;
    assert_eq!(hello.in_flight.first().map(|item| item.stage), Some(Stage::Finished));
    let report = controller.result().await;
    assert_eq!((report.attempt, report.ending, report.seq), (attempt(1, 1), Ending::Interrupted, 1));
}

#[tokio::test]
async fn a_run_that_belongs_to_someone_else_is_dropped_without_a_word() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| None).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    system.next().await;
    controller.script().verdict = |_| Decision::Drop;
    controller.end_session(Status::unavailable("restarting")).await;
    assert_eq!(controller.hello().await.in_flight.first().map(|item| item.stage), Some(Stage::Started));
    let over = |frame| match frame {
        FromAgent::Heartbeat(beat) => beat.in_flight.is_empty().then_some(()),
        FromAgent::Result(report) => panic!("{report:?}"),
        FromAgent::Hello(_)
        | FromAgent::Declined { .. }
        | FromAgent::Progress { .. }
        | FromAgent::Checkpoint { .. }
        | FromAgent::Log { .. }
        | FromAgent::Answer(_)
        | FromAgent::Keyring(_)
        | FromAgent::OAuth(_)
        | FromAgent::Inventory(_)
        | FromAgent::Goodbye { .. } => None,
    };
    controller.frame("a heartbeat without the run", over).await;
    drop(agent);
}
