//! Actions and aliases, from an application's request to a system and back.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wherry_tests::world::{
    Agent, Answer, Connection, Operation, Project, World,
    fault_proxy::{Direction, FaultProxy},
    wait,
};

const ALLOW: &str = "[answers]\nactions = true\n";

#[tokio::test]
async fn an_application_calls_an_alias_and_gets_the_records_and_the_controller_keeps_none() -> Result<()> {
    let world = World::start().await?;
    let agent = ready(&world, ALLOW).await?;
    policy(&world, "allow_answers", true).await?;
    let read = json!({ "with": { "path": "/rest/requests", "records": "items" } });
    let done = call(&world, "desk-of-here/query", &read, None).await?.accepted()?;
    let records = done["answer"]["records"].as_array().context("no records")?;
    ensure!(!records.is_empty() && records.len() == done["read"], "{done}");
    let summary = records[0]["summary"].as_str().context("a request without summary")?.to_owned();
    assert_eq!((&done["connection"], &done["activity"]), (&json!("desk"), &json!("query")));

    // A run like any other, and said to be an action.
    let run = world.api.get(&format!("/v1/runs/{}", done["run"].as_str().unwrap_or_default())).await?.accepted()?;
    assert_eq!(
        (&run["kind"], &run["state"], &run["operation"]),
        (&json!("action"), &json!("succeeded"), &json!("desk-of-here"))
    );

    // What was asked and answered is in no file of the controller, nor of the agent.
    for folder in [world.controller.data(), agent.data()] {
        ensure!(!contains(folder, &summary)?, "{summary:?} is kept in {}", folder.display());
    }

    // With the wrong key for a parameter nothing is done, and the right one is named.
    let wrong = json!({ "with": { "path": "/rest/requests", "max_page": 2 } });
    let refused = call(&world, "desk-of-here/query", &wrong, None).await?.refused(422, "action.input_invalid")?;
    assert_eq!(refused["errors"][0]["path"], json!(["with", "max_page"]), "{refused}");
    assert_eq!(refused["errors"][0]["suggestion"], "max_pages");
    call(&world, "desk-of-her/query", &read, None).await?.refused(404, "connection.not_found")?;
    call(&world, "desk-of-here/qery", &read, None).await?.refused(404, "action.activity_unknown")?;
    world.close().await
}

#[tokio::test]
async fn the_same_key_does_it_once_and_fetches_the_answer_again_while_the_agent_has_it() -> Result<()> {
    let world = World::start().await?;
    let mut agent = ready(&world, ALLOW).await?;
    policy(&world, "allow_answers", true).await?;
    let issue = json!({ "path": "/api/issues", "body": { "title": "{{ record.title }}" } });
    let write = json!({ "with": issue, "records": [{ "title": "one" }, { "title": "two" }] });
    let first = call(&world, "tracker/send", &write, Some("order-4711")).await?.accepted()?;
    assert_eq!((first["written"].as_u64(), &first["repeated"]), (Some(2), &Value::Null), "{first}");
    let again = call(&world, "tracker/send", &write, Some("order-4711")).await?.accepted()?;
    assert_eq!((&again["run"], &again["repeated"]), (&first["run"], &json!(true)));
    assert_eq!(again["answer"], first["answer"]);
    assert_eq!(world.sandbox.ledger().await?.created, 2);
    let other = json!({ "with": write["with"], "records": [{ "title": "three" }] });
    call(&world, "tracker/send", &other, Some("order-4711")).await?.refused(409, "request.idempotency_mismatch")?;

    let read = json!({ "with": { "path": "/rest/requests", "records": "items" } });
    let before = call(&world, "desk/query", &read, Some("look")).await?.accepted()?;
    let after = call(&world, "desk/query", &read, Some("look")).await?.accepted()?;
    assert_eq!(before["answer"], after["answer"]);
    // A restarted agent has no answers any more. What was done is not done again.
    agent.kill().await?;
    agent.start().await?;
    call(&world, "desk/query", &read, Some("look")).await?.refused(410, "action.answer_gone")?;
    let gone = call(&world, "tracker/send", &write, Some("order-4711")).await?.accepted()?;
    assert_eq!((&gone["code"], &gone["answer"]), (&json!("action.answer_gone"), &Value::Null));
    assert_eq!(world.sandbox.ledger().await?.created, 2);
    world.close().await
}

