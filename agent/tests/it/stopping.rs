//! The end in two stages.

use rustix::process::Signal;
use serde_json::json;
use wherry_domain::run::Outcome;
use wherry_proto::frame::{Ending, FromAgent, FromController, Heartbeat, Stage};

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
    let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
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
    let at_work = |beat: &Heartbeat| beat.in_flight.iter().any(|item| item.stage == Stage::Started);
    controller.beat("a run at work", at_work).await;
    agent.signal(Signal::TERM);
    let finishing = |beat: &Heartbeat| beat.free_slots == 0 && !beat.in_flight.is_empty();
    controller.beat("a heartbeat of a stopping agent", finishing).await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    assert_eq!(controller.declined().await, (attempt(2, 1), "agent.draining".to_owned()));
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
    controller.beat("a heartbeat of a stopping agent", |beat| beat.free_slots == 0).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await, Some(0));
    agent.start();
    controller.hello().await;
    assert_eq!(controller.result().await.ending, Ending::Interrupted);
}

#[tokio::test]
async fn sessions_at_systems_end_with_the_agent() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|asked| {
        let login = asked.line.starts_with("POST /api/jwt/login ");
        Some((200, if login { "token.0".to_owned() } else { "[]".to_owned() }))
    })
    .await;
    let auth = json!({
        "type": "login_token", "username": "ada", "password": { "secret": "password" }, "logout_url": "/api/jwt/logout",
    });
    let url = system.url();
    let digest = Plan { auth, ..Plan::read(&url) }.deploy(&controller, &Package::http());
    let mut agent = Agent::enrolled(&controller).await;
    let set = agent.command(&["secret", "set", "password", "--environment", "prod"], "hunter2").await;
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    agent.start();
    controller.hello().await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!(report.ending, Ending::Ended(Outcome::Succeeded));
    controller.say(FromController::Ack { up_to: report.seq }).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().await, Some(0));
    let asked: Vec<String> =
        system.so_far().iter().map(|asked| asked.line.split(' ').nth(1).unwrap_or_default().to_owned()).collect();
    assert_eq!(asked, ["/api/jwt/login", "/items", "/api/jwt/logout"]);
}
