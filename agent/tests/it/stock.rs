//! What an agent has of what its locks name, and which versions its attempts run on.

use std::time::Duration;

use serde_json::json;
use wherry_domain::{digest::Digest, effects::SideEffects, name::Name, run::Outcome};
use wherry_proto::frame::{Action, Ending, FromAgent, FromController, HoldingState, Offer, Report};
use wherry_trust::release::{Activity, ActivityKind};

use super::support::{
    agent::Agent,
    catalogue::Catalogues,
    controller::Controller,
    package::Package,
    project::{Plan, attempt, offer},
    system::System,
};

/// Offers a run under a lock and waits for its result.
pub(crate) async fn run(controller: &mut Controller, offered: Offer) -> Report {
    let wanted = offered.attempt;
    controller.say(FromController::Offer(offered)).await;
    loop {
        let report = controller.result().await;
        if report.attempt == wanted {
            return report;
        }
    }
}

/// The code it failed with; empty if it succeeded.
pub(crate) fn code(report: &Report) -> String {
    match &report.ending {
        Ending::Ended(Outcome::Failed(failure)) => failure.code.as_str().to_owned(),
        Ending::Ended(Outcome::Succeeded) => String::new(),
        other @ (Ending::Ended(Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
    }
}

/// What it says that it ran on.
fn ran(report: &Report) -> String {
    let ran = report.ran.iter().flatten().map(|ran| format!("{} {}", ran.connector, ran.version));
    ran.collect::<Vec<_>>().join(", ")
}

/// Offers an attempt that is given back for its class; which one it has here.
async fn given_back(controller: &mut Controller, offered: Offer) -> SideEffects {
    let wanted = offered.attempt;
    controller.say(FromController::Offer(offered)).await;
    let declined = |frame| {
        assert!(!matches!(&frame, FromAgent::Result(report) if report.attempt == wanted), "{frame:?}");
        let FromAgent::Declined { attempt, failure, side_effects } = frame else { return None };
        (attempt == wanted).then_some((failure, side_effects))
    };
    let (failure, class) = controller.frame("a refusal", declined).await;
    assert_eq!(failure.code.as_str(), "connector.class_stricter");
    class.unwrap()
}

fn under(lock_version: u64, trial: &[&str], offered: Offer) -> Offer {
    Offer { lock_version, trial: trial.iter().map(|name| name.parse().unwrap()).collect(), ..offered }
}

/// A deployment whose own pin nobody has: whatever runs was named by a lock.
fn deployed(controller: &Controller, url: &str) -> Digest {
    let mut nowhere = Package::http();
    nowhere.pin.digest = Digest::from_bytes([7; 32]);
    Plan::read(url).deploy(controller, &nowhere)
}

#[tokio::test]
async fn what_a_lock_names_is_ready_ahead_of_its_use_and_runs_whatever_the_deployment_pins() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let deployment = deployed(&controller, &system.url());
    let package = Package::http_at("1.0.1");
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&package], &[])).await;
    let holdings = controller.stocked(1).await;
    assert_eq!((holdings[0].version.to_string(), holdings[0].digest), ("1.0.1".to_owned(), package.digest()));
    assert_eq!(controller.script().offsets, [0], "fetched before anything asked for it");
    let report = run(&mut controller, under(1, &[], offer(1, deployment))).await;
    assert_eq!((code(&report), report.trial), (String::new(), Vec::<Name>::new()));
    assert_eq!(controller.script().offsets, [0]);
}

#[tokio::test]
async fn an_offer_under_a_lock_that_is_on_its_way_waits_and_one_whose_lock_never_comes_is_given_back() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let deployment = deployed(&controller, &system.url());
    let package = Package::http_at("1.0.1");
    let _agent = Agent::connected(&mut controller).await;
    controller.say(FromController::Offer(under(1, &[], offer(1, deployment)))).await;
    controller.say(catalogues.lock(&controller, &[&package], &[])).await;
    let report = controller.result().await;
    assert_eq!((report.attempt, code(&report)), (attempt(1, 1), String::new()));
    controller.say(FromController::Offer(under(9, &[], offer(2, deployment)))).await;
    assert_eq!(controller.declined().await, (attempt(2, 1), "connector.lock_behind".to_owned()));
}