#[tokio::test]
async fn records_leave_only_if_both_the_organisation_and_the_agent_owner_say_so() -> Result<()> {
    let world = World::start().await?;
    let mut agent = ready(&world, "").await?;
    let read = json!({ "with": { "path": "/rest/requests", "records": "items" } });
    let write = json!({ "with": { "path": "/api/issues", "body": { "title": "x" } }, "records": [{}] });
    // Neither: what only reads is refused before anything runs, what writes gives counts.
    call(&world, "desk/query", &read, None).await?.refused(403, "action.answers_not_allowed")?;
    assert_eq!(world.api.list::<Value>("/v1/runs").await?.len(), 0);
    let done = call(&world, "tracker/send", &write, None).await?.accepted()?;
    assert_eq!((&done["code"], &done["answer"]), (&json!("action.answers_not_allowed"), &Value::Null));
    assert_eq!(done["written"], 1);
    // The organisation alone is not enough.
    policy(&world, "allow_answers", true).await?;
    call(&world, "desk/query", &read, None).await?.refused(403, "action.answers_not_allowed")?;
    let done = call(&world, "tracker/send", &write, None).await?.accepted()?;
    assert_eq!((&done["code"], &done["answer"]), (&json!("action.answers_not_allowed"), &Value::Null));
    agent.kill().await?;
    agent.configure(ALLOW)?;
    agent.start().await?;
    call(&world, "desk/query", &read, None).await?.accepted()?;
    world.close().await
}

#[tokio::test]
async fn an_owner_who_forbids_a_host_ends_the_calls_of_a_connection_that_was_just_used() -> Result<()> {
    let world = World::start().await?;
    let agent = ready(&world, ALLOW).await?;
    policy(&world, "allow_answers", true).await?;
    let read = json!({ "with": { "path": "/rest/requests", "records": "items" } });
    for (owner, refused) in
        [("", None), ("[network]\ndenied = [\"127.0.0.0/8\"]\n", Some("agent_policy.host")), ("", None)]
    {
        agent.configure_policy(owner)?;
        wait::until(&format!("a call under {owner:?} ends with {refused:?}"), async || {
            let answer = call(&world, "desk/query", &read, None).await?;
            let as_expected = match refused {
                Some(code) => answer.refused(403, code).is_ok(),
                None => answer.accepted().is_ok(),
            };
            Ok(as_expected.then_some(()))
        })
        .await?;
    }
    world.close().await
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_of_an_unsafe_action_is_said_so_and_nothing_is_done_again() -> Result<()> {
    let world = World::plan().short_leases().start().await?;
    let mut agent = ready(&world, ALLOW).await?;
    let _slow = slow(&world, |connection| connection.bearer("tracker-token")).await?;
    let write = json!({ "with": { "path": "/api/issues", "body": { "title": "x" } }, "records": [{}] });
    let path = "slow/send?timeout=60s";
    let (answer, killed) = tokio::join!(call(&world, path, &write, Some("once")), async {
        wait::until("the request has arrived", async || Ok((world.sandbox.ledger().await?.created > 0).then_some(())))
            .await?;
        agent.kill().await
    });
    killed?;
    let refused = answer?.refused(504, "action.unknown")?;
    let run = refused["run"].as_str().context("no run")?.to_owned();
    assert_eq!(world.look_at(&run).await?.state, "unknown");
    // Asked again with the same key, it says the same and does nothing.
    call(&world, path, &write, Some("once")).await?.refused(504, "action.unknown")?;
    assert_eq!(world.sandbox.ledger().await?.created, 1);
    world.close().await
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_of_a_read_reads_again_and_the_caller_has_its_answer() -> Result<()> {
    let world = World::plan().short_leases().start().await?;
    let mut agent = ready(&world, ALLOW).await?;
    policy(&world, "allow_answers", true).await?;
    let user = world.sandbox.credentials.desk.username.clone();
    let slow = slow(&world, |connection| connection.basic(&user, "desk-password")).await?;
    let read = json!({ "with": { "path": "/rest/requests", "records": "items" } });
    let (answer, restarted) = tokio::join!(call(&world, "slow/query?timeout=60s", &read, None), async {
        wait::until("the request is under way", async || Ok((slow.connections() > 0).then_some(()))).await?;
        agent.kill().await?;
        slow.heal();
        agent.start().await
    });
    restarted?;
    let done = answer?.accepted()?;
    ensure!(done["read"].as_u64().is_some_and(|read| read > 0), "{done}");
    world.close().await
}

#[tokio::test]
async fn nobody_does_later_what_no_agent_took_in_time() -> Result<()> {
    let world = World::start().await?;
    let mut agent = ready(&world, "").await?;
    agent.kill().await?;
    let write = json!({ "with": { "path": "/api/issues", "body": { "title": "x" } }, "records": [{}] });
    let refused = call(&world, "tracker/send?timeout=1s", &write, None).await?.refused(504, "action.timed_out")?;
    let run = refused["run"].as_str().context("no run")?.to_owned();
    assert_eq!(world.look_at(&run).await?.state, "cancelled");
    agent.start().await?;
    assert_eq!(world.sandbox.ledger().await?.created, 0);
    world.close().await
}

#[tokio::test]
async fn a_throttled_connection_says_when_to_come_back_and_a_token_for_actions_does_nothing_else() -> Result<()> {
    let world = World::start().await?;
    let _agent = ready(&world, "").await?;
    let throttled = Connection::to(&world.sandbox.url).bearer("tracker-token");
    let throttle = json!({ "requests": 2, "per": "1h", "concurrent": 1 });
    let project = project(&world).connection("throttled", throttled.set("throttle", throttle));
    deploy(&world, &project).await?;
    let new = json!({ "name": "application", "scopes": ["call"] });
    let token = world.api.post("/v1/tokens", &new).await?.accepted()?;
    let application = world.api.with_token(token["token"].as_str().context("no token")?);
    let write = json!({ "with": { "path": "/api/issues", "body": { "title": "x" } }, "records": [{}] });
    let path = "/v1/environments/prod/actions/throttled/send";
    for _ in 0..2 {
        application.post(path, &write).await?.accepted()?;
    }
    let refused = application.post(path, &write).await?.refused(429, "action.throttled")?;
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait > 3_000_000), "{refused}");
    assert_eq!(world.sandbox.ledger().await?.created, 2);
    for path in ["/v1/runs", "/v1/environments", "/v1/connectors"] {
        application.get(path).await?.refused(403, "auth.scope_missing")?;
    }
    let reader = world.api.post("/v1/tokens", &json!({ "name": "reader", "scopes": ["read"] })).await?.accepted()?;
    let reader = world.api.with_token(reader["token"].as_str().context("no token")?);
    reader.post(path, &write).await?.refused(403, "auth.scope_missing")?;
    world.close().await
}

