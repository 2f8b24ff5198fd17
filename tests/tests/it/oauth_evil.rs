//! A controller that lies: it sees every address, code and `state` that passes through it, and everything it stores.
//! What it makes of that at the provider, and what it can bring the agent to do.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{
    Agent, Connection, ENVIRONMENT, Operation, Operator, Project, World,
    provider::{CLIENT, Provider, pairs},
};

/// A verifier that the attacker chose, and its SHA-256 in base64url (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn a_code_that_passes_through_the_controller_is_worth_nothing_to_it() -> Result<()> {
    let (world, provider, _agent) = ready().await?;
    let flow = begin(&world, "crm").await?;
    let sent = pairs(flow["url"].as_str().and_then(|url| url.split_once('?')).context("an address")?.1);
    let brought = pairs(provider.consent(url_of(&flow)?).await?.split_once('?').context("a query")?.1);
    let code = brought.get("code").context("a code")?.as_str();
    // It kept the code from the agent and tries whatever it knows.
    let known = [("", ""), (VERIFIER, ""), (&sent["state"], ""), (&sent["code_challenge"], ""), (VERIFIER, "guess")];
    for (verifier, secret) in known {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &sent["redirect_uri"]),
            ("code_verifier", verifier),
            ("client_id", CLIENT.0),
            ("client_secret", secret),
        ];
        let (status, answer) = token(&provider, secret, &form).await?;
        ensure!(status == 401, "the provider answered {status} {answer} to {verifier:?} {secret:?}");
    }
    // Even one that has stolen the client's secret lacks the verifier.
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &sent["redirect_uri"]),
        ("code_verifier", VERIFIER),
    ];
    let (status, answer) = token(&provider, CLIENT.1, &form).await?;
    ensure!(status == 400 && answer["error"] == "invalid_grant", "{status} {answer}");
    assert_eq!(provider.counts().redeemed, 0);
    world.close().await
}

#[tokio::test]
async fn a_code_that_the_controller_puts_in_place_of_the_persons_gains_nothing() -> Result<()> {
    let (world, provider, _agent) = ready().await?;
    let flow = begin(&world, "crm").await?;
    let state = pairs(url_of(&flow)?.split_once('?').context("a query")?.1)["state"].clone();
    // The person is sent to an address of the attacker's making, with a challenge that the attacker can answer.
    let swapped = format!(
        "http://{}/authorize?response_type=code&client_id={}&code_challenge={CHALLENGE}&code_challenge_method=S256\
         &redirect_uri=http%3A%2F%2Fevil.example%2Fback&state=evil",
        provider.address, CLIENT.0
    );
    let stolen = pairs(provider.consent(&swapped).await?.split_once('?').context("a query")?.1)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", stolen.as_str()),
        ("redirect_uri", "http://evil.example/back"),
        ("code_verifier", VERIFIER),
        ("client_id", CLIENT.0),
    ];
    let (status, answer) = token(&provider, "", &form).await?;
    ensure!(status == 401, "a confidential client's code was redeemed without its secret: {answer}");
    // So the attacker lets the agent redeem it, which has the secret, but another verifier.
    let failed = bring(&world, &flow, &state, &stolen, &provider).await?;
    assert_eq!(failed["failure"]["code"], "oauth.refused", "{failed}");
    assert_eq!(provider.counts().redeemed, 0);
    world.run("items").end().await?.failed_with("oauth.needs_consent")?;
    world.close().await
}

#[tokio::test]
async fn the_code_of_one_flow_is_no_good_in_another_and_nothing_is_good_twice() -> Result<()> {
    let (world, provider, _agent) = ready().await?;
    let (one, other) = (begin(&world, "crm").await?, begin(&world, "crm-two").await?);
    let first = pairs(provider.consent(url_of(&one)?).await?.split_once('?').context("a query")?.1);
    let state = pairs(url_of(&other)?.split_once('?').context("a query")?.1)["state"].clone();
    let failed = bring(&world, &other, &state, &first["code"], &provider).await?;
    assert_eq!(failed["failure"]["code"], "oauth.refused", "{failed}");
    assert_eq!(provider.counts().redeemed, 0);
    // What was spoilt is not good any more where it belonged either.
    let failed = bring(&world, &one, &first["state"], &first["code"], &provider).await?;
    assert_eq!(failed["failure"]["code"], "oauth.refused", "{failed}");
    world.close().await
}

