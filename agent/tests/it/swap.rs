//! Swapping a connector while it is in use.

use super::{
    stock::code,
    support::{
        agent::Agent,
        catalogue::Catalogues,
        controller::Controller,
        package::Package,
        project::{Plan, offer},
        system::System,
    },
};
use wherry_proto::frame::{FromController, Offer};

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
