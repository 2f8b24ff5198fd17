//! Runs from offer to result.

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
    lease::LeaseTerms,
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

fn failure(report: &Report) -> &Failure {
    match &report.ending {
        Ending::Ended(Outcome::Failed(failure)) => failure,
        other @ (Ending::Ended(Outcome::Succeeded | Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn records_move_from_source_to_target_with_the_connections_credential() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(3).await;
    let auth = json!({ "type": "basic", "username": "desk", "password": { "secret": "desk-password" } });
    let url = system.url();
    let digest = Plan { auth, ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    agent.command(&["secret", "set", "desk-password", "--environment", "prod"], "hunter2").await;
    for run in 1..=3 {
        controller.say(FromController::Offer(offer(run, digest))).await;
        let report = controller.result().await;
        assert_eq!((report.seq, report.ending), (u64::try_from(run).unwrap(), Ending::Ended(Outcome::Succeeded)));
        assert_eq!(report.counts, Counts { read: 3, written: 3, rejected: 0, batches: 1 });
    }
    let asked = system.so_far();
    assert_eq!(asked.len(), 3 * 4);
    assert!(asked.iter().all(|asked| asked.header("authorization") == Some("Basic ZGVzazpodW50ZXIy")));
    let bodies: Vec<&str> = asked.iter().take(4).map(|asked| asked.body.as_str()).collect();
    assert_eq!(bodies, ["", "{\"n\":0}", "{\"n\":1}", "{\"n\":2}"]);
    assert!(system.connections() <= 2, "connections are used again, also by later runs");
}

#[tokio::test]
async fn a_run_without_its_secret_fails_before_anything_is_sent_and_names_it() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let auth = json!({ "type": "bearer", "token": { "secret": "desk-token" } });
    let url = system.url();
    let digest = Plan { auth, ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    let failure = failure(&report);
    assert_eq!((failure.code.as_str(), failure.effects_begun), ("secret.missing", false));
    assert!(failure.message.contains("prod/desk-token"), "{}", failure.message);
    assert!(system.so_far().is_empty());
}

#[tokio::test]
async fn variables_of_the_run_stand_over_those_of_the_deployment() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let url = system.url();
    let query =
        json!({ "path": "/items/{{ vars.page }}", "query": { "run": "{{ run.id }}", "by": "{{ agent.name }}" } });
    let digest = Plan { query, ..Plan::read(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    let offer = Offer { variables: br#"{"page":"b"}"#.to_vec(), ..offer(1, digest) };
    controller.say(FromController::Offer(offer)).await;
    controller.result().await;
    let line = system.next().await.line;
    assert!(line.starts_with("GET /items/b?"), "{line}");
    assert!(line.contains(&format!("run={}", attempt(1, 1).run)) && line.contains("by=eu-1"), "{line}");
}

#[tokio::test]
async fn more_offers_than_slots_are_declined_and_a_slot_that_is_free_again_is_used() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| None).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure("slots = 1\n");
    agent.start();
    controller.hello().await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    system.next().await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    assert_eq!(controller.declined().await, (attempt(2, 1), "agent.no_slot".to_owned()));
    controller.say(FromController::Cancel(attempt(1, 1))).await;
    let report = controller.result().await;
    assert_eq!((report.attempt, report.ending), (attempt(1, 1), Ending::Ended(Outcome::Cancelled)));
    controller.say(FromController::Offer(offer(3, digest))).await;
    system.next().await;
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_stops_what_changes_something() {
    let mut controller = Controller::start().await;
    let terms = LeaseTerms {
        term: Duration::from_millis(1_500),
        grace: Duration::from_secs(1),
        margin: Duration::from_millis(500),
    };
    controller.script().lease = terms;
    controller.script().heartbeat = Duration::from_secs(60);
    let mut system = System::start(|asked| asked.line.starts_with("GET").then(|| (200, "[1]".to_owned()))).await;
    let digest = Plan::copy(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    // The first offer also pays for the compiler; its lease may end before the run begins.
    controller.say(FromController::Offer(offer(1, digest))).await;
    let answered = |frame| matches!(frame, FromAgent::Declined { .. } | FromAgent::Result(_)).then_some(());
    controller.frame("an answer", answered).await;
    drop(system.so_far());
    controller.end_session(tonic::Status::unavailable("restarting")).await;
    controller.hello().await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    let report = controller.result().await;
    let failure = failure(&report);
    assert_eq!((failure.code.as_str(), failure.class), ("run.lease_ended", FailureClass::Retry));
    assert!(failure.effects_begun, "the target had begun");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_stopped() {
    let mut controller = Controller::start().await;
    let system = System::start(|_| None).await;
    let url = system.url();
    let digest = Plan { timeout: "300ms", ..Plan::read(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    let failure = failure(&report);
    assert_eq!((failure.code.as_str(), failure.class), ("run.timeout", FailureClass::Retry));
    assert!(failure.message.contains("300ms") && !failure.effects_begun, "{failure:?}");
}

#[tokio::test]
async fn what_the_system_says_stays_on_the_agent() {
    let mut controller = Controller::start().await;
    let system = System::start(|_| Some((400, r#"{"error":"customer 4711 is odd"}"#.to_owned()))).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert!(failure(&report).code.as_str().starts_with("http."), "{report:?}");
    assert!(!format!("{report:?}").contains("4711"), "{report:?}");
}

#[tokio::test]
async fn refused_records_fail_the_run_with_their_number() {
    let mut controller = Controller::start().await;
    let system = System::start(|asked| {
        Some(match (asked.line.starts_with("GET"), asked.body.as_str()) {
            (true, _) => (200, "[{\"n\":1},{\"n\":2},{\"n\":3}]".to_owned()),
            (false, "{\"n\":2}") => (422, "{}".to_owned()),
            (false, _) => (200, "{}".to_owned()),
        })
    })
    .await;
    let digest = Plan::copy(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let report = controller.result().await;
    assert_eq!((report.counts.read, report.counts.written, report.counts.rejected), (3, 2, 1));
    assert_eq!((failure(&report).code.as_str(), failure(&report).class), ("record.rejected", FailureClass::Permanent));
    assert!(failure(&report).effects_begun);
}

#[tokio::test]
async fn a_retry_goes_on_behind_the_last_page_that_the_target_confirmed() {
    let mut controller = Controller::start().await;
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let mut system = System::start(move |asked| {
        Some(match asked.line.as_str() {
            line if line.starts_with("GET /items?page=1 ") => (200, "[{\"n\":1},{\"n\":2}]".to_owned()),
            line if line.starts_with("GET /items?page=2 ") => (200, "[{\"n\":3}]".to_owned()),
            line if line.starts_with("GET") => (200, "[]".to_owned()),
            _ if asked.body == "{\"n\":3}" && breaks.load(SeqCst) => (503, String::new()),
            _ => (200, "{}".to_owned()),
        })
    })
    .await;
    let url = system.url();
    let query = json!({ "path": "/items", "paging": { "page": { "parameter": "page" } } });
    let digest = Plan { query, ..Plan::copy(&url) }.deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let checkpoint = |frame| if let FromAgent::Checkpoint { cursor, .. } = frame { Some(cursor) } else { None };
    let cursor = controller.frame("a checkpoint", checkpoint).await;
    let report = controller.result().await;
    assert_eq!((failure(&report).class, report.counts.written), (FailureClass::Retry, 2), "{report:?}");
    drop(system.so_far());
    broken.store(false, SeqCst);
    let again = Offer { attempt: attempt(1, 2), cursor: Some(cursor), ..offer(1, digest) };
    controller.say(FromController::Offer(again)).await;
    let report = controller.result().await;
    assert_eq!((report.ending, report.counts.written), (Ending::Ended(Outcome::Succeeded), 1));
    let asked: Vec<Asked> = system.so_far();
    let sent: Vec<&str> = asked.iter().map(|asked| asked.body.as_str()).filter(|body| !body.is_empty()).collect();
    assert_eq!(sent, ["{\"n\":3}"], "what arrived is not sent again");
    assert!(!asked.iter().any(|asked| asked.line.contains("page=1 ")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_long_run_tells_how_far_it_is_and_sends_its_log_ahead() {
    let mut controller = Controller::start().await;
    let (release, held) = std::sync::mpsc::sync_channel::<()>(100);
    let held = std::sync::Mutex::new(held);
    let system = System::start(move |asked| {
        Some(match (asked.line.starts_with("GET"), asked.body.as_str()) {
            (true, _) => (200, "[{\"n\":1},{\"n\":2}]".to_owned()),
            (false, "{\"n\":1}") => (422, "{}".to_owned()),
            (false, _) => {
                let _released = tokio::task::block_in_place(|| held.lock().unwrap().recv());
                (200, "{}".to_owned())
            }
        })
    })
    .await;
    let digest = Plan::copy(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    let progress = |frame| if let FromAgent::Progress { counts, .. } = frame { Some(counts.read) } else { None };
    assert_eq!(controller.frame("progress", progress).await, 2);
    let lines = |frame| if let FromAgent::Log { lines, .. } = frame { Some(lines) } else { None };
    let lines = controller.frame("the log", lines).await;
    assert!(lines.iter().any(|line| line.text.contains("record 0 was refused")), "{lines:?}");
    release.send(()).unwrap();
    let report = controller.result().await;
    assert!(!report.log.iter().any(|line| line.text.contains("record 0 was refused")), "said once: {report:?}");
}

#[tokio::test]
async fn the_first_ten_refused_records_are_told_and_how_many_more_there_are() {
    for (items, more) in
        [(10, None), (11, Some("1 more record was refused")), (14, Some("4 more records were refused"))]
    {
        let mut controller = Controller::start().await;
        let records = json!((0..items).map(|n| json!({ "n": n })).collect::<Vec<_>>()).to_string();
        let answer = move |asked: &Asked| match asked.line.starts_with("GET") {
            true => Some((200, records.clone())),
            false => Some((422, "{}".to_owned())),
        };
        let system = System::start(answer).await;
        let digest = Plan::copy(&system.url()).deploy(&controller, &Package::http());
        let _agent = Agent::connected(&mut controller).await;
        controller.say(FromController::Offer(offer(1, digest))).await;
        let report = controller.result().await;
        assert_eq!((failure(&report).code.as_str(), report.counts.rejected), ("record.rejected", items));
        let lines: Vec<&str> = report.log.iter().map(|line| line.text.as_str()).collect();
        let told: Vec<bool> =
            (0..items).map(|n| lines.iter().any(|line| line.contains(&format!(" {n} was ")))).collect();
        assert!(told.iter().enumerate().all(|(n, told)| *told == (n < 10)), "{lines:#?}");
        assert_eq!(lines.iter().find(|line| line.contains(" more record")).is_some(), more.is_some(), "{lines:#?}");
        assert!(more.is_none_or(|more| lines.iter().any(|line| line.contains(more))), "{lines:#?}");
    }
}

#[tokio::test]
async fn an_environment_that_the_group_does_not_serve_is_refused() {
    let mut controller = Controller::start().await;
    controller.script().environments = vec!["dev"];
    let system = System::with_items(1).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(offer(1, digest))).await;
    assert_eq!(failure(&controller.result().await).code.as_str(), "deployment.foreign_environment");
}

#[tokio::test]
async fn an_offer_that_is_said_twice_is_run_once() {
    let mut controller = Controller::start().await;
    let mut system = System::with_items(1).await;
    let digest = Plan::copy(&system.url()).deploy(&controller, &Package::http());
    let _agent = Agent::connected(&mut controller).await;
    for _ in 0..3 {
        controller.say(FromController::Offer(offer(1, digest))).await;
    }
    controller.result().await;
    controller.say(FromController::Offer(offer(2, digest))).await;
    assert_eq!(controller.result().await.attempt, attempt(2, 1));
    assert_eq!(system.so_far().iter().filter(|asked| asked.line.starts_with("POST")).count(), 2);
}
