//! Questions about connections, beside runs and apart from them.

use std::time::Duration;

use wherry_domain::{
    area::Area,
    digest::Digest,
    id::AskId,
    path::{Path, Phase, Way},
};
use wherry_proto::frame::{Answer, Ask, Ending, FromAgent, FromController, Question};

use super::support::{
    agent::Agent,
    controller::Controller,
    package::Package,
    project::{Plan, offer},
    system::System,
};

#[tokio::test]
async fn two_questions_are_answered_at_once_a_third_is_sent_back_and_runs_go_on_beside_them() {
    let mut controller = Controller::start().await;
    let items = |line: &str| line.starts_with("GET /items").then(|| (200, "[{\"n\":0}]".to_owned()));
    let mut system = System::start(move |asked| items(&asked.line)).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::enrolled(&controller).await;
    agent.configure("slots = 1\n");
    let mut agent = agent;
    agent.start();
    assert!(controller.hello().await.asks);
    for id in [1, 2] {
        controller.say(ask(id, digest, 60)).await;
        assert!(system.next().await.line.starts_with("GET / "));
    }
    controller.say(ask(3, digest, 60)).await;
    assert_eq!(told(&mut controller).await, (3, Err(("agent.busy".to_owned(), Area::Connector))));
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!((report.ending, report.counts.read), (Ending::Ended(wherry_domain::run::Outcome::Succeeded), 1));
    drop(agent);
}

#[tokio::test]
async fn a_system_that_says_nothing_is_given_up_in_time_and_makes_room_for_the_next_question() {
    let mut controller = Controller::start().await;
    let system = System::start(|asked| (!asked.line.starts_with("GET / ")).then(|| (200, "{}".to_owned()))).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    // Once compiled and loaded, a connector is at hand.
    controller.say(ask(1, digest, 60)).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    controller.result().await;
    for id in 2..5 {
        controller.say(ask(id, digest, 1)).await;
        let (answered, result) = told(&mut controller).await;
        assert_eq!((answered, result), (id, Err(("connection.timed_out".to_owned(), Area::Network))));
    }
    drop(agent);
}

#[tokio::test]
async fn a_test_tells_the_way_that_it_took_each_time_anew() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    for id in 1..3 {
        controller.say(ask(id, digest, 60)).await;
        let path = way(&mut controller).await.unwrap();
        let phases: Vec<Phase> = path.steps.iter().map(|step| step.phase).collect();
        assert_eq!(phases, [Phase::Resolve, Phase::Connect, Phase::FirstByte]);
        let address = system.url().trim_start_matches("http://").to_owned();
        assert_eq!((path.way, path.address, path.obstacle), (Way::Direct, Some(address), None));
    }
    assert_eq!(system.connections(), 2);
    drop(agent);
}

#[tokio::test]
async fn a_test_that_fails_tells_where() {
    let mut controller = Controller::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let digest = Plan::read(&format!("http://127.0.0.1:{port}")).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    controller.say(ask(1, digest, 60)).await;
    let obstacle = way(&mut controller).await.unwrap().obstacle.unwrap();
    assert_eq!((obstacle.phase, obstacle.code.as_str()), (Phase::Connect, "egress.connect_refused"));
    assert!(obstacle.cause.contains("refused the connection"), "{}", obstacle.cause);
    drop(agent);
}

#[tokio::test]
async fn an_environment_that_the_group_does_not_serve_is_not_asked_about() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    controller.script().environments = vec!["dev"];
    let agent = Agent::connected(&mut controller).await;
    controller.say(ask(1, digest, 20)).await;
    let refused = ("deployment.foreign_environment".to_owned(), Area::Configuration);
    assert_eq!(told(&mut controller).await, (1, Err(refused)));
    assert!(system.so_far().is_empty());
    drop(agent);
}

fn ask(id: u128, deployment: Digest, seconds: u64) -> FromController {
    FromController::Ask(Ask {
        id: AskId::from_u128(id),
        deployment,
        connection: "system".parse().unwrap(),
        question: Question::Test,
        limit: Duration::from_secs(seconds),
    })
}

/// The way of the next answer.
async fn way(controller: &mut Controller) -> Option<Path> {
    let answered = |frame| if let FromAgent::Answer(answer) = frame { Some(answer) } else { None };
    controller.frame("an answer", answered).await.path
}

/// The next answer: to which question, and how it went.
async fn told(controller: &mut Controller) -> (u128, Result<Vec<u8>, (String, Area)>) {
    let answered = |frame| if let FromAgent::Answer(answer) = frame { Some(answer) } else { None };
    let Answer { id, result, .. } = controller.frame("an answer", answered).await;
    (id.as_u128(), result.map_err(|trouble| (trouble.failure.code.as_str().to_owned(), trouble.area)))
}
