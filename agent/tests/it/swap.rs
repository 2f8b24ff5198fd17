//! Swapping a connector while it is in use.

use super::{
    stock::{code, run},
    support::{
        agent::Agent,
        catalogue::Catalogues,
        controller::Controller,
        package::Package,
        project::{Plan, offer},
        system::System,
    },
};
use wherry_proto::frame::{FromController, Inventory, Offer, Report};

/// Attempts that are on the agent at any time; it has eight slots.
const AT_ONCE: u128 = 6;
/// Results between two swaps.
const BETWEEN: u128 = 25;
/// Swaps of the lock.
const SWAPS: u128 = 10;

#[tokio::test]
async fn no_run_fails_while_the_lock_goes_back_and_forth_between_two_versions() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(3).await;
    let versions = [Package::http_at("1.0.0"), Package::http_at("1.0.1")];
    let deployment = Plan::read(&system.url()).deploy(&controller, &versions[0]);
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&versions[0]], &[])).await;
    controller.stocked(1).await;
    let offered = |number, lock_version| FromController::Offer(Offer { lock_version, ..offer(number, deployment) });
    let mut next = 1;
    while next <= AT_ONCE {
        controller.say(offered(next, 1)).await;
        next += 1;
    }
    for done in 1..=(SWAPS + 1) * BETWEEN {
        let report = controller.result().await;
        assert_eq!((code(&report).as_str(), report.counts.read), ("", 3), "{report:?}");
        if done % BETWEEN == 0 && done / BETWEEN <= SWAPS {
            let which = usize::try_from(done / BETWEEN % 2).unwrap();
            // The lock first, as a controller says it; the runs that are here began with the other one.
            controller.say(catalogues.lock(&controller, &[&versions[which]], &[])).await;
        }
        controller.say(offered(next, catalogues.version())).await;
        next += 1;
    }
    assert_eq!(u128::from(catalogues.version()), 1 + SWAPS);
    assert_eq!(controller.script().offsets, [0, 0], "each version was fetched once");
}

/// What the log says of the version, if it is not the lock's.
fn said(report: &Report) -> Option<&str> {
    assert_eq!(code(report), "", "{report:?}");
    report.log.iter().map(|line| line.text.as_str()).find(|text| text.contains("this run uses"))
}

#[tokio::test]
async fn no_run_waits_while_a_version_is_made_ready_unless_its_deployment_knows_only_that_one() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let (old, new) = (Package::http_at("1.0.0"), Package::http_at("1.0.1"));
    let url = system.url();
    let (known, newer) = [&old, &new].map(|package| Plan::read(&url).deploy(&controller, package)).into();
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(1).await;
    let offered = |number, lock_version, deployment| Offer { lock_version, ..offer(number, deployment) };
    assert_eq!(said(&run(&mut controller, offered(1, 1, known)).await), None);
    controller.script().stall = Some(100_000);
    controller.say(catalogues.lock(&controller, &[&new], &[])).await;
    let warned = "connector http 1.0.1 is still being made ready on this agent: this run uses 1.0.0";
    for number in 2..=3 {
        assert_eq!(said(&run(&mut controller, offered(number, 2, known)).await), Some(warned));
    }
    controller.say(FromController::Offer(offered(4, 2, newer))).await;
    assert_eq!(said(&run(&mut controller, offered(5, 2, known)).await), Some(warned), "the fourth waits");
    controller.script().resume.notify_one();
    assert_eq!(said(&controller.result().await), None, "the fourth, on the version that its deployment knows");
    assert_eq!(said(&run(&mut controller, offered(6, 2, known)).await), None);
}

#[tokio::test]
async fn what_was_revoked_does_not_run_while_its_successor_is_made_ready() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let (old, new) = (Package::http_at("1.0.0"), Package::http_at("1.0.1"));
    let deployment = Plan::read(&system.url()).deploy(&controller, &old);
    let _agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&old], &[])).await;
    controller.stocked(1).await;
    controller.script().stall = Some(100_000);
    catalogues.revoke(&old);
    controller.say(catalogues.lock(&controller, &[&new], &[])).await;
    controller.say(FromController::Offer(Offer { lock_version: 2, ..offer(1, deployment) })).await;
    // It says that it has none of it ready, and no result comes before that changes.
    let preparing = |all: &Inventory| all.environments.iter().any(|one| one.lock_version == 2);
    controller.inventory("the new lock", preparing).await;
    controller.script().resume.notify_one();
    assert_eq!(said(&controller.result().await), None);
}
