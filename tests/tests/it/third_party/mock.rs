//! The whole system against a mock server that others wrote, which checks every request against a vendor's own
//! description of its interface.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wherry_tests::world::{Connection, Operation, Project, World, desk::requests};

use super::prism::{Prism, Running};

#[tokio::test]
async fn issues_are_read_from_and_created_in_jira_as_its_description_wants_it() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let world = World::start().await?.with_desk().await?;
    let jira = prism.mock("jira/jira-platform-v3.core.json", &world.log("prism")).await?;
    world.deploy(&project(&world, &jira)).await?;
    let _agent = world.agent("eu-1").await?;

    let found = world.run("search").end().await?.succeeded()?;
    assert_eq!((found.counts.read, found.counts.batches), (1, 1));
    let created = world.run("create").end().await?.succeeded()?;
    assert_eq!((created.counts.read, created.counts.written), (25, 25));
    let copied = world.run("copy").end().await?.succeeded()?;
    assert_eq!((copied.counts.read, copied.counts.written), (1, 1));
    jira.has_nothing_to_complain_about()?;
    world.close().await
}

#[tokio::test]
async fn what_jira_refuses_is_reported_record_by_record_and_by_its_code() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let world = World::start().await?.with_desk().await?;
    let jira = prism.mock("jira/jira-platform-v3.core.json", &world.log("prism")).await?;
    world.deploy(&project(&world, &jira)).await?;
    let _agent = world.agent("eu-1").await?;

    let refused = world.run("create-malformed").end().await?.failed_with("record.rejected")?;
    assert_eq!((refused.counts.written, refused.counts.rejected), (0, 25));
    let failure = refused.failure.context("no failure")?;
    assert!(failure.message.contains("25 of 25") && failure.class == "permanent", "{failure:?}");
    let logs = world.api.get(&format!("/v1/runs/{}/logs", refused.id)).await?.accepted()?.to_string();
    assert!(logs.contains("http.refused") && !logs.contains("Laptop"), "{logs}");
    for (operation, code) in
        [("search-malformed", "http.refused"), ("as-nobody", "http.unauthorized"), ("nowhere", "http.not_found")]
    {
        let failure = world.run(operation).end().await?.failed_with(code)?.failure.context("no failure")?;
        assert_eq!((failure.class.as_str(), failure.effects_begun), ("permanent", false), "{operation}");
    }
    world.close().await
}

fn project(world: &World, jira: &Running) -> Project {
    let search = |query: Value| {
        let paging = json!({ "offset": { "parameter": "startAt", "limit_parameter": "maxResults", "limit": 50 } });
        json!({ "path": "/rest/api/3/search", "query": query, "records": "issues", "paging": paging })
    };
    let create = |fields: Value| json!({ "path": "/rest/api/3/issue", "body": { "fields": fields } });
    let issue = |summary: &str| {
        let text = json!({ "type": "text", "text": format!("{summary}, copied by {{{{ agent.name }}}}") });
        let paragraph = json!({ "type": "paragraph", "content": [text] });
        json!({
            "summary": summary,
            "project": { "key": "ED" },
            "issuetype": { "name": "Task" },
            "labels": ["wherry"],
            "description": { "type": "doc", "version": 1, "content": [paragraph] },
        })
    };
    let answered = |code: u32| {
        let headers = json!({ "Prefer": format!("code={code}") });
        Operation::from("jira", "query", json!({ "path": "/rest/api/3/issue/ED-1", "headers": headers }))
    };
    let all = || Operation::from("desk", "query", requests());
    let good = || Operation::from("jira", "query", search(json!({ "jql": "project = HSP order by created" })));
    world
        .desk()
        .connection("jira", Connection::to(&jira.url).basic("ada@example.com", "desk-password"))
        .operation("search", good())
        .operation(
            "search-malformed",
            Operation::from(
                "jira",
                "query",
                json!({ "path": "/rest/api/3/search", "query": { "maxResults": "many" } }),
            ),
        )
        .operation("create", all().to("jira", "send", create(issue("{{ record.summary }}"))))
        .operation("create-malformed", all().to("jira", "send", create(json!("{{ record.summary }}"))))
        .operation("copy", good().to("jira", "send", create(issue("{{ record.key }}"))))
        .operation("as-nobody", answered(401))
        .operation("nowhere", answered(404))
}