/// A connection `slow` to the sandbox, whose answers do not arrive until the proxy is healed.
async fn slow(world: &World, sign_in: impl FnOnce(Connection) -> Connection) -> Result<FaultProxy> {
    let system = world.sandbox.url.strip_prefix("http://").context("the sandbox speaks plain HTTP")?.parse()?;
    let slow = FaultProxy::before(system).await?;
    slow.hold_only(Direction::Replies);
    let url = format!("http://{}", slow.address());
    deploy(world, &project(world).connection("slow", sign_in(Connection::to(&url)))).await?;
    Ok(slow)
}

/// The desk's project with an alias for its connection.
fn project(world: &World) -> Project {
    let read = Operation::from("desk-of-here", "query", json!({ "path": "/rest/requests", "records": "items" }));
    world.desk().alias("desk-of-here", "http").operation("look", read)
}

async fn deploy(world: &World, project: &Project) -> Result<()> {
    let mapping = json!({ "aliases": { "desk-of-here": "desk" } });
    let body = json!({ "project": project.json(), "mapping": mapping });
    world.api.post("/v1/environments/prod/deployments", &body).await?.accepted().map(drop)
}

/// An agent that has run what is deployed.
async fn ready(world: &World, configuration: &str) -> Result<Agent> {
    world.publish(&world.http()?.described(&world.programs)?).await?;
    deploy(world, &project(world)).await?;
    let mut agent = world.enrolled("eu-1", 8).await?;
    agent.configure(configuration)?;
    agent.start().await?;
    Ok(agent)
}

async fn policy(world: &World, key: &str, value: bool) -> Result<()> {
    let request = world.api.request(reqwest::Method::PUT, &format!("/v1/policies/{key}"));
    world.api.send(request.json(&json!({ "value": value }))).await?.accepted().map(drop)
}

async fn call(world: &World, what: &str, body: &Value, key: Option<&str>) -> Result<Answer> {
    let request = world.api.request(reqwest::Method::POST, &format!("/v1/environments/prod/actions/{what}"));
    let request = key.into_iter().fold(request.json(body), |request, key| request.header("idempotency-key", key));
    world.api.send(request).await
}

/// Whether any file below `folder` holds the text.
fn contains(folder: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            contains(&path, text)?
        } else {
            let bytes = fs::read(&path)?;
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