#[tokio::test]
async fn nothing_that_the_controller_keeps_opens_an_account() -> Result<()> {
    let world = World::start().await?;
    let provider = deployed(&world).await?;
    let operator = Operator::new()?;
    let _one = world.joined(&operator, "eu-1").await?;
    world.roster_of(1).await?;
    world.set_secret(&operator, "client-secret", CLIENT.1).await?;
    let flow = begin(&world, "crm").await?;
    let back = provider.consent(url_of(&flow)?).await?;
    let brought = pairs(back.split_once('?').context("a query")?.1);
    browse(&back).await?;
    let id = flow["flow"].as_str().context("a flow")?;
    let path = oauth("crm");
    world.api.get(&format!("{path}?flow={id}&wait_ms=20000&seen=waiting")).await?.accepted()?;
    world.api.post(&format!("{path}/confirm"), &json!({ "flow": id, "right": true })).await?.accepted()?;
    world.run("items").end().await?.succeeded()?;
    assert_eq!(world.api.get(&path).await?.accepted()?["shared"], true, "a copy is at the controller");
    let folder = world.folder().join("controller");
    for secret in [CLIENT.1, &brought["code"], &brought["state"], "access-", "refresh-", "code_verifier"] {
        ensure!(!holds(&folder, secret)?, "the controller's folder holds {secret:?}");
        let log = std::fs::read(world.log("controller"))?;
        ensure!(!contains(&log, secret), "the controller's log holds {secret:?}");
    }
    world.close().await
}

async fn ready() -> Result<(World, Provider, Agent)> {
    let world = World::start().await?;
    let provider = deployed(&world).await?;
    let agent = world.agent("eu-1").await?;
    agent.learn(ENVIRONMENT, "client-secret", CLIENT.1).await?;
    Ok((world, provider, agent))
}

async fn deployed(world: &World) -> Result<Provider> {
    let provider = Provider::start(3_600).await?;
    world.publish(&world.http()?).await?;
    let crm = Connection::to(&format!("http://{}", provider.address)).set("auth", provider.auth("client-secret"));
    let items = Operation::from("crm", "query", json!({ "path": "/items", "records": "items" }));
    let project = Project::named("accounts").connection("crm", crm.clone()).connection("crm-two", crm);
    world.deploy(&project.operation("items", items)).await?;
    Ok(provider)
}

fn oauth(connection: &str) -> String {
    format!("/v1/environments/{ENVIRONMENT}/connections/{connection}/oauth")
}

async fn begin(world: &World, connection: &str) -> Result<Value> {
    world.api.post(&oauth(connection), &json!({})).await?.accepted()
}

fn url_of(flow: &Value) -> Result<&str> {
    flow["url"].as_str().context("an address")
}

/// Brings a code to a flow, as only a controller that lies would; what becomes of the flow.
async fn bring(world: &World, flow: &Value, state: &str, code: &str, provider: &Provider) -> Result<Value> {
    let back = world.api.address(&format!("/oauth/callback?state={state}&code={code}&iss=http://{}", provider.address));
    let (status, page) = browse(&back).await?;
    ensure!(status == 200, "{page}");
    let (id, connection) = (flow["flow"].as_str().context("a flow")?, flow["connection"].as_str().context("a name")?);
    let path = format!("{}?flow={id}&wait_ms=20000&seen=waiting", oauth(connection));
    Ok(world.api.get(&path).await?.accepted()?["flow"].clone())
}

async fn token(provider: &Provider, secret: &str, form: &[(&str, &str)]) -> Result<(u16, Value)> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let mut request = client.post(format!("http://{}/token", provider.address)).body(body.join("&"));
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if !secret.is_empty() {
        request = request.basic_auth(CLIENT.0, Some(secret.replace(' ', "+")));
    }
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn browse(url: &str) -> Result<(u16, String)> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
    let answer = client.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Whether any file below the folder has the text.
fn holds(folder: &Path, text: &str) -> Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() { holds(&path, text)? } else { contains(&std::fs::read(&path)?, text) };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
