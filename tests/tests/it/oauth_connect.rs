//! A person connects an account: command line, browser, controller, agent and provider together.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use wherry_tests::world::{
    Agent, Connection, Counts, ENVIRONMENT, Operation, Operator, Project, Run, World,
    provider::{ACCOUNT, CLIENT, Provider},
    wait,
};

const OAUTH: &str = "/v1/environments/prod/connections/crm/oauth";
/// Life of an access token: the shortest that an agent believes.
const LIFE: u64 = 60;
/// When an agent looks for a new one, and a little.
const DUE: Duration = Duration::from_secs(52);

#[tokio::test]
async fn a_consent_in_the_browser_lets_runs_work_until_it_is_given_back() -> Result<()> {
    let (world, provider) = ready(World::start().await?).await?;
    let agent = world.agent("eu-1").await?;
    agent.learn(ENVIRONMENT, "client-secret", CLIENT.1).await?;
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;

    let flow = begin(&world).await?;
    let back = provider.consent(flow["url"].as_str().context("an address")?).await?;
    let (status, page) = browse(&back).await?;
    ensure!(status == 200, "{page}");
    let flow_id = flow["flow"].as_str().context("a flow")?;
    let path = format!("{OAUTH}?flow={flow_id}&wait_ms=20000&seen=waiting");
    let asking = world.api.get(&path).await?.accepted()?;
    assert_eq!((&asking["flow"]["state"], &asking["flow"]["account"]), (&json!("asking"), &json!(ACCOUNT)), "{asking}");
    // Not before a person said that it is the right account.
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;
    confirm(&world, flow_id, true).await?;
    assert_eq!(used(&world).await?.agent.as_deref(), Some("eu-1"));
    let shown = world.api.get(OAUTH).await?.accepted()?;
    assert_eq!(
        (&shown["state"], &shown["account"], &shown["owner"]),
        (&json!("connected"), &json!(ACCOUNT), &json!("eu-1"))
    );

    let (status, page) = browse(&back).await?;
    ensure!(status == 400 && page.contains("oauth.state_invalid"), "{page}");
    let (status, _) = browse(&format!("{back}&filler={}", "x".repeat(1 << 20))).await.unwrap_or((414, String::new()));
    ensure!((400..500).contains(&status), "an address of a megabyte was answered with {status}");
    let gone = world.api.delete(OAUTH).await?.accepted()?;
    assert_eq!(gone["revoked"], true, "{gone}");
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;
    let counts = provider.counts();
    assert_eq!((counts.redeemed, counts.reused, counts.revoked), (1, 0, 1), "{counts:?}");
    nothing_secret_at(&world, &back)?;
    world.close().await
}

#[tokio::test]
async fn the_wrong_account_is_given_back_and_never_used() -> Result<()> {
    let (world, provider) = ready(World::start().await?).await?;
    let agent = world.agent("eu-1").await?;
    agent.learn(ENVIRONMENT, "client-secret", CLIENT.1).await?;
    let flow = begin(&world).await?;
    let back = provider.consent(flow["url"].as_str().context("an address")?).await?;
    browse(&back).await?;
    let flow_id = flow["flow"].as_str().context("a flow")?;
    world.api.get(&format!("{OAUTH}?flow={flow_id}&wait_ms=20000&seen=waiting")).await?.accepted()?;
    assert_eq!(confirm(&world, flow_id, false).await?["failure"]["code"], "oauth.account_declined");
    wait::until("the tokens are given back", async || Ok((provider.counts().revoked == 1).then_some(()))).await?;
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;
    assert_eq!(provider.counts().served, 0);
    world.close().await
}

