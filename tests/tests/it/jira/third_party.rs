//! What the connector sends, and what it makes of the answers, judged by Atlassian's own descriptions: Prism stands
//! between the agent and the look-alike and refuses whatever they do not know.

use std::{env, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;
use wherry_tests::world::{Connection, Operation, Process, Project, World, free_port, wait};

use super::{CONNECTOR, HAND_OVER, ended, ready};

/// It reads a large description at its start.
const START: Duration = Duration::from_secs(120);

#[tokio::test]
async fn every_request_of_the_connector_is_one_that_atlassian_describes() -> Result<()> {
    if env::var_os("WHERRY_THIRD_PARTY").is_none_or(|wanted| wanted != "1") {
        eprintln!("skipped: tests against software of others, run them with cargo xtask test --third-party");
        return Ok(());
    }
    let world = World::start().await?;
    let (desk, platform) = tokio::join!(
        Prism::before(&world, "desk", "jsm/servicedesk-v3.json"),
        Prism::before(&world, "platform", "jira/jira-platform-v3.core.json"),
    );
    let (desk, platform) = (desk?, platform?);
    let through = |prism: &Prism| {
        let connection = Connection::to(&prism.url).of(CONNECTOR).option("flavour", "cloud");
        connection.basic(&world.sandbox.jsm.user, "jira-token")
    };
    let operations = operations();
    let empty =
        Project::named("described").connection("desk", through(&desk)).connection("platform", through(&platform));
    let undescribed = Operation::from("platform", "query", json!({ "table": "Issues", "jql": "project = IT" }));
    let empty = empty.operation("undescribed", undescribed);
    let project = operations.iter().fold(empty, |all, (name, _, operation)| all.operation(name, operation.clone()));
    let _agent = ready(&world, &project).await?;
    for (name, records, _) in operations {
        let run = ended(&world, name).await?.succeeded().with_context(|| desk.log.display().to_string())?;
        ensure!(run.counts.read >= records, "{name}: {run:?}");
    }
    for prism in [&desk, &platform] {
        let log = fs::read_to_string(&prism.log)?;
        ensure!(!log.contains("Violation"), "{log}");
    }
    // And Prism is no mere onlooker: the description at hand has the third version only.
    ended(&world, "undescribed").await?.failed_with("http.not_found")?;
    world.close().await
}

/// Name, how many records come at least, and the operation.
fn operations() -> Vec<(&'static str, u64, Operation)> {
    let read = |connection, table: &str, more: serde_json::Value| {
        let mut params = json!({ "table": table });
        params.as_object_mut().into_iter().zip(more.as_object().cloned()).for_each(|(all, more)| all.extend(more));
        Operation::from(connection, "query", params)
    };
    let desk = |table: &str, more| read("desk", table, more);
    let one = |name: &str| json!({ "serviceDesk": 1, "searchTerm": name });
    let into = |operation: Operation, table: &str, transform: &str| {
        let params = match table {
            "Requests" => json!({ "table": table, "serviceDesk": 2, "requestType": 22 }),
            _ => json!({ "table": table }),
        };
        operation.to("desk", "create", params).set("transform", transform)
    };
    let named = || desk("Requests", json!({ "issue": ["IT-1", "IT-2"] }));
    let all = json!({ "serviceDesk": 1, "requestStatus": "OPEN_REQUESTS", "expand": ["sla", "status"], "pageSize": 7,
                      "ownership": ["OWNED_REQUESTS", "ALL_ORGANIZATIONS"], "requestType": 10, "searchTerm": "a" });
    let issues = json!({ "jql": "project = IT", "texts": "documents", "pageSize": 10, "expand": ["names"],
                         "reconcileIssues": [10_001], "fields": ["summary", "description"] });
    let who = r#"{ issueKey: "IT-3", accountIds: [.accountId] }"#;
    let said = r#"{ issueKey: .issueKey, body: "Handed over.", public: false }"#;
    let email = r#"{ email: "c\(.issueId)@example.com", displayName: "C", serviceDeskId: "2" }"#;
    let name = r#"{ name: "Crew of \(.issueKey)", serviceDeskId: "2" }"#;
    vec![
        ("requests", 1, desk("Requests", all)),
        ("request", 2, named()),
        (
            "comments",
            2,
            desk("RequestComments", json!({ "serviceDesk": 1, "internal": false, "expand": ["renderedBody"] })),
        ),
        ("participants", 1, desk("RequestParticipants", json!({ "issue": "IT-4" }))),
        ("cycles", 2, desk("RequestSLACycles", json!({ "issue": "IT-1" }))),
        ("types", 2, desk("RequestTypes", json!({ "serviceDesk": 1, "expand": ["field"], "pageSize": 2 }))),
        ("all-types", 9, desk("RequestTypes", json!({}))),
        ("fields", 6, desk("RequestTypeFields", json!({ "serviceDesk": 1, "requestType": 10 }))),
        ("desks", 2, desk("ServiceDesks", json!({ "pageSize": 1 }))),
        ("organizations", 2, desk("Organizations", json!({}))),
        ("organizations-of-desk", 1, desk("Organizations", json!({ "serviceDesk": 1 }))),
        ("customers", 1, desk("Customers", one("amina"))),
        ("queues", 3, desk("Queues", json!({ "serviceDesk": 1 }))),
        ("queue", 1, desk("QueueRequests", json!({ "serviceDesk": 1, "queue": 10, "pageSize": 5 }))),
        ("issues", 25, read("platform", "Issues", issues)),
        ("users", 1, read("platform", "Users", json!({ "searchTerm": "ada" }))),
        ("hand-over", 2, into(named(), "Requests", HAND_OVER)),
        ("comment", 2, into(named(), "RequestComments", said)),
        ("share", 1, into(desk("Customers", one("amina")), "RequestParticipants", who)),
        ("welcome", 2, into(named(), "Customers", email)),
        ("found", 2, into(named(), "Organizations", name)),
    ]
}

/// A running Prism; it ends when it is dropped.
struct Prism {
    url: String,
    log: PathBuf,
    _process: Process,
}

impl Prism {
    /// Stands before the look-alike with a description.
    async fn before(world: &World, name: &str, description: &str) -> Result<Self> {
        let path = |variable: &str| env::var_os(variable).map(PathBuf::from).with_context(|| format!("no {variable}"));
        let (log, port) = (world.log(name), free_port()?);
        let mut command = Command::new(path("WHERRY_PRISM")?);
        command.arg("proxy").arg(path("WHERRY_SPECS")?.join(description)).arg(&world.sandbox.url);
        command.args(["--errors", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.stdout(fs::OpenOptions::new().create(true).append(true).open(&log)?);
        let mut process = Process::start(name, command, &log)?;
        wait::within(START, "Prism listens", async || {
            process.still_runs()?;
            Ok(fs::read_to_string(&log)?.contains("is listening on").then_some(()))
        })
        .await?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), log, _process: process })
    }
}
