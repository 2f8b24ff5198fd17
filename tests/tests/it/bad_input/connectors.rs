//! Connectors that nobody signed, that were changed, or that want more than a connector may have.

use anyhow::Result;
use serde_json::{Value, json};
use wherry_domain::effects::SideEffects;
use wherry_tests::world::{Connection, Operation, Package, Project, World};
use wherry_trust::{
    keys::SigningKey,
    release::{Activity, ActivityKind},
};

use super::state;

#[tokio::test]
async fn a_package_that_its_publisher_did_not_sign_like_that_is_refused() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let stranger = SigningKey::generate()?;
    let narrow = SigningKey::generate()?;
    let acme = json!({ "name": "acme", "key": narrow.public().to_string(), "prefix": "acme-*" });
    world.api.post("/v1/publishers", &acme).await?.accepted()?;
    let before = state(&world).await?;
    let package = Package { release: newer(&world, "1.0.1")?, ..world.http()? };
    let good = package.signed_by(&world.publisher)?;
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let cut = good[..good.len() - 1].to_vec();
    let resigned = edited(&good, |envelope| {
        let other = edited_payload(envelope["payload"].as_str().unwrap());
        envelope["payload"] = json!(other);
    });
    for (bytes, code) in [
        (altered, "connector.altered"),
        (cut, "connector.altered"),
        (resigned, "connector.signature_invalid"),
        (edited(&good, |envelope| envelope["signatures"] = json!([])), "connector.publisher_untrusted"),
        (package.signed_by(&stranger)?, "connector.publisher_untrusted"),
        (package.signed_by(&narrow)?, "release.prefix_foreign"),
        (edited(&good, |envelope| envelope["payloadType"] = json!("text/plain")), "envelope.type_unexpected"),
        (b"{}\n\0asm".to_vec(), "connector.release_malformed"),
        (b"nothing at all".to_vec(), "connector.package_malformed"),
    ] {
        world.api.publish(bytes).await?.refused(422, code)?;
    }
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn a_version_is_published_once_and_an_older_one_replaces_nothing() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    // The same bytes again are no news.
    let same = world.api.publish(world.http()?.signed_by(&world.publisher)?).await?;
    assert_eq!(same.status, 200, "{same:?}");
    let before = state(&world).await?;
    let mut other = world.http()?.component;
    other.extend([0, 2, 1, b'x']);
    let clash = Package::new("http", "1.0.0", other)?;
    let clash = Package {
        release: wherry_trust::release::Release { wasm: clash.release.wasm, ..world.http()?.release },
        ..clash
    };
    world.api.publish(clash.signed_by(&world.publisher)?).await?.refused(409, "connector.version_exists")?;
    assert_eq!(state(&world).await?, before);
    let older = Package { release: newer(&world, "0.9.0")?, ..world.http()? };
    world.publish(&older).await?;
    let newest: Vec<Value> = world.api.list("/v1/connectors").await?;
    assert_eq!((newest.len(), &newest[0]["version"]), (1, &json!("1.0.0")));
    let again =
        world.try_to_deploy(&world.desk().operation("more", Operation::from("desk", "query", json!({})))).await?;
    assert_eq!(again.accepted()?["connectors"]["http"]["version"], "1.0.0");
    world.close().await
}

#[tokio::test]
async fn a_component_that_is_none_or_wants_too_much_never_runs_and_the_agent_goes_on() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let files = r#"(component (import "wasi:filesystem/preopens@0.2.6" (instance)))"#;
    let sockets = r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#;
    let greedy = r"(component (core module $m (memory 16384)) (core instance (instantiate $m)))";
    for (name, component, code, word) in [
        ("files", wat(files), "sandbox.import_forbidden", "wasi:filesystem"),
        ("sockets", wat(sockets), "sandbox.import_forbidden", "wasi:sockets"),
        ("greedy", wat(greedy), "sandbox.limit_declared", "memory"),
        ("empty", wat("(component)"), "sandbox.contract_mismatch", "contract"),
        ("module", wat("(module)"), "sandbox.invalid_component", "core module"),
        ("text", b"#!/bin/sh".to_vec(), "sandbox.invalid_component", "not a WebAssembly component"),
        ("native", b"\x7fELF\x02\x01\x01\0\0".to_vec(), "sandbox.invalid_component", "compiled code"),
    ] {
        world.publish(&Package::new(name, "1.0.0", component)?.declaring(query())).await?;
        world.deploy(&using(&world, name)).await?;
        let run = world.run("fetch").end().await?.failed_with(code)?;
        let failure = run.failure.unwrap();
        assert!(failure.message.contains(word) && !failure.effects_begun, "{name}: {failure:?}");
    }
    world.run("read").end().await?.succeeded()?;
    assert_eq!(world.agent_seen("eu-1").await?["state"], "live");
    world.close().await
}

