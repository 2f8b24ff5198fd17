//! A person's consent through the whole system against the npm package `oidc-provider`, a certified provider: command
//! line, controller, two agents of a group with keys, and a provider that rotates refresh tokens and ends a consent when
//! one of them comes twice.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use wherry_tests::world::{Connection, ENVIRONMENT, Operation, Operator, Project, World, wait};

const SECRET: &str = "s3cret & more";
/// The provider of the agent's own tests.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/tests/it/oauth/third_party/provider.mjs");

#[tokio::test]
async fn a_consent_at_a_provider_of_others_lets_a_group_work_until_it_is_given_back() -> Result<()> {
    let Some(folder) = std::env::var_os("WHERRY_OIDC") else {
        eprintln!("skipped: tests against software of others, run them with cargo xtask test --third-party");
        return Ok(());
    };
    let world = World::start().await?;
    let (_provider, url) = provider(Path::new(&folder), &world.api.address("/oauth/callback")).await?;
    world.publish(&world.http()?).await?;
    let auth = json!({
        "type": "oauth2", "grant": "authorization_code", "client_id": "wherry",
        "client_secret": { "secret": "client" }, "issuer": url, "scope": "openid offline_access",
        "authorization_url": format!("{url}/auth"), "token_url": format!("{url}/token"),
        "revocation_url": format!("{url}/token/revocation"), "userinfo_url": "/me",
        "parameters": { "prompt": "consent" },
    });
    let crm = Connection::to(&url).set("auth", auth);
    let items = Operation::from("crm", "query", json!({ "path": "/items", "records": "items" }));
    world.deploy(&Project::named("accounts").connection("crm", crm).operation("items", items)).await?;
    let operator = Operator::new()?;
    let mut agents = [world.joined(&operator, "eu-1").await?, world.joined(&operator, "eu-2").await?];
    world.roster_of(2).await?;
    world.set_secret(&operator, "client", SECRET).await?;
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;

    let mut command =
        wherry(&world, &["oauth", "connect", "crm", "--environment", ENVIRONMENT, "--yes", "--no-browser"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(child.stderr.take().context("its words")?).lines();
    let address = loop {
        let line = tokio::time::timeout(wait::PATIENCE, said.next_line()).await??.context("it said no address")?;
        if line.trim().starts_with("http") {
            break line.trim().to_owned();
        }
    };
    let client = reqwest::Client::builder().timeout(wait::PATIENCE).no_proxy().build()?;
    let back = client.post(format!("{url}/_browser")).body(address).send().await?.text().await?;
    let page = client.get(&back).send().await?;
    ensure!(page.status() == 200, "{back}: {}", page.text().await?);
    let ended = tokio::time::timeout(wait::PATIENCE, child.wait_with_output()).await??;
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure!(ended.status.success() && out.contains("crm is connected as ada@example.com"), "{out}");

    assert_eq!(world.run("items").end().await?.succeeded()?.counts.read, 3);
    // The copy that the owner left is what the other one works with.
    let shown = world.api.get(&format!("/v1/environments/{ENVIRONMENT}/connections/crm/oauth")).await?.accepted()?;
    assert_eq!(shown["shared"], true, "{shown}");
    let owner = shown["owner"].as_str().context("an owner")?.to_owned();
    let lost = agents.iter_mut().find(|agent| agent.name == owner).context("the owner")?;
    lost.kill().await?;
    let run = world.run("items").end().await?.succeeded()?;
    assert_ne!(run.agent.as_deref(), Some(owner.as_str()));
    lost.start().await?;
    let gone = wherry(&world, &["oauth", "disconnect", "crm", "--environment", ENVIRONMENT, "--yes"])?.output().await?;
    assert!(String::from_utf8_lossy(&gone.stdout).contains("the provider revoked its tokens"), "{gone:?}");
    let code = back.split_once("code=").and_then(|(_, rest)| rest.split('&').next()).context("a code")?;
    let log = std::fs::read_to_string(world.log("controller"))?;
    ensure!(!log.contains(code) && !log.contains(SECRET), "the code or the client's secret is in the log");
    world.close().await
}

async fn provider(folder: &Path, redirect: &str) -> Result<(Child, String)> {
    let mut process = Command::new("node")
        .arg(SCRIPT)
        .env("WHERRY_OIDC", folder)
        .env("WHERRY_REDIRECT", redirect)
        .env("WHERRY_ALG", "ES256")
        .env("WHERRY_JWKS", json!({ "keys": [] }).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(process.stdout.take().context("its words")?).lines();
    loop {
        let line = tokio::time::timeout(wait::PATIENCE, lines.next_line()).await??;
        let line = line.context("the provider did not start")?;
        if line.starts_with("http://127.0.0.1") {
            return Ok((process, line));
        }
    }
}

fn wherry(world: &World, arguments: &[&str]) -> Result<Command> {
    let token = std::fs::read_to_string(world.controller.data().join("admin-token"))?;
    let mut command = Command::new(world.programs.program("wherry")?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.env("WHERRY_URL", world.api.address("")).env("WHERRY_TOKEN", token.trim());
    Ok(command)
}
