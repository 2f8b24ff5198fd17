//! Disks that are full: whoever needs room says so, forgets nothing, and goes on once there is some.
//!
//! The small disks are `tmpfs` in a namespace of the test's own, so this needs no privileges but the right to have one.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{Run, Submission, World, wait};

#[test]
fn a_controller_with_a_full_disk_refuses_new_work_and_loses_nothing() -> Result<()> {
    in_a_namespace("disk_full::inside_the_controller_refuses_new_work_and_loses_nothing")
}

#[test]
fn an_agent_with_a_full_disk_finishes_what_it_runs_and_gives_the_rest_back() -> Result<()> {
    in_a_namespace("disk_full::inside_the_agent_finishes_what_it_runs_and_gives_the_rest_back")
}

#[tokio::test]
#[ignore = "needs a mount namespace, and is started in one by the test above"]
async fn inside_the_controller_refuses_new_work_and_loses_nothing() -> Result<()> {
    let place = tempfile::tempdir()?;
    let disk = Disk::mount(place.path(), "size=40m")?;
    let plan = World::plan().setting("store.reserve_mib=12").controller_in(place.path().join("data"));
    let mut world = plan.start().await?.with_desk().await?;
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
    disk.remount("size=120m")?;
    wait::until("there is room again", async || Ok(large.begin().await.ok())).await?;
    // The last look is at what is on that disk, too.
    let closed = world.close().await;
    drop(disk);
    closed
}

#[tokio::test]
#[ignore = "needs a mount namespace, and is started in one by the test above"]
async fn inside_the_agent_finishes_what_it_runs_and_gives_the_rest_back() -> Result<()> {
    let world = World::plan().short_leases().start().await?.with_desk().await?;
    let place = world.folder().join("agents");
    fs::create_dir(&place)?;
    let disk = Disk::mount(&place, "size=64m")?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.set("store = { reserve_mib = 12 }")?;
    agent.start().await?;
    world.run("read").end().await?.succeeded()?;
    world.sandbox.misbehave(json!([{ "path": "/api/", "fault": "slow", "delay_ms": 100 }])).await?;
    let running = world.run("copy-unsafe").begin().await?;
    world.sandbox.has_created(2).await?;
    let ballast = fill(&place)?;
    let given_back = world.run("copy-unsafe").begin().await?;

    // Its result was written into the reserve.
    let over = world.end_of(&running.id).await?.succeeded()?;
    assert_eq!((over.attempt, over.counts.written), (1, 25));
    wait::until("the other run is given back", async || {
        let now = world.look_at(&given_back.id).await?;
        Ok(now.history.iter().any(|one| one.reason.as_deref() == Some("agent_declined")).then_some(()))
    })
    .await?;
    world.sandbox.creates_nothing_for(Duration::from_secs(1)).await?;
    fs::remove_file(ballast)?;
    world.end_of(&given_back.id).await?.succeeded()?;
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.replayed), (50, 0));
    drop((agent, disk));
    world.close().await
}

/// Runs one of the ignored tests where mounting is allowed and nobody else sees it.
fn in_a_namespace(test: &str) -> Result<()> {
    let namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user"]).arg(program).stdin(Stdio::null());
        command
    };
    if !namespace(Path::new("true")).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: {test}, no mount namespace to be had");
        return Ok(());
    }
    let own = std::env::current_exe()?;
    let ended = namespace(&own).args(["--exact", test, "--ignored", "--nocapture"]).status()?;
    ensure!(ended.success(), "{test} failed");
    Ok(())
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

/// Writes a file that leaves no more than a reserve needs.
fn fill(disk: &Path) -> Result<std::path::PathBuf> {
    let path = disk.join("ballast");
    let mut file = File::create(&path)?;
    let piece = vec![0; 1 << 20];
    let mut written = 0;
    while file.write_all(&piece).is_ok() {
        written += 1 << 20;
    }
    file.set_len(written - (6 << 20))?;
    Ok(path)
}

/// A small disk; it is gone when this is dropped, even if someone still uses it.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(place: &'a Path, options: &str) -> Result<Self> {
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs"], place)?;
        Ok(Self(place))
    }

    fn remount(&self, options: &str) -> Result<()> {
        run("mount", &["-o", &format!("remount,{options}")], self.0)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        drop(run("umount", &["--lazy"], self.0));
    }
}

fn run(program: &str, arguments: &[&str], place: &Path) -> Result<()> {
    let status = Command::new(program).args(arguments).arg(place).status()?;
    ensure!(status.success(), "{program} {arguments:?} failed");
    Ok(())
}