#[tokio::test]
async fn a_connector_that_says_it_is_another_one_is_not_run() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    let impostor = Package::new("hostile", "1.0.0", world.programs.component("hostile")?)?;
    world.publish(&impostor.declaring(query())).await?;
    world.deploy(&using(&world, "hostile")).await?;
    world.run("fetch").end().await?.failed_with("connector.name_mismatch")?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

#[tokio::test]
async fn a_release_that_promises_more_than_its_component_keeps_is_not_run() -> Result<()> {
    let world = World::start().await?;
    let _agent = world.agent("eu-1").await?;
    world.publish(&world.http()?.whose("send.keyed", SideEffects::Idempotent)).await?;
    world.deploy(&world.desk()).await?;
    let run = world.run("copy-keyed").end().await?.failed_with("connector.descriptor_mismatch")?;
    let failure = run.failure.unwrap();
    assert!(failure.message.contains("send.keyed") && !failure.effects_begun, "{failure:?}");
    assert_eq!(world.sandbox.ledger().await?.created, 0);
    world.close().await
}

#[tokio::test]
async fn a_connector_that_misbehaves_fails_its_own_run_and_no_other() -> Result<()> {
    let world = World::start().await?;
    let mut agent = world.agent("eu-1").await?;
    let elsewhere = json!({ "authority": "169.254.169.254" });
    let beside = json!({ "authority": "127.0.0.1:1" });
    let deeds = [
        ("memory", json!({}), "sandbox.memory_limit"),
        ("stack", json!({}), "sandbox.trap"),
        ("handles", json!({}), "sandbox.handle_limit"),
        ("panic", json!({ "name": "4711" }), "sandbox.trap"),
        ("abort", json!({}), "sandbox.trap"),
        ("big-batch", json!({}), "sandbox.batch_too_large"),
        ("lying-batch", json!({}), "sandbox.batch_invalid"),
        ("big-cursor", json!({}), "sandbox.cursor_too_large"),
        ("not-json", json!({}), "sandbox.output_invalid"),
        ("sleep", json!({}), "run.timeout"),
        ("get", elsewhere, "egress.denied"),
        ("get-and-lie", beside, "egress.denied"),
    ];
    // It says that it is `http`, so that is what it is published as.
    let mut package = Package::new("http", "1.0.0", world.programs.component("hostile")?)?;
    let mut project = Project::named("misdeeds").connection("system", Connection::to(&world.sandbox.url));
    for (activity, parameters, _) in deeds.iter().chain([&("good", json!({}), "")]) {
        package = package.declaring(Activity { name: (*activity).to_owned(), ..query() });
        let operation = Operation::from("system", activity, parameters.clone()).set("timeout", "2s");
        project = project.operation(activity, operation);
    }
    world.publish(&package).await?;
    world.deploy(&project).await?;
    for (activity, _, code) in &deeds {
        let failed = world.run(activity).end().await?.failed_with(code)?;
        assert!(!failed.failure.unwrap().message.contains("4711"), "words of a connector left the agent");
    }
    world.run("good").end().await?.succeeded()?;
    // It is still the same process.
    agent.ask_to_stop()?;
    assert_eq!(agent.ended().await?.code(), Some(0));
    world.close().await
}

/// The release of `http` under another version.
fn newer(world: &World, version: &str) -> Result<wherry_trust::release::Release> {
    Ok(wherry_trust::release::Release { version: version.parse()?, ..world.http()?.release })
}

fn query() -> Activity {
    Activity { name: "query".to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read }
}

/// A project whose one operation needs the connector.
fn using(world: &World, connector: &str) -> Project {
    Project::named("other")
        .connection("system", Connection::to(&world.sandbox.url).of(connector))
        .operation("fetch", Operation::from("system", "query", json!({})))
}

/// The package with another first line.
fn edited(package: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let end = package.iter().position(|byte| *byte == b'\n').unwrap();
    let mut envelope: Value = serde_json::from_slice(&package[..end]).unwrap();
    edit(&mut envelope);
    [envelope.to_string().as_bytes(), &package[end..]].concat()
}

/// The same release, in base64, with one character changed.
fn edited_payload(payload: &str) -> String {
    let middle = payload.len() / 2;
    let other = if payload.as_bytes()[middle] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &payload[..middle], &payload[middle + 1..])
}
