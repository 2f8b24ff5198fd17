//! Conditions and transformations through the whole system.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use wherry_tests::world::{Counts, Project, World, desk::copy, wait};

/// Every second request, each as two issues.
const WHEN: &str = ".id[-1:] | tonumber % 2 == 0";
const TRANSFORM: &str = "range($vars.parts) as $part\n| .id |= \"\\(.)/\\($part)\"\n| .summary |= ascii_upcase";

#[tokio::test]
async fn requests_are_chosen_and_multiplied_and_a_broken_target_makes_nothing_twice() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let shaped = copy("send.keyed").set("when", WHEN).set("transform", TRANSFORM);
    let _agent = world.agent("eu-1").await?;
    deploy(&world, world.desk().variable("parts", 2).operation("shape", shaped)).await?;
    let run = world.run("shape").under("first").end().await?.succeeded()?;
    assert_eq!(run.counts, Counts { read: 25, written: 24, rejected: 0, batches: run.counts.batches });
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (24, 0));
    // The second loss is the nasty one: the effect stands, the answer says otherwise.
    let before = json!({ "path": "/api/issues", "method": "POST", "fault": "error", "skip": 13, "times": 1 });
    let after =
        json!({ "path": "/api/issues", "method": "POST", "fault": "error", "when": "after", "skip": 15, "times": 1 });
    world.sandbox.misbehave(json!([before, after])).await?;
    let run = world.run("shape").with(json!({ "parts": 3 })).end().await?.succeeded()?;
    assert_eq!((run.attempt, run.times("requeued")), (3, 2));
    let ledger = world.sandbox.ledger().await?;
    assert_eq!((ledger.created, ledger.duplicates.len()), (24 + 36, 0), "{ledger:?}");
    assert!(ledger.replayed >= 1, "the retry did not use the same key");
    world.close().await
}

#[tokio::test]
async fn hostile_programs_end_their_own_runs_and_leave_the_agent_well() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let programs = [
        ("endless", "def f: f; f", "transform.time_limit"),
        ("hoarding", "[.] | until(false; . + .)", "transform.memory_limit"),
        ("recursive", "def f: [f]; f", "transform.stack_limit"),
        ("talkative", "range(1e9)", "transform.output_limit"),
        ("failing", "error(.summary)", "transform.failed"),
    ];
    let project = programs.iter().fold(world.desk(), |project, (name, program, _)| {
        project.operation(name, copy("send.keyed").set("transform", *program))
    });
    let _agent = world.agent("eu-1").await?;
    deploy(&world, project).await?;
    for (name, _, code) in programs {
        let run = world.run(name).end().await?.failed_with(code)?;
        assert_eq!((run.attempt, run.counts.written), (1, 0), "{name}: another attempt would fail again");
    }
    assert_eq!(world.sandbox.ledger().await?.created, 0);
    world.run("copy-keyed").end().await?.succeeded()?;
    world.close().await
}

/// Deploys, and waits until the agent has compiled its box: on a busy machine, without optimisation, that takes longer
/// than any run may.
async fn deploy(world: &World, project: Project) -> Result<()> {
    world.deploy(&project.operation("first", copy("send.keyed").set("when", "false"))).await?;
    let run = world.run("first").begin().await?;
    let path = format!("/v1/runs/{}", run.id);
    wait::within(Duration::from_secs(120), "the first run with a program is over", async || {
        let now = world.api.get(&path).await?.accepted()?;
        Ok((now["state"] == "succeeded").then_some(()))
    })
    .await
}
