//! Connectors without code, from a manifest to records: packed and published by `wherry`, run by an agent.

mod third_party;

use std::{
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::process::Command;
use wherry_tests::world::{Connection, Counts, Operation, Project, World};

/// A manifest for the simulated systems.
const SANDBOX: &str = r#"
manifest: 1
name: sandbox-desk
version: 1.0.0
title: The simulated systems
auth: [basic, bearer]
test: { request: { path: /rest/requests }, expect: items }
activities:
  - name: request.query
    kind: source
    side_effects: read
    parameters:
      size: { type: integer, default: 10, minimum: 1, maximum: 100 }
    request: { path: /rest/requests }
    records: items
    fields: { id: id, title: summary }
    paging:
      page: { parameter: page, size_parameter: size, size: "{{ params.size }}" }
  - name: issue.create
    kind: target
    side_effects: keyed
    parameters:
      prefix: { type: string, required: true }
    request:
      path: /api/issues
      json: { title: "{{ record.title }}", external_id: "{{ params.prefix }}/{{ record.id }}" }
      idempotency_header: Idempotency-Key
    id: id
"#;

#[tokio::test]
async fn a_manifest_is_packed_published_deployed_and_moves_every_record_once() -> Result<()> {
    let world = World::start().await?;
    let manifest = world.folder().join("sandbox-desk.yaml");
    std::fs::write(&manifest, SANDBOX)?;
    publish(&world, &manifest).await?;
    let username = &world.sandbox.credentials.desk.username;
    let of = |connection: Connection| connection.of("sandbox-desk");
    let copy = Operation::from("desk", "request.query", json!({ "size": 7 }))
        .to("tracker", "issue.create", json!({ "prefix": "copied" }))
        .attempts(5);
    let project = Project::named("desk")
        .connection("desk", of(Connection::to(&world.sandbox.url).basic(username, "desk-password")))
        .connection("tracker", of(Connection::to(&world.sandbox.url).bearer("tracker-token")))
        .operation("copy", copy);
    let _agent = world.agent("eu-1").await?;
    world.deploy(&project).await?;
    // The effect stands and the answer says otherwise: only the key saves the second attempt from doing it twice.
    let after =
        json!({ "path": "/api/issues", "method": "POST", "fault": "error", "when": "after", "skip": 9, "times": 1 });
    world.sandbox.misbehave(json!([after])).await?;
    let run = world.run("copy").end().await?.succeeded()?;
    ensure!(run.attempt == 2, "{run:?}");
    assert_eq!(Counts { read: 25, written: 25, rejected: 0, batches: run.counts.batches }, run.counts);
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (25, 0), "{ledger:?}");
    world.close().await
}

#[tokio::test]
async fn a_manifest_with_faults_is_not_packed_and_every_fault_has_its_line() -> Result<()> {
    let world = World::start().await?;
    let manifest = world.folder().join("broken.yaml");
    std::fs::write(
        &manifest,
        SANDBOX.replace("kind: target", "kind: goal").replace("{{ params.prefix }}", "{{ params.suffix }}"),
    )?;
    let error = publish(&world, &manifest).await.err().map(|error| error.to_string()).unwrap_or_default();
    for words in
        ["broken.yaml:20:", "kind is one of source, target, execute", "there is no such parameter", "manifest.invalid"]
    {
        ensure!(error.contains(words), "no {words} in {error}");
    }
    world.close().await
}

/// Packs a manifest with the tool, as the trusted publisher, and publishes what came out.
async fn publish(world: &World, manifest: &Path) -> Result<PathBuf> {
    let (key, package) = (world.folder().join("publisher.pem"), world.folder().join("packed.wherry"));
    if !key.exists() {
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&key)?;
        std::io::Write::write_all(&mut file, world.publisher.to_pem()?.as_bytes())?;
    }
    let mut tool = Command::new(world.programs.program("wherry")?);
    tool.args(["connector", "package"]).arg(manifest).arg("--key").arg(&key).arg("--out").arg(&package);
    tool.env("WHERRY_CONFIG", world.folder().join("operator.toml"));
    let said = tool.stdin(Stdio::null()).kill_on_drop(true).output();
    let said = tokio::time::timeout(Duration::from_secs(120), said).await??;
    ensure!(said.status.success(), "it is not packed: {}", String::from_utf8_lossy(&said.stderr));
    world.api.publish(std::fs::read(&package)?).await?.accepted()?;
    Ok(package)
}
