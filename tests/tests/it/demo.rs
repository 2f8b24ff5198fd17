//! The demo, as `wherry demo` shows it: everything that it promises, on ports that nobody has.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use wherry_tests::world::Programs;

/// It compiles the connector for two agents, three times, with programs that are not optimised.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn the_demo_copies_every_open_request_once_and_shows_a_canary_and_both_ways_back() -> Result<()> {
    let programs = Programs::find()?;
    let folder = tempfile::tempdir()?;
    let connectors = programs.connectors();
    ensure!(connectors.is_dir(), "{} is missing: build it with `cargo xtask wasm`", connectors.display());
    let demo = Command::new(programs.program("wherry")?)
        .args(["demo", "--once", "--json", "--dir"])
        .arg(folder.path().join("demo"))
        .env("WHERRY_BIN_DIR", programs.program("wherry-agent")?.parent().context("a folder")?)
        .env("WHERRY_CONNECTORS", connectors)
        .env("WHERRY_CONFIG", folder.path().join("config.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = tokio::time::timeout(PATIENCE, demo.wait_with_output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, shown) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{said}\n{shown}");
    let result: Value = serde_json::from_str(said.lines().last().context("no result")?)?;
    ensure!(result["status"] == "succeeded", "{result}");
    ensure!(result["read"] == 150 && result["written"] == 150, "{result}");
    ensure!(shown.contains("150 open requests read, 150 written in "), "{shown}");
    ensure!(shown.contains("the second desk holds 150 requests, none twice."), "{shown}");

    // The versions follow the connector's own, whatever that is.
    let line = |part: &str| shown.lines().find(|line| line.contains(part)).context(format!("no {part:?} in {shown}"));
    let kept = line(" is everyone's now: ")?;
    let refused = line(" was rolled back: ")?;
    let back = line("by hand to ")?;
    let version = |line: &str, before: Option<&str>| -> Result<semver::Version> {
        let rest = before.map_or(Some(line), |before| line.split_once(before).map(|(_, rest)| rest));
        let word = rest.and_then(|rest| rest.split_whitespace().next()).context("no version")?;
        Ok(word.trim_end_matches(',').parse()?)
    };
    let first = version(back, Some("by hand to "))?;
    let next = |more| semver::Version { patch: first.patch + more, ..first.clone() };
    ensure!(version(kept, None)? == next(1), "{kept}");
    ensure!(version(refused, None)? == next(2), "{refused}");
    ensure!(kept.contains(" went as well as those on the old version"), "{kept}");
    ensure!(refused.ends_with("an agent refuses it: connector.name_mismatch"), "{refused}");
    ensure!(back.contains("which stays until somebody unpins it"), "{back}");
    Ok(())
}
