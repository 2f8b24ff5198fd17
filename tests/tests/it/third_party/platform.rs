//! The platform of the sandbox, judged by Atlassian's own description of it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    driver::{Driver, Sent},
    prism::Prism,
};

const SPEC: &str = "jira/jira-platform-v3.core.json";
/// The sandbox takes the first five for the key of an issue or the id of a file, and answers that there is none. The
/// older search is gone from Cloud. Prism follows the redirect to a file by itself, and the description says that a
/// file is a list.
const ELSEWHERE: [&str; 7] = [
    "/rest/api/3/issue/createmeta",
    "/rest/api/3/issue/picker",
    "/rest/api/3/issue/archive",
    "/rest/api/3/issue/unarchive",
    "/rest/api/3/attachment/meta",
    "/rest/api/3/search",
    "/rest/api/3/attachment/content/{id}",
];

#[tokio::test]
async fn the_platform_answers_as_atlassian_describes_it() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let mut jira = Driver::start(&prism, "cloud", SPEC, "/rest/api/3").await?;
    what_there_is(&mut jira).await?;
    searches(&mut jira).await?;
    let key = issues(&mut jira).await?;
    comments(&mut jira, &key).await?;
    marks(&mut jira, &key).await?;
    jira.delete(&format!("/issue/{key}"), None, 204).await?;
    for (path, status) in [(format!("/issue/{key}"), 404), ("/user?accountId=nobody".to_owned(), 404)] {
        jira.call("GET", &path, Sent::Nothing, status).await?;
    }
    jira.drove_everything_but(&ELSEWHERE).await
}

#[tokio::test]
async fn data_center_answers_as_the_older_version_is_described() -> Result<()> {
    let Some(prism) = Prism::wanted() else { return Ok(()) };
    let mut jira = Driver::start(&prism, "data-center", SPEC, "/rest/api/2").await?;
    jira.get("/serverInfo").await?;
    let me = jira.get("/myself").await?;
    ensure!(me["name"] == "ada" && me.get("accountId").is_none(), "{me}");
    let page = jira.get("/search?jql=project%20%3D%20IT&startAt=50&maxResults=20&fields=*all").await?;
    ensure!(page["total"] == 60 && page["issues"].as_array().is_some_and(|all| all.len() == 10), "{page}");
    let search = json!({ "jql": "project = IT", "startAt": 0, "maxResults": 1, "fields": ["description"] });
    let page = jira.post("/search", search, 200).await?;
    ensure!(page["issues"][0]["fields"]["description"].is_string(), "{page}");
    jira.get("/user/search?username=chiara").await?;
    jira.get("/user?username=chiara").await?;
    let fields =
        json!({ "project": { "key": "HR" }, "issuetype": { "name": "Task" }, "summary": "x", "description": "y" });
    jira.post("/issue", json!({ "fields": fields }), 201).await?;
    jira.post("/issue/HR-1/comment", json!({ "body": "plain" }), 201).await?;
    jira.get("/issue/HR-1").await.map(drop)
}

async fn what_there_is(jira: &mut Driver) -> Result<()> {
    for path in ["serverInfo", "myself", "field", "status", "statuscategory", "priority", "issuetype"] {
        jira.get(&format!("/{path}")).await?;
    }
    jira.get("/project/search?startAt=0&maxResults=1&keys=IT").await?;
    jira.get("/issue/createmeta/IT/issuetypes?startAt=0&maxResults=2").await?;
    jira.get("/issue/createmeta/IT/issuetypes/10001").await?;
    jira.get("/issue/IT-1/editmeta").await?;
    let found = jira.get("/user/search?query=chiara&startAt=0&maxResults=10").await?;
    let id = found[0]["accountId"].as_str().context("nobody is called chiara")?.to_owned();
    jira.get(&format!("/user?accountId={id}")).await.map(drop)
}