#[tokio::test]
async fn attempts_on_trial_run_the_new_version_and_say_so_also_when_the_agent_dies() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let deployment = deployed(&controller, &system.url());
    let (old, new) = (Package::http_at("1.0.0"), Package::http_at("1.0.1"));
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[&new])).await;
    assert_eq!(controller.stocked(1).await.len(), 2);
    let http: Name = "http".parse().unwrap();
    let tried = run(&mut controller, under(1, &["http"], offer(1, deployment))).await;
    assert_eq!((tried.trial.clone(), ran(&tried).as_str()), (vec![http.clone()], "http 1.0.1"));
    let untried = run(&mut controller, under(1, &[], offer(2, deployment))).await;
    assert_eq!((untried.trial.len(), ran(&untried).as_str()), (0, "http 1.0.0"));
    let mut slow = System::start(|_| None).await;
    let hangs = deployed(&controller, &slow.url());
    controller.say(FromController::Offer(under(1, &["http"], offer(3, hangs)))).await;
    slow.next().await;
    agent.kill().await;
    agent.start();
    controller.hello().await;
    let report = controller.result().await;
    let report = if report.attempt == attempt(3, 1) { report } else { controller.result().await };
    assert_eq!((report.attempt, &report.ending, &report.trial), (attempt(3, 1), &Ending::Interrupted, &vec![http]));
    assert_eq!(ran(&report), "http 1.0.1");
    // A trial that is settled meanwhile: the attempt runs on what became of it.
    controller.say(catalogues.lock(&controller, &[&new], &[])).await;
    controller.stocked(2).await;
    assert_eq!(run(&mut controller, under(2, &["http"], offer(4, deployment))).await.trial, Vec::<Name>::new());
}

#[tokio::test]
async fn an_attempt_that_is_stricter_here_than_the_controller_counts_with_is_given_back() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    // The deployment was made when `send` was keyed; the release says by now that it is unsafe.
    let package = Package::http_at("1.0.1");
    let deployment = Plan::copy(&system.url()).deploy(&controller, &package);
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&package], &[])).await;
    controller.stocked(1).await;
    let counted = |class| Offer { side_effects: class, ..under(1, &[], offer(1, deployment)) };
    assert_eq!(given_back(&mut controller, counted(Some(SideEffects::Keyed))).await, SideEffects::Unsafe);
    let again = |number, class| Offer { attempt: attempt(number, 2), ..counted(class) };
    assert_eq!(code(&run(&mut controller, again(1, Some(SideEffects::Unsafe))).await), "");
    assert_eq!(
        code(&run(&mut controller, again(2, None)).await),
        "",
        "a controller that does not say what it counts with"
    );
    let action = Action {
        connection: "system".parse().unwrap(),
        activity: "send".to_owned(),
        with: br#"{"path":"/sink"}"#.to_vec(),
        records: b"{}\n".to_vec(),
        time: Duration::from_secs(60),
        answer: false,
    };
    let called = |class| Offer { action: Some(action.clone()), attempt: attempt(3, 1), ..counted(class) };
    assert_eq!(given_back(&mut controller, called(Some(SideEffects::Idempotent))).await, SideEffects::Unsafe);
}

#[tokio::test]
async fn an_attempt_says_what_it_could_for_good_not_run_on_and_nothing_of_what_may_pass() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let (old, new) = (Package::http_at("1.0.0"), Package::http_at("1.0.1"));
    let url = system.url();
    let deployment = deployed(&controller, &url);
    let lacking = Plan { activity: "no.such", ..Plan::read(&url) }.deploy(&controller, &old);
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[&new])).await;
    controller.stocked(1).await;
    for (number, trial, version) in [(1, &["http"][..], "http 1.0.1"), (2, &[][..], "http 1.0.0")] {
        let report = run(&mut controller, under(1, trial, offer(number, lacking))).await;
        assert_eq!((code(&report).as_str(), ran(&report).as_str()), ("connector.activity_unknown", version));
        assert_eq!(report.trial.len(), trial.len());
    }
    // What it is about cannot be had now, which says nothing of the connector.
    let unknown = Digest::from_bytes([9; 32]);
    let report = run(&mut controller, under(1, &["http"], offer(3, unknown))).await;
    assert_eq!((report.ran.as_deref(), report.trial.len()), (Some(&[][..]), 0), "{report:?}");
    assert_eq!(ran(&run(&mut controller, under(1, &["http"], offer(4, deployment))).await), "http 1.0.1");
}

