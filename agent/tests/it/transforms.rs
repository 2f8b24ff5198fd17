//! Runs with programs between source and target.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use wherry_domain::{
    failure::{Failure, FailureClass},
    run::Outcome,
};
use wherry_proto::frame::{Counts, Ending, FromAgent, FromController, Offer, Report};

use super::support::{
    agent::Agent,
    controller::Controller,
    package::Package,
    project::{Plan, attempt, offer},
    system::{Asked, System},
};

#[tokio::test]
async fn records_are_left_out_changed_and_multiplied_on_their_way() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(5).await;
    let url = system.url();
    let plan = Plan {
        when: Some(".n >= 3"),
        transform: Some("range(.n - 2) as $i\n| { from: .n, $i, page: $vars.page, run: $run.id, by: $agent.name }"),
        ..Plan::copy(&url)
    };
    let digest = plan.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!(report.ending, Ending::Ended(Outcome::Succeeded), "{report:?}");
    assert_eq!(report.counts, Counts { read: 5, written: 3, rejected: 0, batches: 1 });
    let run = attempt(1, 1).run.to_string();
    let expected = [(3, 0), (4, 0), (4, 1)]
        .map(|(from, i)| format!("{{\"from\":{from},\"i\":{i},\"page\":\"items\",\"run\":\"{run}\",\"by\":\"eu-1\"}}"));
    assert_eq!(sent(&mut system), expected);
    let summary = &report.log.first().unwrap().text;
    assert!(summary.contains("5 records; transformed: 3 records;") && summary.contains("3 written"), "{summary}");
}

#[tokio::test]
async fn a_run_of_which_nothing_is_left_succeeds_without_its_target() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(5).await;
    let url = system.url();
    let digest = Plan { when: Some("false"), ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!((report.ending, report.counts.read, report.counts.written), (succeeded(), 5, 0));
    assert!(sent(&mut system).is_empty());
}

#[tokio::test]
async fn a_retry_goes_on_behind_the_confirmed_records_and_gives_every_result_its_old_key() {
    let mut controller = Controller::start().await;
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let mut system = System::start(move |asked| {
        Some(match asked.line.as_str() {
            line if line.starts_with("GET /items?page=1 ") => (200, "[{\"n\":1},{\"n\":2}]".to_owned()),
            line if line.starts_with("GET /items?page=2 ") => (200, "[{\"n\":0}]".to_owned()),
            line if line.starts_with("GET /items?page=3 ") => (200, "[{\"n\":3}]".to_owned()),
            line if line.starts_with("GET") => (200, "[]".to_owned()),
            _ if asked.body == "[3,1]" && breaks.load(SeqCst) => (503, String::new()),
            _ => (200, "{}".to_owned()),
        })
    })
    .await;
    let url = system.url();
    let query = json!({ "path": "/items", "paging": { "page": { "parameter": "page" } } });
    let plan = Plan {
        query,
        transform: Some(".n as $n | range($n) | [$n, .]"),
        key_header: Some("X-Key"),
        ..Plan::copy(&url)
    };
    let digest = plan.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let checkpoint = |frame| if let FromAgent::Checkpoint { cursor, .. } = frame { Some(cursor) } else { None };
    let cursor = controller.frame("a checkpoint", checkpoint).await;
    let report = controller.result().await;
    assert_eq!((failure(&report).class, report.counts.written), (FailureClass::Retry, 4), "{report:?}");
    let first = keys(system.so_far());
    assert_eq!(bodies(&first), ["[1,0]", "[2,0]", "[2,1]", "[3,0]", "[3,1]"]);
    broken.store(false, SeqCst);
    let again = Offer { attempt: attempt(1, 2), cursor: Some(cursor), ..offer(1, digest) };
    controller.say(FromController::Offer(again)).await;
    let report = controller.result().await;
    assert_eq!(report.ending, succeeded(), "{report:?}");
    let asked = system.so_far();
    assert!(!asked.iter().any(|asked| asked.line.contains("page=1 ")), "{asked:?}");
    let second = keys(asked);
    assert_eq!(bodies(&second), ["[3,0]", "[3,1]", "[3,2]"], "what was not confirmed as a whole comes again");
    assert_eq!(second[..2], first[3..], "with the keys of the first attempt");
    let mut all: Vec<&String> = first.iter().chain(&second[2..]).map(|(key, _)| key).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "and no key is used for two");
}

