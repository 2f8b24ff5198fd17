//! Which connectors an agent runs, and which it does not.

use std::path::Path;

use wherry_domain::{digest::Digest, effects::SideEffects, run::Outcome};
use wherry_proto::frame::{Ending, FromController};
use wherry_trust::release::{Activity, ActivityKind};

use super::{
    stock::hex,
    support::{
        agent::Agent,
        controller::{Controller, digest},
        package::Package,
        project::{Plan, attempt, offer},
        system::System,
    },
};

/// Offers one run and gives the code it failed with; empty if it succeeded.
async fn outcome(controller: &mut Controller, run: u128, deployment: Digest) -> String {
    controller.say(FromController::Offer(offer(run, deployment))).await;
    loop {
        let report = controller.result().await;
        // The last result of an earlier process is said again.
        if report.attempt == attempt(run, 1) {
            return match report.ending {
                Ending::Ended(Outcome::Failed(failure)) => failure.code.as_str().to_owned(),
                Ending::Ended(Outcome::Succeeded) => String::new(),
                other @ (Ending::Ended(Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
            };
        }
    }
}

#[tokio::test]
async fn a_connector_that_was_altered_on_the_way_is_not_run() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::http();
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let mut altered = package.component.clone();
    altered[1_000] ^= 1;
    controller.script().connectors.insert(package.digest(), (package.envelope.clone(), altered));
    let mut agent = Agent::cold(&controller).await;
    agent.start();
    controller.hello().await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "connector.altered");
    assert_eq!(system.connections(), 0);
    assert!(!agent.data().join("compiled").exists(), "nothing was compiled");
}

#[tokio::test]
async fn a_connector_that_nobody_trusted_signed_is_not_run() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let (package, other) = (Package::http(), Package::http());
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    controller.script().publishers = vec![other.publisher.clone()];
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "envelope.signer_unknown");
}

#[tokio::test]
async fn the_owners_list_of_publishers_is_narrower_than_the_organisations() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let (package, other) = (Package::http(), Package::http());
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure(&format!("[connectors]\npublishers = [{:?}]\n", other.publisher.key));
    agent.start();
    controller.hello().await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "envelope.signer_unknown");
}

#[tokio::test]
async fn a_publisher_that_is_trusted_no_more_stops_what_was_loaded() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::http();
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "");
    controller.script().publishers.clear();
    let desired = controller.script().desired();
    controller.say(FromController::Desired(desired)).await;
    assert_eq!(outcome(&mut controller, 2, deployment).await, "envelope.signer_unknown");
}

#[tokio::test]
async fn a_component_that_is_another_connector_than_its_release_is_not_run() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::named("crm", Package::http().component);
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "connector.name_mismatch");
}

#[tokio::test]
async fn a_component_that_does_not_keep_what_its_release_promises_is_not_run() {
    let query = Activity { name: "query".to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read };
    for (name, kind, side_effects) in [
        ("send", ActivityKind::Target, SideEffects::Keyed),
        ("execute", ActivityKind::Target, SideEffects::Unsafe),
        ("upsert", ActivityKind::Target, SideEffects::Unsafe),
    ] {
        let mut controller = Controller::start().await;
        let system = System::with_items(1).await;
        let promised = Activity { name: name.to_owned(), kind, side_effects };
        let package = Package::promising("http", Package::http().component, vec![query.clone(), promised]);
        let deployment = Plan::read(&system.url()).deploy(&controller, &package);
        let _agent = Agent::connected(&mut controller).await;
        assert_eq!(outcome(&mut controller, 1, deployment).await, "connector.descriptor_mismatch", "{name}");
    }
}

#[tokio::test]
async fn a_component_that_is_none_is_refused_by_the_compiler() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::named("http", b"this is not WebAssembly".to_vec());
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "sandbox.invalid_component");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::http();
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    controller.script().cut = Some(100_000);
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "");
    assert_eq!(controller.script().offsets, [0, 100_000]);
}

#[tokio::test]
async fn compiled_code_is_used_again_unless_someone_changed_it() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::http();
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let mut agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "");
    agent.kill().await;
    let (compiled, own) = (agent.data().join("compiled"), hex(&package));
    // Other tests leave what they compiled there, too.
    let is_own = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&own) && name.ends_with(".cwasm")
    };
    let find = || {
        let files = std::fs::read_dir(&compiled).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| is_own(path)).unwrap()
    };
    let mut code = std::fs::read(find()).unwrap();
    let original = digest(&code);
    code[5_000] ^= 1;
    std::fs::write(find(), &code).unwrap();
    agent.start();
    controller.hello().await;
    assert_eq!(outcome(&mut controller, 2, deployment).await, "");
    assert_eq!(digest(&std::fs::read(find()).unwrap()), original, "it was compiled again");
    assert_eq!(controller.script().offsets, [0], "it was fetched once");
}

#[tokio::test]
async fn a_deployment_that_is_not_what_its_digest_says_is_refused() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let deployment = Plan::read(&system.url()).deploy(&controller, &Package::http());
    controller.script().deployments.get_mut(&deployment).unwrap().push(b' ');
    let _agent = Agent::connected(&mut controller).await;
    assert_eq!(outcome(&mut controller, 1, deployment).await, "deployment.altered");
}
