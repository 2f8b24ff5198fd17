//! Answers that a real Jira gave to somebody else: they become records with the right values, and the sandbox gives
//! answers of the same shape.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use wherry_tests::world::{Programs, Sandbox};

use super::prism::Prism;

/// An issue as a record. Real answers are uneven: ids come as numbers and texts, texts as documents and plain.
#[derive(Debug, Deserialize)]
struct Issue {
    id: String,
    key: String,
    fields: Fields,
}

#[derive(Debug, Deserialize)]
struct Fields {
    summary: Option<String>,
    description: Value,
    project: Project,
    attachment: Vec<Attachment>,
    comment: Vec<Comment>,
}

#[derive(Debug, Deserialize)]
struct Project {
    key: String,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    id: Option<Value>,
    filename: String,
    size: u64,
    #[serde(rename = "mimeType")]
    media_type: String,
}

#[derive(Debug, Deserialize)]
struct Comment {
    author: Person,
    body: Value,
    created: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    account_id: String,
    display_name: String,
    email_address: Option<String>,
}

#[tokio::test]
async fn recorded_answers_become_records_with_their_values() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let single: Issue = serde_json::from_value(recorded(&prism, "get_issue")?)?;
    assert_eq!((single.id.as_str(), single.key.as_str()), ("10002", "ED-1"));
    assert_eq!(single.fields.summary.as_deref(), Some("Test issue summary"));
    let found: Vec<Issue> = serde_json::from_value(recorded(&prism, "search_issues")?["issues"].take())?;
    assert_eq!((found.len(), found[0].key.as_str(), found[0].fields.summary.as_deref()), (1, "ED-1", None));
    for issue in [&single, &found[0]] {
        assert_eq!(text(&issue.fields.description), "Main order flow broken");
        assert_eq!(issue.fields.project.key, "EX");
        let comment = issue.fields.comment.first().context("no comment")?;
        assert!(text(&comment.body).starts_with("Lorem ipsum dolor sit amet"), "{:?}", comment.body);
        assert_eq!(
            (comment.author.display_name.as_str(), comment.created.as_str()),
            ("Mia Krystof", "2021-01-17T12:34:00.000+0000")
        );
    }
    assert_eq!(single.fields.attachment[0].filename, "picture.jpg");
    let created = recorded(&prism, "create_issue")?;
    assert_eq!((&created["key"], &created["transition"]["status"]), (&json!("ED-24"), &json!(200)));
    Ok(())
}

#[tokio::test]
async fn recorded_lists_become_records_with_their_values() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let files: Vec<Attachment> = serde_json::from_value(recorded(&prism, "add_attachment")?)?;
    let seen: Vec<_> = files.iter().map(|file| (file.filename.as_str(), file.size, file.media_type.as_str())).collect();
    assert_eq!(seen, [("picture.jpg", 23_123, "image/jpeg"), ("dbeuglog.txt", 2_460, "text/plain")]);
    assert_eq!((files[0].id.is_some(), files[1].id.is_some()), (true, false), "one was recorded without an id");
    let people: Vec<Person> = serde_json::from_value(recorded(&prism, "get_user")?)?;
    assert_eq!(people[0].account_id, "5b10a2844c20165700ede21g");
    assert_eq!(people[0].email_address.as_deref(), Some("testuser@example.com"));
    let projects = recorded(&prism, "get_project")?;
    assert_eq!(names(&projects["values"], "key"), ["EX", "ABC"]);
    assert_eq!((&projects["isLast"], &projects["total"]), (&json!(false), &json!(7)));
    assert_eq!(names(&recorded(&prism, "get_all_issue_types")?, "name"), ["Task", "Bug"]);
    assert_eq!(names(&recorded(&prism, "get_issue_fields")?, "id"), ["description", "summary"]);
    Ok(())
}

#[tokio::test]
async fn the_sandbox_answers_in_the_shape_of_the_recorded_answers() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let sandbox = Sandbox::alone(&Programs::find()?, &["--requests", "8"], &folder.path().join("sandbox.log")).await?;
    let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
    let jira =
        |request: reqwest::RequestBuilder| request.basic_auth(&sandbox.jsm.user, Some(&sandbox.jsm.token)).send();
    let url = |path: &str| format!("{}/rest/api/3/{path}", sandbox.url);
    let fields = json!({ "project": { "key": "IT" }, "issuetype": { "name": "Task" }, "summary": "x" });
    let made: Value = jira(client.post(url("issue")).json(&json!({ "fields": fields }))).await?.json().await?;
    same_shape(&recorded(&prism, "create_issue")?, &made, &["transition"])?;
    // What only some issues, people and projects have.
    let except = ["insight", "projectCategory", "style", "visibility", "entityId", "scope", "avatarId"];
    for (name, path) in [
        ("get_user", "user/search?query=ada"),
        ("get_project", "project/search?maxResults=1"),
        ("get_all_issue_types", "issuetype"),
        ("get_issue_fields", "field"),
    ] {
        let ours: Value = jira(client.get(url(path))).await?.json().await?;
        same_shape(&recorded(&prism, name)?, &ours, &except).with_context(|| name.to_owned())?;
    }
    let comments: Value = jira(client.get(url("issue/IT-1/comment"))).await?.json().await?;
    same_shape(&recorded(&prism, "add_comment_to_issue")?, &comments["comments"][0], &except)
}

fn recorded(prism: &Prism, name: &str) -> Result<Value> {
    let path = prism.spec("jira/recorded").join(format!("{name}.json"));
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The text of a document, or a plain one.
fn text(value: &Value) -> String {
    let own = value.as_str().or_else(|| value["text"].as_str()).unwrap_or_default().to_owned();
    value["content"].as_array().into_iter().flatten().fold(own, |all, part| all + &text(part))
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

/// Fails if `ours` lacks a field that `theirs` has, or has another kind of value there. Lists are compared by their
/// first items.
fn same_shape(theirs: &Value, ours: &Value, except: &[&str]) -> Result<()> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(own)) => {
            for (key, theirs) in theirs.iter().filter(|(key, _)| !except.contains(&key.as_str())) {
                let own = own.get(key).with_context(|| format!("no {key} in {ours}"))?;
                same_shape(theirs, own, except).with_context(|| key.clone())?;
            }
            Ok(())
        }
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
            (Some(theirs), Some(ours)) => same_shape(theirs, ours, except),
            (_, None) | (None, _) => Ok(()),
        },
        (theirs, ours) => {
            let kind = std::mem::discriminant;
            ensure!(kind(theirs) == kind(ours), "{theirs} is of another kind than {ours}");
            Ok(())
        }
    }
}
