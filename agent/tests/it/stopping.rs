//! The end in two stages.

use rustix::process::Signal;
use wherry_domain::run::Outcome;
use wherry_proto::frame::{Ending, FromAgent, FromController, Stage};

use super::support::{
    agent::Agent,
    controller::Controller,
    package::Package,
    project::{Plan, attempt, offer},
    system::System,
};

#[tokio::test]
async fn an_idle_agent_says_goodbye_and_ends() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::connected(&mut controller).await;
    agent.signal(Signal::TERM);
    controller.frame("a goodbye", |frame| matches!(frame, FromAgent::Goodbye { .. }).then_some(())).await;
    assert_eq!(agent.ended().await, Some(0));
    assert!(!agent.data().join("ready.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stopping_agent_takes_no_work_finishes_what_it_has_and_waits_for_the_acknowledgement() {
    let mut controller = Controller::start().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let mut system = System::start(move |_| {
        let _released = tokio::task::block_in_place(|| held.lock().unwrap().recv());
        Some((200, "[]".to_owned()))
    })
    .await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::connected(&mut controller).await;
    controller.script().acks = false;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let started = |frame: FromAgent| match frame {
        FromAgent::Heartbeat(beat) => beat.in_flight.iter().any(|item| item.stage == Stage::Started).then_some(()),
        _ => None,
    };
    controller.frame("a run at work", started).await;
    agent.signal(Signal::TERM);
    let drained = |frame: FromAgent| match frame {
        FromAgent::Heartbeat(beat) => (beat.free_slots == 0 && !beat.in_flight.is_empty()).then_some(()),
        _ => None,
    };
    controller.frame("a heartbeat of a stopping agent", drained).await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    let refused = controller
        .frame("a refusal", |frame| match frame {
            FromAgent::Declined { failure, .. } => Some(failure.code.as_str().to_owned()),
            _ => None,
        })
        .await;
    assert_eq!(refused, "agent.draining");
    release.send(()).unwrap();
    let report = controller.result().await;
    assert_eq!((report.attempt, report.ending), (attempt(1, 1), Ending::Ended(Outcome::Succeeded)));
    controller.say(FromController::Ack { up_to: report.seq }).await;
    assert_eq!(agent.ended().await, Some(0));
    system.next().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_the_next_process_tells_what_was_cut_off() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| None).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    system.next().await;
    agent.signal(Signal::TERM);
    let drained = |frame: FromAgent| match frame {
        FromAgent::Heartbeat(beat) => (beat.free_slots == 0).then_some(()),
        _ => None,
    };
    controller.frame("a heartbeat of a stopping agent", drained).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await, Some(0));
    agent.start();
    controller.hello().await;
    assert_eq!(controller.result().await.ending, Ending::Interrupted);
}
