//! Ways to authenticate, from the project file to the system that wants them.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wherry_tests::world::{Connection, Counts, ENVIRONMENT, Operation, Package, Project, World, desk::requests};

#[tokio::test]
async fn a_login_token_is_got_and_got_again_and_a_wrong_password_is_sent_once() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let agent = world.agent("eu-1").await?;
    agent.learn(ENVIRONMENT, "stale-password", "wrong password").await?;
    let login = |password: &str| json!({ "type": "login_token", "username": "{{ vars.user }}", "password": { "secret": password } });
    let to_desk = |password: &str| Connection::to(&world.sandbox.url).set("auth", login(password));
    let project = Project::named("sessions")
        .variable("user", world.sandbox.credentials.desk.username.as_str())
        .variable("size", 10)
        .variable("pages", 1_000)
        .connection("desk-session", to_desk("desk-password"))
        .connection("desk-stale", to_desk("stale-password"))
        .operation("read-session", Operation::from("desk-session", "query", requests()))
        .operation("read-stale", Operation::from("desk-stale", "query", requests()).attempts(5));
    world.deploy(&project).await?;
    // 25 requests are three pages, and a session of the sandbox ends after two.
    let run = world.run("read-session").end().await?.succeeded()?;
    assert_eq!(run.counts, Counts { read: 25, written: 0, rejected: 0, batches: 3 });
    assert_eq!(sessions(&world).await?, json!({ "logins": 2, "refused": 0 }));
    for _ in 0..3 {
        let run = world.run("read-stale").end().await?.failed_with("auth.login_refused")?;
        assert_eq!(run.attempt, 1, "no further attempt of a run can cure it");
    }
    assert_eq!(sessions(&world).await?, json!({ "logins": 2, "refused": 1 }));
    let path = format!("/v1/environments/{ENVIRONMENT}/connections/desk-stale/test");
    let tested = world.api.post(&path, &json!({})).await?.accepted()?;
    assert_eq!(
        (&tested["area"], &tested["failure"]["code"]),
        (&json!("authentication"), &json!("auth.login_refused")),
        "{tested}"
    );
    world.close().await
}

#[tokio::test]
async fn a_scheme_that_the_connector_does_not_name_is_refused_when_the_project_is_deployed() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    world.publish(&Package::of(&world.programs, "contacts")?).await?;
    let auth = json!({ "type": "api_key", "name": "x-key", "key": { "secret": "k" } });
    let connection = Connection::to("https://crm.example").of("contacts").option("workspace", "eu").set("auth", auth);
    let project = Project::named("crm").connection("crm", connection);
    let refused = world.try_to_deploy(&project).await?.refused(422, "project.invalid")?;
    let fault = refused["errors"].as_array().and_then(|faults| faults.first()).context("a fault")?;
    assert_eq!(fault["code"], "project.auth_unsupported", "{refused}");
    assert_eq!(fault["path"], json!(["connections", "crm", "auth", "type"]), "{refused}");
    assert!(fault["message"].as_str().is_some_and(|text| text.ends_with("it has basic, bearer")), "{refused}");
    world.close().await
}

async fn sessions(world: &World) -> Result<Value> {
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).no_proxy().build()?;
    Ok(client.get(format!("{}/_sandbox/sessions", world.sandbox.url)).send().await?.json().await?)
}
