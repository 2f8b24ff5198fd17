//! Actions from offer to answer.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use wherry_domain::{
    digest::Digest,
    id::{AskId, RunId},
    run::Outcome,
};
use wherry_proto::frame::{Action, Answer, Ask, Ending, FromAgent, FromController, Offer, Question, Report};

use super::support::{
    agent::Agent,
    catalogue::Catalogues,
    controller::Controller,
    package::Package,
    project::{Plan, offer},
    system::System,
};

const ALLOW: &str = "slots = 4\n[answers]\nactions = true\n";

#[tokio::test]
async fn a_source_answers_with_its_records_and_the_answer_can_be_asked_for_again() {
    let (mut controller, mut system, digest) = ready().await;
    let agent = start(&controller, ALLOW).await;
    controller.hello().await;
    controller.say(read(1, digest, true)).await;
    let report = controller.result().await;
    assert_eq!(report.ending, Ending::Ended(Outcome::Succeeded), "{report:?}");
    assert_eq!(document(&report)["records"], json!([{ "n": 0 }, { "n": 1 }]));
    assert_eq!((report.counts.read, system.so_far().len()), (2, 1));
    let again = recalled(&mut controller, 1, digest).await.unwrap();
    assert_eq!(Some(again), report.answer);
    assert!(recalled(&mut controller, 2, digest).await.is_err(), "of a run that was never here");
    assert!(!holds(&agent.data(), "{\"n\":1}"), "nothing of an answer is on the disk");
}

#[tokio::test]
async fn a_target_takes_the_callers_records_and_reports_what_it_took() {
    let (mut controller, mut system, digest) = ready().await;
    let _agent = start(&controller, ALLOW).await;
    controller.hello().await;
    controller.say(write(1, digest, b"{\"a\":1}\n{\"a\":\"{{ vars.page }}\"}\n")).await;
    let report = controller.result().await;
    assert_eq!(report.ending, Ending::Ended(Outcome::Succeeded), "{report:?}");
    assert_eq!((report.counts.read, report.counts.written, report.counts.rejected), (2, 2, 0));
    assert_eq!(document(&report)["records"], json!([]));
    let bodies: Vec<String> = system.so_far().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, ["{\"a\":1}", "{\"a\":\"{{ vars.page }}\"}"], "no variable is filled in for a caller");
    controller.say(write(2, digest, b"")).await;
    assert_eq!(controller.result().await.counts.written, 0);
}

#[tokio::test]
async fn without_the_owners_word_a_read_is_refused_before_anything_is_sent_and_a_write_gives_no_answer() {
    let (mut controller, mut system, digest) = ready().await;
    let _agent = start(&controller, "slots = 4\n").await;
    controller.hello().await;
    controller.say(read(1, digest, true)).await;
    let report = controller.result().await;
    let Ending::Ended(Outcome::Failed(failure)) = &report.ending else { panic!("{report:?}") };
    assert_eq!((failure.code.as_str(), failure.effects_begun), ("action.answers_not_allowed", false));
    assert!(system.so_far().is_empty());
    controller.say(write(2, digest, b"{}\n")).await;
    let report = controller.result().await;
    assert_eq!(
        (report.ending, report.counts.written, report.answer),
        (Ending::Ended(Outcome::Succeeded), 1, Some(Vec::new()))
    );
    assert!(recalled(&mut controller, 2, digest).await.is_err());
}

#[tokio::test]
async fn an_action_ends_with_the_callers_time_and_an_answer_with_its_limit() {
    let mut controller = Controller::start().await;
    let huge = format!("[{}]", vec![format!("\"{}\"", "x".repeat(10_000)); 120].join(","));
    let system = System::start(move |asked| asked.line.starts_with("GET /items").then(|| (200, huge.clone()))).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let _agent = start(&controller, ALLOW).await;
    controller.hello().await;
    controller.say(read(1, digest, true)).await;
    assert_eq!(code(&controller.result().await), "action.answer_too_large");
    let silent = json!({ "path": "/silent" });
    let silent = Action { time: Duration::from_secs(1), ..action("query", &silent, b"") };
    controller.say(FromController::Offer(Offer { action: Some(silent), ..offer(2, digest) })).await;
    assert_eq!(code(&controller.result().await), "action.timed_out");
}

