//! A controller whose disk is full: it says so, forgets nothing, and goes on once there is room.
//!
//! The small disk is a `tmpfs` in a namespace of its own, so this needs no privileges but the right to have one.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{Run, Submission, World, wait};

const INSIDE: &str = "disk_full::in_a_namespace_a_full_disk_refuses_new_work_and_loses_nothing";
/// Beside sled's first segments there is room for a few hundred runs.
const SMALL: &str = "size=56m";
const ROOMY: &str = "size=160m";

#[test]
fn a_full_disk_refuses_new_work_and_loses_nothing() -> Result<()> {
    let namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user"]).arg(program).stdin(Stdio::null());
        command
    };
    if !namespace(Path::new("true")).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: {INSIDE}, no mount namespace to be had");
        return Ok(());
    }
    let own = std::env::current_exe()?;
    let ended = namespace(&own).args(["--exact", INSIDE, "--ignored", "--nocapture"]).status()?;
    ensure!(ended.success(), "{INSIDE} failed");
    Ok(())
}

#[tokio::test]
#[ignore = "needs a mount namespace; started in one by the test above"]
async fn in_a_namespace_a_full_disk_refuses_new_work_and_loses_nothing() -> Result<()> {
    let disk = tempfile::tempdir()?;
    mount(&["-t", "tmpfs", "-o", SMALL, "tmpfs"], disk.path())?;
    let mut world = World::plan()
        .setting("store.reserve_mib=20")
        .controller_in(disk.path().join("data"))
        .start()
        .await?
        .with_desk()
        .await?;
    let large = world.run("read").with(json!({ "pages": "x".repeat(24 << 10) }));
    let mut acknowledged = until_refused(&large).await?;
    assert!(acknowledged.len() > 20, "{} runs fill the disk", acknowledged.len());

    // What was acknowledged is there, and everything but new work goes on.
    assert_eq!(known(&world).await?, acknowledged);
    world.try_to_deploy(&world.desk().variable("more", 1)).await?.refused(507, "store.full")?;
    let status = world.api.get("/v1/status").await?.accepted()?;
    assert_eq!(status["runs"]["queued"], json!(acknowledged.len()));
    let cancelled = acknowledged.pop().unwrap();
    world.api.post(&format!("/v1/runs/{cancelled}/cancel"), &json!({})).await?.accepted()?;
    assert_eq!(world.look_at(&cancelled).await?.state, "cancelled");

    // Nor does the next process forget anything, and with room there is work again.
    world.controller.kill().await?;
    world.controller.start().await?;
    let mut all = acknowledged.clone();
    all.push(cancelled);
    assert_eq!(known(&world).await?, all);
    mount(&["-o", &format!("remount,{ROOMY}")], disk.path())?;
    wait::until("there is room again", async || Ok(large.begin().await.ok())).await?;
    world.close().await
}

/// Submits until there is no room; gives what was acknowledged, oldest first.
async fn until_refused(submission: &Submission) -> Result<Vec<String>> {
    let mut acknowledged = Vec::new();
    loop {
        let answer = submission.answer().await?;
        if answer.status == 507 {
            answer.refused(507, "store.full")?;
            return Ok(acknowledged);
        }
        acknowledged.push(Run::read(answer.accepted()?)?.id);
        ensure!(acknowledged.len() < 10_000, "the disk does not fill");
    }
}

/// Every run that the controller knows, oldest first.
async fn known(world: &World) -> Result<Vec<String>> {
    let all: Vec<Value> = world.api.list("/v1/runs?limit=200").await?;
    Ok(all.iter().rev().filter_map(|run| Some(run["id"].as_str()?.to_owned())).collect())
}

fn mount(arguments: &[&str], place: &Path) -> Result<()> {
    let status = Command::new("mount").args(arguments).arg(place).status()?;
    ensure!(status.success(), "mount {arguments:?} failed");
    Ok(())
}
