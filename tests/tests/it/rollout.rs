//! Versions of connectors on real agents: a test that brings one up to date, an upgrade, a canary for everyone, one that
//! is rolled back, a pin, and the policy that holds everything still.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_domain::effects::SideEffects;
use wherry_tests::world::{Api, Package, World, wait};
use wherry_trust::release::{Activity, ActivityKind};

const HERE: &str = "/v1/environments/prod/connectors";

#[tokio::test]
async fn a_test_brings_the_newest_version_to_every_agent_unless_it_is_pinned_or_the_policy_forbids_it() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let (_one, _other) = (world.agent("eu-1").await?, world.agent("eu-2").await?);
    ready(&world, "1.0.0").await?;
    world.publish(&world.http()?.at("1.1.0")?).await?;
    world.api.post(&format!("{HERE}/http/move"), &json!({ "action": "pin" })).await?.accepted()?;
    assert_eq!(test(&world).await?["to"], "1.0.0", "it is pinned");
    world.api.post(&format!("{HERE}/http/move"), &json!({ "action": "unpin" })).await?.accepted()?;
    let moved = test(&world).await?;
    assert_eq!((&moved["from"], &moved["to"]), (&json!("1.0.0"), &json!("1.1.0")), "{moved}");
    assert_eq!((&moved["agents_updated"], &moved["agents_total"]), (&json!(2), &json!(2)), "{moved}");
    world.run("read").end().await?.succeeded()?;
    let policy = json!({ "value": true });
    put(&world.api, "/v1/policies/disable_auto_connector_update", &policy).await?;
    world.publish(&world.http()?.at("1.2.0")?).await?;
    let held = test(&world).await?;
    assert_eq!((&held["from"], &held["to"]), (&json!("1.1.0"), &json!("1.1.0")), "{held}");
    let upgraded = world.api.post(&format!("{HERE}/http/move"), &json!({ "action": "upgrade" })).await?.accepted()?;
    assert_eq!(upgraded["to"], "1.2.0");
    ready(&world, "1.2.0").await?;
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

#[tokio::test]
async fn a_canary_that_does_well_becomes_the_version_of_everyone() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    ready(&world, "1.0.0").await?;
    world.publish(&world.http()?.at("1.1.0")?).await?;
    begin_canary(&world, "5s").await?;
    let settled = runs_until_settled(&world).await?;
    assert_eq!((&settled["state"], &settled["reason"]["kind"]), (&json!("everyone"), &json!("healthy")), "{settled}");
    ready(&world, "1.1.0").await?;
    let history: Vec<Value> = world.api.list(&format!("{HERE}/http/history")).await?;
    assert_eq!((&history[0]["to"], &history[0]["who"]), (&json!("1.1.0"), &json!("controller")), "{history:?}");
    assert_eq!(history[1]["trial"], "1.1.0", "{history:?}");
    world.close().await
}

#[tokio::test]
async fn a_canary_of_a_broken_version_is_rolled_back_and_every_run_succeeds_in_the_end() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let _agent = world.agent("eu-1").await?;
    ready(&world, "1.0.0").await?;
    // It calls itself `http`, and has no activity that the project uses.
    let mut broken = Package::of(&world.programs, "http")?;
    broken.component = world.programs.component("hostile")?;
    broken.release.activities =
        vec![Activity { name: "good".to_owned(), kind: ActivityKind::Source, side_effects: SideEffects::Read }];
    world.publish(&broken.at("1.1.0")?).await?;
    begin_canary(&world, "10m").await?;
    let settled = runs_until_settled(&world).await?;
    assert_eq!(settled["state"], "back", "{settled}");
    assert_eq!(settled["reason"]["old_failed"], 0, "{settled}");
    ready(&world, "1.0.0").await?;
    let history: Vec<Value> = world.api.list(&format!("{HERE}/http/history")).await?;
    let why = history[0]["why"].as_str().context("it says why")?;
    assert!(why.starts_with("canary of 1.1.0 rolled back: "), "{why}");
    world.run("read").end().await?.succeeded()?;
    world.close().await
}

/// Every agent has the version ready.
async fn ready(world: &World, version: &str) -> Result<()> {
    wait::until(&format!("the agents have http {version}"), async || {
        let http = standing(world).await?;
        let all = http["agents"].as_u64().is_some_and(|agents| agents > 0) && http["agents"] == http["agents_ready"];
        Ok((all && http["version"] == version).then_some(()))
    })
    .await
}

async fn standing(world: &World) -> Result<Value> {
    let all: Vec<Value> = world.api.list(HERE).await?;
    all.into_iter().find(|one| one["connector"] == "http").context("the lock does not name http")
}

async fn test(world: &World) -> Result<Value> {
    let path = "/v1/environments/prod/connections/desk/test";
    let tested = world.api.post(path, &json!({})).await?.accepted()?;
    tested.get("connector").cloned().context("the test says nothing of the connector")
}

async fn put(api: &Api, path: &str, body: &Value) -> Result<()> {
    let answer = api.send(api.request(reqwest::Method::PUT, path).json(body)).await?;
    answer.accepted().map(drop)
}

async fn begin_canary(world: &World, time: &str) -> Result<()> {
    let canary = json!({ "share": "50%", "for": time, "attempts": 5 });
    let asked = json!({ "action": "upgrade", "canary": canary });
    world.api.post(&format!("{HERE}/http/move"), &asked).await?.accepted().map(drop)
}

/// Runs the operation again and again until the canary is settled; what became of it.
async fn runs_until_settled(world: &World) -> Result<Value> {
    for _ in 0..400 {
        let canary = standing(world).await?["canary"].clone();
        if canary["state"] != "under_way" {
            return Ok(canary);
        }
        world.run("read").end().await?;
    }
    ensure!(false, "the canary never ends: {}", standing(world).await?);
    Ok(Value::Null)
}