#[tokio::test]
async fn a_connection_that_names_the_run_is_made_anew_for_each_action() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| Some((200, "[]".to_owned()))).await;
    let url = format!("{}/{{{{ run.id }}}}", system.url());
    let digest = Plan::read(&url).deploy(&controller, &Package::http());
    let _agent = start(&controller, ALLOW).await;
    controller.hello().await;
    for run in 1..=3 {
        controller.say(read(run, digest, true)).await;
        assert_eq!(code(&controller.result().await), "");
        let line = system.next().await.line;
        assert!(line.starts_with(&format!("GET /{}/items", RunId::from_u128(run))), "{line}");
    }
}

#[tokio::test]
async fn actions_follow_the_lock_from_one_version_to_the_next_and_back() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let versions = [Package::http_at("1.0.0"), Package::http_at("1.0.1")];
    let digest = Plan::read(&system.url()).deploy(&controller, &versions[0]);
    let _agent = start(&controller, ALLOW).await;
    controller.hello().await;
    for (number, which) in (1..).zip([0, 1, 0, 1]) {
        controller.say(catalogues.lock(&controller, &[&versions[which]], &[])).await;
        controller.stocked(number).await;
        for run in [number * 2, number * 2 + 1] {
            let FromController::Offer(offer) = read(u128::from(run), digest, true) else { panic!("an offer") };
            controller.say(FromController::Offer(Offer { lock_version: number, ..offer })).await;
            let report = controller.result().await;
            let ran: Vec<String> = report.ran.iter().flatten().map(|ran| ran.version.to_string()).collect();
            assert_eq!((code(&report).as_str(), ran), ("", vec![format!("1.0.{which}")]), "{report:?}");
        }
    }
}

async fn ready() -> (Controller, System, Digest) {
    let controller = Controller::start().await;
    let system = System::with_items(2).await;
    let digest = Plan::read(&system.url()).deploy(&controller, &Package::http());
    (controller, system, digest)
}

async fn start(controller: &Controller, configuration: &str) -> Agent {
    let mut agent = Agent::enrolled(controller).await;
    agent.configure(configuration);
    agent.start();
    agent
}

fn action(activity: &str, with: &Value, records: &[u8]) -> Action {
    Action {
        connection: "system".parse().unwrap(),
        activity: activity.to_owned(),
        with: with.to_string().into_bytes(),
        records: records.to_vec(),
        time: Duration::from_secs(60),
        answer: true,
    }
}

fn read(run: u128, digest: Digest, answer: bool) -> FromController {
    let action = Action { answer, ..action("query", &json!({ "path": "/items" }), b"") };
    FromController::Offer(Offer { action: Some(action), ..offer(run, digest) })
}

fn write(run: u128, digest: Digest, records: &[u8]) -> FromController {
    let action = action("send", &json!({ "path": "/sink" }), records);
    FromController::Offer(Offer { action: Some(action), ..offer(run, digest) })
}

/// Whether any file below the folder holds the text.
fn holds(folder: &Path, text: &str) -> bool {
    let within = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { holds(&path, text) } else { std::fs::read(&path).is_ok_and(within) }
    })
}

fn document(report: &Report) -> Value {
    serde_json::from_slice(report.answer.as_ref().unwrap()).unwrap()
}

/// The code of its failure; empty, if it went well.
fn code(report: &Report) -> String {
    match &report.ending {
        Ending::Ended(Outcome::Succeeded) => String::new(),
        Ending::Ended(Outcome::Failed(failure)) => failure.code.as_str().to_owned(),
        other @ (Ending::Ended(_) | Ending::Interrupted) => panic!("{other:?}"),
    }
}

async fn recalled(controller: &mut Controller, run: u128, deployment: Digest) -> Result<Vec<u8>, String> {
    let question = Question::Recall { run: RunId::from_u128(run) };
    let connection = "system".parse().unwrap();
    let limit = Duration::from_secs(10);
    let id = AskId::from_u128(run);
    controller.say(FromController::Ask(Ask { id, deployment, connection, question, limit })).await;
    let answer = |frame| if let FromAgent::Answer(answer) = frame { Some(answer) } else { None };
    let Answer { result, .. } = controller.frame("an answer", answer).await;
    result.map_err(|trouble| trouble.failure.code.as_str().to_owned())
}