#[tokio::test]
async fn an_agent_that_was_away_converges_and_needs_no_controller_for_what_it_has() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let deployment = deployed(&controller, &system.url());
    let (old, new) = (Package::http_at("1.0.0"), Package::http_at("1.0.1"));
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(1).await;
    agent.kill().await;
    let moved = catalogues.lock(&controller, &[&new], &[]);
    agent.start();
    controller.hello().await;
    controller.stocked(1).await;
    assert_eq!(code(&run(&mut controller, under(1, &[], offer(1, deployment))).await), "", "the lock is kept on disk");
    controller.say(moved).await;
    assert_eq!(controller.stocked(2).await[0].digest, new.digest());
    assert_eq!(controller.script().offsets, [0, 0], "each was fetched once");
    let on_disk = agent.data().join("connectors");
    assert!(on_disk.join(format!("sha256-{}", hex(&old))).exists(), "the set before is kept for the way back");
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(3).await;
    assert_eq!(controller.script().offsets, [0, 0]);
}

#[tokio::test]
async fn three_failures_of_a_component_bring_the_version_before_back_until_a_person_ends_it() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let (old, bad) = (Package::hostile_at("1.0.0"), Package::hostile_at("1.0.1"));
    let deploy = |activity: &str| {
        let url = system.url();
        let plan = Plan { activity, query: json!({}), ..Plan::read(&url) };
        plan.deploy(&controller, &old)
    };
    let (panics, good) = (deploy("panic"), deploy("good"));
    let agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(1).await;
    controller.say(catalogues.lock(&controller, &[&bad], &[])).await;
    controller.stocked(2).await;
    for number in 1..=2 {
        let report = run(&mut controller, under(2, &[], offer(number, panics))).await;
        assert_eq!(code(&report), "sandbox.trap", "{report:?}");
    }
    // The word of the quarantine may come before the result.
    controller.say(FromController::Offer(under(2, &[], offer(3, panics)))).await;
    let told = controller.inventory("a quarantine", |all| {
        let mut held = all.environments.iter().flat_map(|one| &one.holdings);
        held.any(|one| matches!(&one.state, HoldingState::Quarantined { code, .. } if code.as_str() == "sandbox.trap"))
    });
    assert_eq!(told.await.environments[0].holdings[0].digest, bad.digest());
    let report = run(&mut controller, under(2, &[], offer(4, good))).await;
    let warned = report.log.iter().find(|line| line.text.contains("quarantined")).map(|line| line.text.as_str());
    let text = "connector http 1.0.1 is quarantined on this agent (sandbox.trap): this run uses 1.0.0";
    assert_eq!((code(&report).as_str(), warned), ("", Some(text)), "{report:?}");

    let listed = agent.command(&["connector", "quarantined"], "").await;
    assert!(listed.stdout.contains("http 1.0.1") && listed.stdout.contains("sandbox.trap"), "{}", listed.stdout);
    let ended = agent.command(&["connector", "unquarantine", "http"], "").await;
    assert_eq!(ended.stdout, "http 1.0.1 runs again on this agent\n");
    controller.stocked(2).await;
    let report = run(&mut controller, under(2, &[], offer(5, good))).await;
    assert!(!report.log.iter().any(|line| line.text.contains("quarantined")), "{report:?}");
    let again = agent.command(&["connector", "unquarantine", "http"], "").await;
    assert!(again.stderr.contains("connector.not_quarantined"), "{}", again.stderr);
}

