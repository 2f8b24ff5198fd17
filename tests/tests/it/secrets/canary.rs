//! A value that an operator sets is looked for everywhere: nowhere but in the memory of the agent may it be.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use wherry_tests::world::{Canary, Operator, World};

use super::{copied, has_keys};

/// Quotes, a plus, a slash and a letter beyond ASCII: each way to write it differs from the others.
const PLANTED: &str = "canary/7f3a+\"91c4\" öde=d2b6e5a8";

#[tokio::test]
async fn the_controller_never_has_the_value_of_a_secret_nor_does_any_log_or_file() -> Result<()> {
    let plan = World::plan().setting("log.filter=trace");
    let world = plan.start().await?.with_desk().await?;
    let operator = Operator::new()?;
    let mut first = traced(&world, &operator, "eu-1").await?;
    world.roster_of(1).await?;
    let secrets = world.sandbox.credentials.clone();
    world.set_secret(&operator, "desk-password", &secrets.desk.password).await?;
    world.set_secret(&operator, "tracker-token", &secrets.tracker.token).await?;
    world.set_secret(&operator, "planted", PLANTED).await?;
    copied(&world).await?;
    // Sealed anew by an agent for the rest of the group.
    let mut second = traced(&world, &operator, "eu-2").await?;
    wherry_tests::world::wait::until("the second agent has the keys", async || has_keys(&world, "eu-2").await).await?;
    world.api.delete("/v1/agents/eu-2").await?.accepted()?;
    second.kill().await?;
    world.roster_in(2).await?;
    super::all_in_epoch(&world, 2).await?;
    copied(&world).await?;
    // As after a mistake: a run that fails with the wrong password, and a value that was never set.
    world.set_secret(&operator, "desk-password", "not-the-right-one-4711").await?;
    drop(world.run("read").with(json!({ "pages": 1 })).end().await?);
    let backup = world.api.download(Method::POST, "/v1/backup").await?;

    let values = [secrets.desk.password.as_str(), &secrets.tracker.token, PLANTED, "not-the-right-one-4711"];
    for value in values {
        let canary = Canary::of(value)?;
        ensure!(canary.in_bytes(&backup).is_none(), "the backup holds {value}");
        for folder in [world.controller.data(), &world.folder().join("agents")] {
            let found = canary.below(folder)?;
            ensure!(found.is_empty(), "{value} lies in {found:?}");
        }
        for name in ["controller", "eu-1", "eu-2"] {
            let log = fs::read(world.log(name))?;
            ensure!(canary.in_bytes(&log).is_none(), "{value} stands in the log of {name}");
        }
        not_in_memory(&canary, value, world.controller.pid())?;
    }
    // Nothing had to be cut out either: the second line against secrets in logs has hidden no mistake.
    for name in ["controller", "eu-1", "eu-2"] {
        let log = fs::read_to_string(world.log(name))?;
        ensure!(!log.contains("[redacted]"), "a secret was cut out of the log of {name}");
    }
    // The search finds what is there: an agent has the value in its memory, and this test has it on its disk.
    let sings = Canary::of(&secrets.tracker.token)?;
    fs::write(world.folder().join("planted"), format!("x{}", secrets.tracker.token))?;
    ensure!(!sings.below(world.folder())?.is_empty(), "the search finds nothing at all");
    if let Some(pid) = first.pid()
        && shown(pid)
    {
        ensure!(sings.in_memory(pid)?.0.is_some(), "the search of memory finds nothing at all");
    }
    first.kill().await?;
    world.close().await
}

#[tokio::test]
async fn a_process_that_is_aborted_leaves_no_core_although_cores_are_wanted_here() -> Result<()> {
    // What is started from here on inherits it; each test has a process of its own.
    let own = std::process::id().to_string();
    let wanted = Command::new("prlimit").args(["--pid", &own, "--core=unlimited"]).status();
    if !wanted.is_ok_and(|status| status.success()) {
        skipped("cores cannot be asked for on this machine");
        return Ok(());
    }
    ensure!(core_limit(&own)? == "unlimited", "this process would leave a core");
    let mut world = World::start().await?;
    let mut agent = world.agent("eu-1").await?;
    for pid in [agent.pid(), world.controller.pid()] {
        let pid = pid.ok_or_else(|| anyhow::anyhow!("it does not run"))?.to_string();
        let before = cores(&pid)?;
        assert_eq!(core_limit(&pid)?, "0");
        let at = fs::read_link(Path::new("/proc").join(&pid).join("cwd"))?;
        ensure!(Command::new("kill").args(["-ABRT", &pid]).status()?.success(), "it was not aborted");
        wherry_tests::world::wait::until("it is gone", async || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            Ok((status.is_empty() || status.contains("State:\tZ")).then_some(()))
        })
        .await?;
        assert_eq!(cores_in(&at)?, before, "a core was written to {}", at.display());
    }
    agent.kill().await.ok();
    world.controller.kill().await.ok();
    agent.start().await.ok();
    world.controller.start().await?;
    world.close().await
}

/// The soft limit of the size of cores, as the kernel tells it.
fn core_limit(pid: &str) -> Result<String> {
    let limits = fs::read_to_string(Path::new("/proc").join(pid).join("limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.ok_or_else(|| anyhow::anyhow!("the kernel does not tell the limit"))?.to_owned())
}

fn cores(pid: &str) -> Result<usize> {
    cores_in(&fs::read_link(Path::new("/proc").join(pid).join("cwd"))?)
}

fn cores_in(folder: &Path) -> Result<usize> {
    let names = fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| name.to_string_lossy().starts_with("core")).count())
}

fn not_in_memory(canary: &Canary, value: &str, pid: Option<u32>) -> Result<()> {
    let pid = pid.ok_or_else(|| anyhow::anyhow!("the controller does not run"))?;
    if !shown(pid) {
        skipped("this machine does not show the memory of a process");
        return Ok(());
    }
    let (found, looked_at) = canary.in_memory(pid)?;
    ensure!(looked_at > 1 << 20, "only {looked_at} bytes of memory were shown");
    ensure!(found.is_none(), "the controller's memory holds {value} {found:?}");
    Ok(())
}

/// Whether this process may look into that one.
fn shown(pid: u32) -> bool {
    fs::File::open(Path::new("/proc").join(pid.to_string()).join("mem")).is_ok()
}

#[allow(clippy::print_stderr, reason = "a part that cannot be tried here is said")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

async fn traced(world: &World, operator: &Operator, name: &str) -> Result<wherry_tests::world::Agent> {
    let mut agent = world.invited(operator, name).await?;
    agent.set("[log]\nfilter = \"trace\"")?;
    agent.start().await?;
    Ok(agent)
}