async fn searches(jira: &mut Driver) -> Result<()> {
    let path = "/search/jql?jql=project%20%3D%20IT&maxResults=50&fields=*all";
    let page = jira.get(path).await?;
    let token = page["nextPageToken"].as_str().context("no second page")?;
    let rest = jira.get(&format!("{path}&nextPageToken={token}")).await?;
    ensure!(rest["isLast"] == true && rest["issues"].as_array().is_some_and(|all| all.len() == 10), "{rest}");
    let search = json!({ "jql": "key = IT-1", "fields": ["summary"], "maxResults": 1, "reconcileIssues": [10_000] });
    jira.post("/search/jql", search, 200).await?;
    let count = jira.post("/search/approximate-count", json!({ "jql": "project = IT" }), 200).await?;
    ensure!(count["count"] == 60, "{count}");
    jira.call("GET", "/search/jql?jql=colour%20%3D%20red", Sent::Nothing, 400).await.map(drop)
}

fn document(text: &str) -> Value {
    let paragraph = json!({ "type": "paragraph", "content": [{ "type": "text", "text": text }] });
    json!({ "type": "doc", "version": 1, "content": [paragraph] })
}

async fn issues(jira: &mut Driver) -> Result<String> {
    let fields = |summary: &str| {
        let (project, kind) = (json!({ "key": "HR" }), json!({ "name": "Task" }));
        json!({ "fields": { "project": project, "issuetype": kind, "summary": summary, "description": document("x") } })
    };
    let made = jira.post("/issue", fields("Door"), 201).await?;
    let key = made["key"].as_str().context("no key")?.to_owned();
    jira.post("/issue", fields(""), 400).await?;
    jira.post("/issue/bulk", json!({ "issueUpdates": [fields("one"), fields("")] }), 201).await?;
    jira.post("/issue/bulkfetch", json!({ "issueIdsOrKeys": [key, "IT-1"], "fields": ["*all"] }), 200).await?;
    let update = json!({ "labels": [{ "add": "wherry" }] });
    jira.put(&format!("/issue/{key}"), json!({ "fields": { "summary": "Gate" }, "update": update }), 204).await?;
    let issue = jira.get(&format!("/issue/{key}?fields=summary,labels")).await?;
    ensure!(issue["fields"] == json!({ "summary": "Gate", "labels": ["wherry"] }), "{issue}");
    jira.get(&format!("/issue/{key}/transitions")).await?;
    jira.post(&format!("/issue/{key}/transitions"), json!({ "transition": { "id": "11" } }), 204).await?;
    jira.post(&format!("/issue/{key}/transitions"), json!({ "transition": { "id": "99" } }), 400).await?;
    Ok(key)
}

async fn comments(jira: &mut Driver, key: &str) -> Result<()> {
    let path = format!("/issue/{key}/comment");
    let inside = json!([{ "key": "sd.public.comment", "value": { "internal": true } }]);
    let made = jira.post(&path, json!({ "body": document("hello"), "properties": inside }), 201).await?;
    let one = format!("{path}/{}", made["id"].as_str().context("no id")?);
    jira.get(&format!("{path}?startAt=0&maxResults=10&orderBy=-created")).await?;
    jira.get(&one).await?;
    jira.put(&one, json!({ "body": document("hello again") }), 200).await?;
    jira.delete(&one, None, 204).await?;
    jira.call("GET", &one, Sent::Nothing, 404).await.map(drop)
}

async fn marks(jira: &mut Driver, key: &str) -> Result<()> {
    let property = format!("/issue/{key}/properties/wherry");
    jira.put(&property, json!({ "run": "r1" }), 201).await?;
    jira.put(&property, json!({ "run": "r2" }), 200).await?;
    jira.get(&property).await?;
    jira.get(&format!("/issue/{key}/properties")).await?;
    jira.delete(&property, None, 204).await?;
    let (links, object) =
        (format!("/issue/{key}/remotelink"), json!({ "url": "https://helix.test/1", "title": "one" }));
    let link = json!({ "globalId": "helix-1", "object": object });
    jira.post(&links, link.clone(), 201).await?;
    jira.post(&links, link, 200).await?;
    jira.get(&format!("{links}?globalId=helix-1")).await?;
    jira.delete(&format!("{links}?globalId=helix-1"), None, 204).await?;
    let files = jira.call("POST", &format!("/issue/{key}/attachments"), Sent::File("squeak"), 200).await?;
    let id = files[0]["id"].as_str().context("no file")?.to_owned();
    jira.get(&format!("/attachment/{id}")).await.map(drop)
}