#[tokio::test]
async fn a_component_that_breaks_its_box_in_actions_is_quarantined_too() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let (old, bad) = (Package::hostile_at("1.0.0"), Package::hostile_at("1.0.1"));
    let deployment = Plan::read(&system.url()).deploy(&controller, &old);
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure("[answers]\nactions = true\n");
    agent.start();
    controller.hello().await;
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(1).await;
    controller.say(catalogues.lock(&controller, &[&bad], &[])).await;
    controller.stocked(2).await;
    let action = |activity: &str| Action {
        connection: "system".parse().unwrap(),
        activity: activity.to_owned(),
        with: b"{}".to_vec(),
        records: Vec::new(),
        time: Duration::from_secs(60),
        answer: true,
    };
    let called =
        |number, activity| Offer { action: Some(action(activity)), ..under(2, &[], offer(number, deployment)) };
    for number in 1..=2 {
        assert_eq!(code(&run(&mut controller, called(number, "panic")).await), "sandbox.trap");
    }
    controller.say(FromController::Offer(called(3, "panic"))).await;
    let told = controller.inventory("a quarantine", |all| {
        let mut held = all.environments.iter().flat_map(|one| &one.holdings);
        held.any(|one| matches!(one.state, HoldingState::Quarantined { .. }))
    });
    let holding = told.await.environments.remove(0).holdings.remove(0);
    assert_eq!((holding.digest, holding.instead), (bad.digest(), Some("1.0.0".parse().unwrap())));
    assert_eq!(code(&run(&mut controller, called(4, "good")).await), "", "on the version before");
}

#[tokio::test]
async fn a_component_that_cannot_be_had_is_refused_by_name_and_others_are_ready_beside_it() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let (good, bad) = (Package::http_at("1.0.0"), Package::named("crm", b"this is not WebAssembly".to_vec()));
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&bad, &good], &[])).await;
    let told = controller.inventory("a refusal", |all| {
        let mut held = all.environments.iter().flat_map(|one| &one.holdings);
        held.clone().any(|one| one.state == HoldingState::Ready)
            && held.any(|one| matches!(&one.state, HoldingState::Refused { code, .. } if code.as_str() == "sandbox.invalid_component"))
    });
    assert_eq!(told.await.environments[0].lock_version, 1);
}

#[tokio::test]
async fn another_release_over_the_same_bytes_is_held_against_them_anew() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let good = Package::http_at("1.0.0");
    let promised = Activity { name: "no.such".to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read };
    let lying = Package::promising("http", good.component.clone(), vec![promised]);
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&good], &[])).await;
    controller.stocked(1).await;
    controller.say(catalogues.lock(&controller, &[&lying], &[])).await;
    let told = controller.inventory("a refusal", |all| {
        let mut held = all.environments.iter().flat_map(|one| &one.holdings);
        held.any(|one| matches!(&one.state, HoldingState::Refused { code, .. } if code.as_str() == "connector.descriptor_mismatch"))
    });
    assert_eq!(told.await.environments[0].lock_version, 2);
}

#[tokio::test]
async fn an_agent_that_knows_locks_runs_nothing_that_they_do_not_name() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let package = Package::http_at("1.0.0");
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(code(&run(&mut controller, offer(1, deployment)).await), "", "before the first lock");
    controller.say(catalogues.lock(&controller, &[], &[])).await;
    controller.inventory("an empty lock", |all| all.environments.len() == 1).await;
    assert_eq!(code(&run(&mut controller, offer(2, deployment)).await), "connector.not_locked");
}

#[tokio::test]
async fn a_session_that_begins_anew_hears_again_what_is_here() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&Package::http_at("1.0.0")], &[])).await;
    controller.stocked(1).await;
    controller.end_session(tonic::Status::unavailable("the line broke")).await;
    controller.hello().await;
    controller.stocked(1).await;
    controller.say(catalogues.again()).await;
    let silence = controller.frame("nothing", |frame| matches!(frame, FromAgent::Inventory(_)).then_some(()));
    assert!(tokio::time::timeout(Duration::from_millis(700), silence).await.is_err(), "no news is not said twice");
}

pub(crate) fn hex(package: &Package) -> String {
    package.digest().to_string().trim_start_matches("sha256:").to_owned()
}