#[tokio::test]
async fn a_record_that_fails_ends_the_run_with_its_number_and_keeps_its_content() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(3).await;
    let url = system.url();
    let program = "if .n == 2 then error(\"customer 4711 is odd\") else . end";
    let digest = Plan { transform: Some(program), ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    let failure = failure(&report);
    assert_eq!((failure.code.as_str(), failure.class), ("transform.failed", FailureClass::Permanent));
    assert!(failure.message.contains("record 3") && failure.effects_begun, "{failure:?}");
    assert!(!format!("{report:?}").contains("4711"), "{report:?}");
    assert_eq!((sent(&mut system).len(), report.counts.written), (2, 2), "what came before it has arrived");
}

#[tokio::test]
async fn a_deployment_with_a_program_that_does_not_compile_fails_before_its_target_begins() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let url = system.url();
    let digest = Plan { when: Some("$ENV.HOME"), ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!((failure(&report).code.as_str(), sent(&mut system).len()), ("transform.invalid", 0));
}

#[tokio::test]
async fn hostile_programs_end_with_their_limit_while_the_agent_stays_well() {
    let mut controller = Controller::start().await;
    controller.script().heartbeat = Duration::from_millis(200);
    let mut system = System::with_items(1).await;
    let url = system.url();
    let programs = [
        ("def f: [f]; f", "transform.stack_limit"),
        ("[.] | until(false; . + .)", "transform.memory_limit"),
        ("[range(1e9)]", "transform.memory_limit"),
        ("range(1e9)", "transform.output_limit"),
        ("def f: f; f", "transform.time_limit"),
    ];
    let deployed: Vec<_> = programs
        .iter()
        .map(|(program, _)| Plan { transform: Some(program), ..Plan::copy(&url) }.deploy(&controller, &Package::http()))
        .collect();
    let _agent = Agent::connected(&mut controller).await;
    for ((run, digest), (program, code)) in (1..).zip(deployed).zip(programs) {
        controller.say(FromController::Offer(offer(run, digest))).await;
        if code == "transform.time_limit" {
            let working = attempt(run, 1);
            for _ in 0..5 {
                controller
                    .beat("a heartbeat in between", |beat| beat.in_flight.iter().any(|one| one.attempt == working))
                    .await;
            }
        }
        let report = controller.result().await;
        assert_eq!(failure(&report).code.as_str(), code, "{program}: {report:?}");
        assert_eq!(failure(&report).class, FailureClass::Permanent, "{program}");
    }
    assert!(sent(&mut system).is_empty());
    let well = Plan { transform: Some("{ ok: .n }"), ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    controller.say(FromController::Offer(offer(9, well))).await;
    assert_eq!((controller.result().await.ending, sent(&mut system)), (succeeded(), vec!["{\"ok\":0}".to_owned()]));
}

#[tokio::test]
async fn a_run_in_an_endless_program_can_be_cancelled() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let url = system.url();
    let digest = Plan { transform: Some("def f: f; f"), ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let asked = system.next().await;
    assert!(asked.line.starts_with("GET"), "{asked:?}");
    controller.say(FromController::Cancel(attempt(1, 1))).await;
    assert_eq!(controller.result().await.ending, Ending::Ended(Outcome::Cancelled));
}

fn succeeded() -> Ending {
    Ending::Ended(Outcome::Succeeded)
}

fn failure(report: &Report) -> &Failure {
    match &report.ending {
        Ending::Ended(Outcome::Failed(failure)) => failure,
        other @ (Ending::Ended(Outcome::Succeeded | Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
    }
}

/// The bodies of what was sent since the last look.
fn sent(system: &mut System) -> Vec<String> {
    system.so_far().into_iter().map(|asked| asked.body).filter(|body| !body.is_empty()).collect()
}

/// What was sent, each with its key.
fn keys(asked: Vec<Asked>) -> Vec<(String, String)> {
    let sent = asked.into_iter().filter(|asked| !asked.body.is_empty());
    sent.map(|asked| (asked.header("x-key").unwrap().to_owned(), asked.body)).collect()
}

fn bodies(sent: &[(String, String)]) -> Vec<&str> {
    sent.iter().map(|(_, body)| body.as_str()).collect()
}
