//! Damaged files and torn downloads: they cost time, never a run.

use std::{fs, path::Path};

use super::{
    stock::{code, hex, run},
    support::{
        agent::Agent,
        catalogue::Catalogues,
        controller::Controller,
        package::Package,
        project::{Plan, offer},
        soon,
        system::System,
    },
};

/// What happens to a file.
const HARMS: [&str; 3] = ["flipped", "truncated", "removed"];

fn harm(path: &Path, how: &str) {
    let mut content = fs::read(path).unwrap();
    match how {
        "flipped" => {
            let middle = content.len() / 2;
            content[middle] ^= 1;
            fs::write(path, content).unwrap();
        }
        "truncated" => fs::write(path, &content[..content.len() / 3]).unwrap(),
        "removed" => fs::remove_file(path).unwrap(),
        other => panic!("{other}"),
    }
}

/// The file of the component's compiled code, or what proves it.
fn compiled(agent: &Agent, package: &Package, ending: &str) -> std::path::PathBuf {
    let files = fs::read_dir(agent.data().join("compiled")).unwrap().map(|entry| entry.unwrap().path());
    let fits = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(&hex(package)) && name.ends_with(ending)
    };
    files.into_iter().find(fits).unwrap()
}

#[tokio::test]
async fn whatever_is_damaged_on_disk_heals_without_a_failed_run() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let system = System::with_items(1).await;
    let package = Package::http_at("1.0.0");
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&package], &[])).await;
    controller.stocked(1).await;
    let connectors = agent.data().join("connectors");
    let (wasm, name) = (connectors.join(format!("sha256-{}", hex(&package))), hex(&package));
    let release = connectors.join("releases").join(format!("sha256-{name}.json"));
    let mut number = 0;
    for how in HARMS {
        for what in ["component", "release", "code", "proof", "component and code"] {
            agent.kill().await;
            match what {
                "component" => harm(&wasm, how),
                "release" => harm(&release, how),
                "code" => harm(&compiled(&agent, &package, ".cwasm"), how),
                "proof" => harm(&compiled(&agent, &package, ".mac"), how),
                _ => {
                    harm(&wasm, how);
                    harm(&compiled(&agent, &package, ".cwasm"), "removed");
                }
            }
            agent.start();
            controller.hello().await;
            number += 1;
            let report = run(&mut controller, offer(number, deployment)).await;
            assert_eq!(code(&report), "", "{what} {how}: {report:?}");
            // What was not needed stays as it is until it is: make it whole for the next round.
            fs::write(&wasm, &package.component).unwrap();
            fs::write(&release, &package.envelope).unwrap();
        }
    }
}

#[tokio::test]
async fn a_release_that_is_damaged_is_fetched_again_where_nothing_else_says_what_it_is() {
    let mut controller = Controller::start().await;
    let system = System::with_items(1).await;
    let package = Package::http();
    let deployment = Plan::read(&system.url()).deploy(&controller, &package);
    let mut agent = Agent::connected(&mut controller).await;
    assert_eq!(code(&run(&mut controller, offer(1, deployment)).await), "");
    let release = agent.data().join("connectors/releases").join(format!("sha256-{}.json", hex(&package)));
    for (number, how) in (2..).zip(HARMS) {
        agent.kill().await;
        harm(&release, how);
        agent.start();
        controller.hello().await;
        assert_eq!(code(&run(&mut controller, offer(number, deployment)).await), "", "{how}");
        assert_eq!(fs::read(&release).unwrap(), package.envelope, "{how}");
    }
}

#[tokio::test]
async fn a_download_that_a_dead_process_left_goes_on_where_it_stopped() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let package = Package::http_at("1.0.0");
    controller.script().stall = Some(100_000);
    let mut agent = Agent::connected(&mut controller).await;
    controller.say(catalogues.lock(&controller, &[&package], &[])).await;
    let partial = agent.data().join("connectors").join(format!("sha256-{}.part", hex(&package)));
    soon("a third of the component", async {
        while !fs::metadata(&partial).is_ok_and(|found| found.len() == 100_000) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    agent.kill().await;
    agent.start();
    controller.hello().await;
    controller.stocked(1).await;
    assert_eq!(controller.script().offsets, [0, 100_000]);
}

#[tokio::test]
async fn a_partial_download_that_is_wrong_is_thrown_away_and_begun_anew() {
    for wrong in [vec![1; 100_000], vec![1; 50_000_000]] {
        let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
        let package = Package::http_at("1.0.0");
        let mut agent = Agent::enrolled(&controller).await;
        let folder = agent.data().join("connectors");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("sha256-{}.part", hex(&package))), &wrong).unwrap();
        agent.start();
        controller.hello().await;
        controller.say(catalogues.lock(&controller, &[&package], &[])).await;
        controller.stocked(1).await;
        let offsets = controller.script().offsets.clone();
        assert_eq!(offsets.last(), Some(&0), "{offsets:?}");
    }
}
