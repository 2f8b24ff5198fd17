//! The sandbox, driven by the `jira` client from PyPI as its own documentation says.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use wherry_tests::world::{Programs, Sandbox};

use super::prism::Prism;

/// What it does on either flavour; it prints what it saw as one line of JSON.
const SCRIPT: &str = r#"
import json, sys
from jira import JIRA, JIRAError
url, user, token, flavour = sys.argv[1:]
cloud = flavour == "cloud"
jira = JIRA(url, basic_auth=(user, token)) if cloud else JIRA(url, token_auth=token)
seen = {"cloud": jira._is_cloud, "me": jira.myself()["displayName"]}
found = jira.search_issues("project = IT AND statusCategory != Done ORDER BY key ASC", maxResults=False)
seen["open"] = [issue.key for issue in found]
seen["first"] = found[0].fields.summary
issue = jira.create_issue(project="HR", summary="Door squeaks", description="Loudly", issuetype={"name": "Task"}, labels=["py"])
seen["created"] = [issue.key, issue.fields.summary, issue.fields.description, issue.fields.labels]
comment = jira.add_comment(issue, "Oil is on its way")
seen["comments"] = [comment.body for comment in jira.comments(issue)]
jira.transition_issue(issue, "Start work")
seen["status"] = jira.issue(issue.key).fields.status.name
issue.update(fields={"summary": "Gate squeaks"})
seen["updated"] = jira.issue(issue.key).fields.summary
seen["desks"] = [desk.projectKey for desk in jira.service_desks()]
desk = jira.service_desks()[1]
seen["types"] = [kind.name for kind in jira.request_types(desk)]
request = jira.create_customer_request({"serviceDeskId": desk.id, "requestTypeId": "Handed over from another desk", "requestFieldValues": {"summary": "From Python"}})
seen["request"] = [request.key, request.fields.summary]
seen["people"] = [person.displayName for person in (jira.search_users(query="chiara") if cloud else jira.search_users("chiara"))]
try:
    jira.create_issue(project="HR", summary="", issuetype={"name": "Task"})
except JIRAError as error:
    seen["refused"] = [error.status_code, error.text]
print(json.dumps(seen))
"#;

#[tokio::test]
async fn a_client_of_others_reads_and_writes_on_cloud() -> Result<()> {
    drive("cloud").await
}

#[tokio::test]
async fn a_client_of_others_reads_and_writes_on_data_center() -> Result<()> {
    drive("data-center").await
}

async fn drive(flavour: &str) -> Result<()> {
    let Some(_) = Prism::wanted() else { return Ok(()) };
    let Some(python) = env::var_os("WHERRY_PYTHON") else {
        eprintln!("skipped: there is no Python with the jira client");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let arguments = ["--requests", "200", "--flavour", flavour];
    let sandbox = Sandbox::alone(&Programs::find()?, &arguments, &folder.path().join("sandbox.log")).await?;
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, &sandbox.url, &sandbox.jsm.user, &sandbox.jsm.token, flavour]);
    command.stdin(Stdio::null()).env("NO_PROXY", "*").kill_on_drop(true);
    let output =
        tokio::time::timeout(Duration::from_secs(90), command.output()).await.context("the client hangs")??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    is_right(&seen, flavour);
    let ledger = sandbox.desk_ledger().await?;
    assert_eq!((ledger.created, ledger.comments, ledger.duplicates.len()), (2, 1, 0));
    Ok(())
}

fn is_right(seen: &Value, flavour: &str) {
    let open: Vec<_> = (1..=200).filter(|n| (n - 1) % 5 < 3).map(|n| format!("IT-{n}")).collect();
    assert_eq!(seen["open"], json!(open));
    for (what, expected) in [
        ("cloud", json!(flavour == "cloud")),
        ("me", json!("Ada Lovelace")),
        ("first", json!("Laptop does not start")),
        ("created", json!(["HR-1", "Door squeaks", "Loudly", ["py"]])),
        ("comments", json!(["Oil is on its way"])),
        ("status", json!("In progress")),
        ("updated", json!("Gate squeaks")),
        ("desks", json!(["IT", "HR"])),
        ("request", json!(["HR-2", "From Python"])),
        ("people", json!(["Chiara Conti"])),
    ] {
        assert_eq!(seen[what], expected, "{what}");
    }
    assert_eq!(seen["types"].as_array().map(Vec::len), Some(4));
    assert_eq!(seen["refused"][0], 400);
    assert!(seen["refused"][1].as_str().unwrap().contains("You must specify a summary"), "{}", seen["refused"]);
}
