//! Signed work only: what an operator did not sign does not run on an agent whose owner demands it, and is not deployed
//! where the organisation does.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{World, wait};

use crate::operator_tool::Tool;

#[tokio::test]
async fn only_what_an_operator_signed_is_deployed_and_runs_where_that_is_demanded() -> Result<()> {
    let world = World::start().await?;
    world.publish(&world.http()?.described(&world.programs)?).await?;
    let tool = Tool::of(&world)?;
    let made: Value = serde_json::from_str(&tool.run(&["key", "operator", "--output", "json"], "").await?)?;
    let operator = made["public"].as_str().context("no public key")?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    let policy = agent.configure_policy(&demanding(operator))?;
    let credentials = &world.sandbox.credentials.desk;
    agent.learn("prod", "desk-password", &credentials.password).await?;
    agent.start().await?;
    let folder = world.folder().join("signed");
    write_project(&folder, &world.sandbox.url, &credentials.username, "first")?;
    let folder_text = folder.to_str().context("a path that is text")?.to_owned();
    let deploy = ["project", "deploy", &folder_text, "--environment", "prod"];

    tool.run(&deploy, "").await?;
    world.run("read").end().await?.failed_with("agent_policy.deployment_unsigned")?;

    let signed = [&deploy[..], &["--sign"]].concat();
    tool.run(&signed, "").await?;
    world.run("read").end().await?.succeeded()?;
    let history = tool.run(&["project", "history", "signed", "--environment", "prod", "--output", "json"], "").await?;
    let history: Value = serde_json::from_str(&history)?;
    let signers = |at: usize| history["items"][at]["signed_by"].as_array().map_or(0, Vec::len);
    assert_eq!((signers(0), signers(1)), (1, 0), "{history}");

    // After a restart, without the controller's help: the signature is on disk.
    agent.kill().await?;
    agent.start().await?;
    world.run("read").end().await?.succeeded()?;

    // Another operator's key from now on: what the first one signed runs no more.
    let other = wherry_trust::keys::SigningKey::generate()?.public().to_string();
    fs::write(&policy, demanding(&other))?;
    wait::until("the owner's new demand holds", async || {
        let run = world.run("read").end().await?;
        Ok((run.state == "failed").then_some(run))
    })
    .await?
    .failed_with("agent_policy.deployment_unsigned")?;
    world.close().await
}

#[tokio::test]
async fn an_organisation_that_demands_signatures_takes_no_deployment_without_one() -> Result<()> {
    let world = World::start().await?;
    world.publish(&world.http()?.described(&world.programs)?).await?;
    let tool = Tool::of(&world)?;
    let _agent = tool.joined(&world, "eu-1").await?;
    tool.run(&["policy", "set", "require_signed_deployments", "true"], "").await?;
    let folder = world.folder().join("signed");
    write_project(&folder, &world.sandbox.url, "nobody", "first")?;
    let folder_text = folder.to_str().context("a path that is text")?.to_owned();
    let deploy = ["project", "deploy", &folder_text, "--environment", "prod"];
    let refused = tool.run(&deploy, "").await.unwrap_err().to_string();
    ensure!(refused.contains("policy.deployment_unsigned") && refused.contains("--sign"), "{refused}");
    tool.run(&[&deploy[..], &["--sign"]].concat(), "").await?;

    // Somebody who is no operator of the group.
    let stranger = Tool { config: world.folder().join("stranger"), ..tool };
    fs::create_dir_all(&stranger.config)?;
    write_project(&folder, &world.sandbox.url, "nobody", "second")?;
    let refused = stranger.run(&[&deploy[..], &["--sign"]].concat(), "").await.unwrap_err().to_string();
    ensure!(refused.contains("envelope.signer_unknown"), "{refused}");
    world.close().await
}

fn demanding(operator: &str) -> String {
    format!("[deployments]\nrequire_signed_deployments = true\noperators = [{operator:?}]\n")
}

fn write_project(folder: &Path, url: &str, user: &str, description: &str) -> Result<()> {
    for part in ["connections", "operations"] {
        fs::create_dir_all(folder.join(part))?;
    }
    fs::write(folder.join("wherry.yaml"), format!("name: signed\ndescription: {description}\n"))?;
    let connection = json!({
        "connector": "http",
        "url": url,
        "auth": { "type": "basic", "username": user, "password": { "secret": "desk-password" } },
    });
    fs::write(folder.join("connections/desk.yaml"), connection.to_string())?;
    let read = json!({
        "source": { "connection": "desk", "activity": "query", "with": { "path": "/rest/requests", "records": "items" } },
        "retry": { "attempts": 1 },
    });
    fs::write(folder.join("operations/read.yaml"), read.to_string())?;
    Ok(())
}
