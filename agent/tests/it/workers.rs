//! Connector code in processes of its own, as the agent uses them.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use rustix::process::{Pid, Signal, kill_process};
use wherry_domain::{
    digest::Digest,
    failure::{Failure, FailureClass},
    run::Outcome,
};
use wherry_proto::frame::{Ending, FromController};

use super::support::{
    agent::Agent,
    catalogue::Catalogues,
    controller::Controller,
    package::Package,
    project::{Plan, attempt, offer},
    soon,
    system::System,
};

/// The workers of that agent, by what the system says of its processes.
fn workers(agent: u32) -> Vec<i32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_worker = |process: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let command = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        status.contains(&format!("PPid:\t{agent}\n")) && command.starts_with("wherry-agent\0worker")
    };
    processes.filter(is_worker).collect()
}

async fn failure(controller: &mut Controller, run: u128) -> Option<Failure> {
    loop {
        let report = controller.result().await;
        if report.attempt == attempt(run, 1) {
            return match report.ending {
                Ending::Ended(Outcome::Failed(failure)) => Some(failure),
                Ending::Ended(Outcome::Succeeded) => None,
                other @ (Ending::Ended(Outcome::Cancelled) | Ending::Interrupted) => panic!("{other:?}"),
            };
        }
    }
}

async fn offered(controller: &Controller, run: u128, deployment: Digest) {
    controller.say(FromController::Offer(offer(run, deployment))).await;
}

#[tokio::test]
async fn a_killed_worker_is_reported_as_a_failure_that_may_pass_and_the_next_run_gets_another() {
    let mut controller = Controller::start().await;
    let first = AtomicBool::new(true);
    let mut system = System::start(move |_| (!first.swap(false, SeqCst)).then(|| (200, "[]".to_owned()))).await;
    let deployment = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let agent = Agent::connected(&mut controller).await;
    offered(&controller, 1, deployment).await;
    system.next().await;
    let [worker] = workers(agent.id())[..] else { panic!("{:?}", workers(agent.id())) };
    kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
    let failure = failure(&mut controller, 1).await.expect("its worker was killed");
    assert_eq!((failure.code.as_str(), failure.class), ("worker.died", FailureClass::Retry), "{failure}");
    offered(&controller, 2, deployment).await;
    assert_eq!(self::failure(&mut controller, 2).await, None);
    let now = workers(agent.id());
    assert!(now.len() == 1 && now[0] != worker, "{now:?}");
}

#[tokio::test]
async fn an_owner_who_wants_no_workers_gets_none() {
    let mut controller = Controller::start().await;
    let mut system = System::start(|_| Some((200, "[]".to_owned()))).await;
    let deployment = Plan::read(&system.url()).deploy(&controller, &Package::http());
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure("[worker]\nmode = \"off\"\n");
    agent.start();
    controller.hello().await;
    offered(&controller, 1, deployment).await;
    system.next().await;
    assert_eq!(failure(&mut controller, 1).await, None);
    assert!(workers(agent.id()).is_empty());
}

#[tokio::test]
async fn missing_walls_are_told_to_the_controller_and_by_the_agents_own_status() {
    let (mut controller, mut catalogues) = (Controller::start().await, Catalogues::new());
    let mut agent = Agent::enrolled(&controller).await;
    agent.configure("[worker]\nmode = \"off\"\n");
    agent.start();
    controller.hello().await;
    controller.say(catalogues.lock(&controller, &[], &[])).await;
    let told = controller.inventory("its walls", |all| !all.walls.is_empty()).await;
    let missing = "connectors run inside the agent itself: worker.mode is off";
    assert_eq!(told.walls, [missing]);
    soon("a status that names the wall", async {
        loop {
            let status = agent.command(&["status"], "").await;
            if status.stdout.contains(&format!("walls        missing: {missing}\n")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}