#[tokio::test]
async fn the_command_line_shows_the_address_waits_and_says_whose_account_it_is() -> Result<()> {
    let (world, provider) = ready(World::start().await?).await?;
    let agent = world.agent("eu-1").await?;
    agent.learn(ENVIRONMENT, "client-secret", CLIENT.1).await?;
    let mut command =
        wherry(&world, &["oauth", "connect", "crm", "--environment", ENVIRONMENT, "--yes", "--no-browser"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(child.stderr.take().context("its words")?).lines();
    let url = loop {
        let line = tokio::time::timeout(wait::PATIENCE, said.next_line()).await??.context("it said no address")?;
        if let Some(url) = line.trim().strip_prefix("http") {
            break format!("http{url}");
        }
    };
    browse(&provider.consent(&url).await?).await?;
    let ended = tokio::time::timeout(wait::PATIENCE, child.wait_with_output()).await??;
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure!(ended.status.success(), "{out}");
    assert!(out.contains(&format!("crm is connected as {ACCOUNT}, refreshed by eu-1")), "{out}");
    used(&world).await?;
    let status = wherry(&world, &["oauth", "status", "crm", "--environment", ENVIRONMENT])?.output().await?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("connected") && status.contains(ACCOUNT), "{status}");
    let gone = wherry(&world, &["oauth", "disconnect", "crm", "--environment", ENVIRONMENT, "--yes"])?.output().await?;
    assert!(String::from_utf8_lossy(&gone.stdout).contains("the provider revoked its tokens"), "{gone:?}");
    world.close().await
}

#[tokio::test]
async fn a_group_uses_one_account_and_goes_on_with_it_when_the_agent_that_refreshed_it_is_gone() -> Result<()> {
    let terms = ["lease.term=6s", "lease.grace=2s", "lease.margin=2s", "lease.heartbeat=1s"];
    let plan = terms.into_iter().fold(World::plan(), |plan, setting| plan.setting(setting));
    let (world, provider) = ready(plan.start().await?).await?;
    let operator = Operator::new()?;
    let first = world.joined(&operator, "eu-1").await?;
    let second = world.joined(&operator, "eu-2").await?;
    world.roster_of(2).await?;
    world.set_secret(&operator, "client-secret", CLIENT.1).await?;
    let mut agents = [first, second];
    connect(&world, &provider).await?;
    // The owner answers first and seals a copy for the others then.
    let shown = wait::until("the others have a copy of the tokens", async || {
        let shown = world.api.get(OAUTH).await?.accepted()?;
        Ok((shown["shared"] == true).then_some(shown))
    })
    .await?;
    let owner = shown["owner"].as_str().context("an owner")?.to_owned();
    // Ten runs at once: both agents work, with the tokens of one consent.
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(world.run("items").begin().await?);
    }
    for run in runs {
        world.end_of(&run.id).await?.succeeded()?;
    }
    let lost = agents.iter_mut().find(|agent| agent.name == owner).context("the owner")?;
    lost.kill().await?;
    tokio::time::sleep(DUE).await;
    let run = used(&world).await?;
    assert_ne!(run.agent.as_deref(), Some(owner.as_str()));
    let shown = world.api.get(OAUTH).await?.accepted()?;
    assert_ne!(shown["owner"], owner, "{shown}");
    revive(&mut agents, &owner).await?;
    for _ in 0..5 {
        used(&world).await?;
    }
    let counts = provider.counts();
    assert_eq!((counts.redeemed, counts.reused), (1, 0), "{counts:?}");
    assert!((1..=2).contains(&counts.refreshed), "one refresh serves everybody: {counts:?}");
    world.close().await
}

async fn revive(agents: &mut [Agent], name: &str) -> Result<()> {
    agents.iter_mut().find(|agent| agent.name == name).context("the owner")?.start().await
}

async fn ready(world: World) -> Result<(World, Provider)> {
    let provider = Provider::start(LIFE).await?;
    world.publish(&world.http()?).await?;
    let crm = Connection::to(&format!("http://{}", provider.address)).set("auth", provider.auth("client-secret"));
    let items = Operation::from("crm", "query", json!({ "path": "/items", "records": "items" }));
    world.deploy(&Project::named("accounts").connection("crm", crm).operation("items", items)).await?;
    Ok((world, provider))
}

async fn begin(world: &World) -> Result<Value> {
    world.api.post(OAUTH, &json!({})).await?.accepted()
}

async fn confirm(world: &World, flow: &str, right: bool) -> Result<Value> {
    world.api.post(&format!("{OAUTH}/confirm"), &json!({ "flow": flow, "right": right })).await?.accepted()
}

async fn connect(world: &World, provider: &Provider) -> Result<()> {
    let flow = begin(world).await?;
    browse(&provider.consent(flow["url"].as_str().context("an address")?).await?).await?;
    let flow_id = flow["flow"].as_str().context("a flow")?;
    world.api.get(&format!("{OAUTH}?flow={flow_id}&wait_ms=20000&seen=waiting")).await?.accepted()?;
    confirm(world, flow_id, true).await.map(drop)
}

async fn used(world: &World) -> Result<Run> {
    let run = world.run("items").end().await?.succeeded()?;
    assert_eq!(run.counts, Counts { read: 3, written: 0, rejected: 0, batches: 1 });
    Ok(run)
}

/// What a browser does with the address that a provider sends it to.
async fn browse(url: &str) -> Result<(u16, String)> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

fn wherry(world: &World, arguments: &[&str]) -> Result<Command> {
    let token = std::fs::read_to_string(world.controller.data().join("admin-token"))?;
    let mut command = Command::new(world.programs.program("wherry")?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.env("WHERRY_URL", world.api.address("")).env("WHERRY_TOKEN", token.trim());
    Ok(command)
}

/// Neither the code nor a token is in the controller's log.
fn nothing_secret_at(world: &World, back: &str) -> Result<()> {
    let log = std::fs::read_to_string(world.log("controller"))?;
    let brought = wherry_tests::world::provider::pairs(back.split_once('?').context("a query")?.1);
    for name in ["code", "state"] {
        let value = brought.get(name).context("it brought both")?;
        ensure!(!log.contains(value.as_str()), "the controller's log has the {name}");
    }
    ensure!(!log.contains("access-") && !log.contains("refresh-"), "the controller's log has a token");
    Ok(())
}
