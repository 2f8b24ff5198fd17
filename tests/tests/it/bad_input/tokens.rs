//! Enrolment tokens that are none, that were used, that have expired, or that were made up.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use wherry_tests::world::{Agent, World};
use wherry_trust::token::{EnrolmentToken, SpkiPin};

/// Exit codes of an agent that is not admitted.
const USAGE: i32 = 64;
const REFUSED: i32 = 77;
const UNAVAILABLE: i32 = 69;

#[tokio::test]
async fn a_token_that_is_used_expired_or_made_up_admits_nobody() -> Result<()> {
    let world = World::start().await?;
    let short = world.token(Duration::from_secs(1)).await?;
    let token = world.token(Duration::from_secs(60)).await?;
    let first = world.stranger("eu-1")?;
    assert_eq!(first.enrol(&world.agent_url(), &token).await?, Some(0));
    let before: Vec<Value> = world.api.list("/v1/agents").await?;

    let second = world.stranger("eu-2")?;
    refused(&world, &second, &token, REFUSED, "enrolment.token_refused").await?;
    let pin: SpkiPin = pin(&world).await?.parse()?;
    let made_up = EnrolmentToken::generate(pin)?.reveal().to_string();
    refused(&world, &second, &made_up, REFUSED, "enrolment.token_refused").await?;
    // Nothing but time makes a token expire.
    tokio::time::sleep(Duration::from_secs(1)).await;
    refused(&world, &second, &short, REFUSED, "enrolment.token_refused").await?;
    for broken in ["", "wht_", "hunter2", &token[..token.len() - 1], &token.replace("wht", "whp"), &"x".repeat(1 << 16)]
    {
        refused(&world, &second, broken, USAGE, "enrolment.token_malformed").await?;
    }
    assert_eq!(world.api.list::<Value>("/v1/agents").await?, before);
    // A good token still works, once, and gives a name of its own.
    let good = world.token(Duration::from_secs(60)).await?;
    let mut twin = world.stranger("twin")?;
    twin.name = first.name.clone();
    refused(&world, &twin, &good, UNAVAILABLE, "agent.name_taken").await?;
    assert_eq!(second.enrol(&world.agent_url(), &good).await?, Some(0));
    world.close().await
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() -> Result<()> {
    let world = World::start().await?;
    let pin: SpkiPin = pin(&world).await?.parse()?;
    let stranger = world.stranger("eu-1")?;
    for _ in 0..5 {
        let guess = EnrolmentToken::generate(pin.clone())?.reveal().to_string();
        refused(&world, &stranger, &guess, REFUSED, "enrolment.token_refused").await?;
    }
    // Even a good one has to wait now.
    let good = world.token(Duration::from_secs(60)).await?;
    refused(&world, &stranger, &good, UNAVAILABLE, "enrolment.too_many_attempts").await?;
    assert!(world.api.list::<Value>("/v1/agents").await?.is_empty());
    world.close().await
}

async fn refused(world: &World, agent: &Agent, token: &str, exit: i32, code: &str) -> Result<()> {
    let log = fs::read_to_string(agent.log()).unwrap_or_default().len();
    let ended = agent.enrol(&world.agent_url(), token).await?;
    let said = fs::read_to_string(agent.log())?[log..].to_owned();
    assert_eq!(ended, Some(exit), "{said}");
    assert!(said.contains(code), "{code} was expected: {said}");
    assert!(token.len() < 20 || !said.contains(token), "the token is in the log");
    Ok(())
}

async fn pin(world: &World) -> Result<String> {
    let status = world.api.get("/v1/status").await?.accepted()?;
    Ok(status["ca_pin"].as_str().context("the controller has no pin")?.to_owned())
}
