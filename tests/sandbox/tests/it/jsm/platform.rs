//! What callers do to issues of the platform.

use serde_json::json;

use super::*;

fn document(text: &str) -> Value {
    json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]})
}

#[tokio::test]
async fn texts_are_documents_in_version_three_and_plain_in_version_two() {
    let site = Site::cloud(1);
    let fields =
        json!({"project": {"key": "IT"}, "issuetype": {"id": "10003"}, "summary": "x", "description": document("hi")});
    let made = site.post("/rest/api/3/issue", json!({"fields": fields})).await.ok();
    assert_eq!(made["key"], "IT-2");
    let three = site.get("/rest/api/3/issue/IT-2?fields=description").await.ok();
    assert_eq!(three["fields"]["description"], document("hi"));
    let two = site.get("/rest/api/2/issue/IT-2?fields=description").await.ok();
    assert_eq!(two["fields"], json!({"description": "hi"}));
    let plain = json!({"fields": {"description": "plain"}});
    assert_eq!(site.put("/rest/api/3/issue/IT-2", plain.clone()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.put("/rest/api/2/issue/IT-2", plain).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&format!("{DESK}/request/IT-2")).await.status, StatusCode::NOT_FOUND, "it has no request type");
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let site = Site::cloud(3);
    let edit = json!({
        "fields": {"priority": {"id": "1"}, "customfield_10020": "R-1", "assignee": {"accountId": "5b10a2844c20165700ed0001"}},
        "update": {"labels": [{"add": "one"}, {"add": "two"}, {"remove": "one"}]},
    });
    assert_eq!(site.put("/rest/api/3/issue/IT-3", edit).await.status, StatusCode::NO_CONTENT);
    let fields = site.get("/rest/api/3/issue/IT-3").await.ok()["fields"].clone();
    assert_eq!((&fields["priority"]["name"], &fields["labels"]), (&"Highest".into(), &json!(["two"])));
    assert_eq!(
        (&fields["summary"], &fields["assignee"]["displayName"]),
        (&"New colleague needs accounts".into(), &"Björn Lind".into())
    );
    assert_eq!(
        site.put("/rest/api/3/issue/IT-3", json!({"fields": {"summary": null}})).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(site.put("/rest/api/3/issue/IT-99", json!({"fields": {}})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_are_created_at_once_and_the_bad_ones_are_told_by_number() {
    let site = Site::cloud(1);
    let issue = |summary: &str| json!({"fields": {"project": {"key": "HR"}, "issuetype": {"name": "Task"}, "summary": summary}});
    let wanted = json!({"issueUpdates": [issue("a"), issue(""), issue("c")]});
    let answer = site.post("/rest/api/3/issue/bulk", wanted).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let body = answer.json();
    assert_eq!(texts(&body["issues"], "key"), ["HR-1", "HR-2"]);
    assert_eq!(body["errors"][0]["failedElementNumber"], 1);
    let fetched = site
        .post("/rest/api/3/issue/bulkfetch", json!({"issueIdsOrKeys": ["HR-2", "NO-1", "IT-1"], "fields": ["summary"]}))
        .await;
    assert_eq!(texts(&fetched.ok()["issues"], "key"), ["HR-2", "IT-1"]);
    let many = json!({"issueUpdates": vec![issue("x"); 51]});
    assert_eq!(site.post("/rest/api/3/issue/bulk", many).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_link_with_a_global_id_may_be_written_again() {
    let site = Site::cloud(1);
    let path = "/rest/api/3/issue/IT-1/remotelink";
    let link = |title: &str| json!({"globalId": "system=helix&id=1", "object": {"url": "https://helix.test/1", "title": title}});
    let first = site.post(path, link("one")).await;
    let again = site.post(path, link("two")).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let all = site.get(path).await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["object"]["title"]), (1, &"two".into()));
}

#[tokio::test]
async fn properties_are_kept_and_cannot_be_searched_for() {
    let site = Site::cloud(1);
    let path = "/rest/api/3/issue/IT-1/properties/wherry";
    assert_eq!(site.put(path, json!({"run": "r1"})).await.status, StatusCode::CREATED);
    assert_eq!(site.put(path, json!({"run": "r2"})).await.status, StatusCode::OK);
    assert_eq!(site.get(path).await.ok(), json!({"key": "wherry", "value": {"run": "r2"}}));
    let found = site.post("/rest/api/3/search/jql", json!({"jql": "issue.property[wherry].run = r2"})).await;
    assert_eq!(found.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.delete(path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_internal_comment_is_made_by_a_property_and_steps_by_agents_count() {
    let site = Site::cloud(1);
    let comment =
        json!({"body": document("inside"), "properties": [{"key": "sd.public.comment", "value": {"internal": true}}]});
    let made = site.post("/rest/api/3/issue/IT-1/comment", comment).await;
    assert_eq!((made.status, &made.json()["jsdPublic"]), (StatusCode::CREATED, &json!(false)));
    let page = site.get("/rest/api/3/issue/IT-1/comment?maxResults=2&orderBy=-created").await.ok();
    assert_eq!((&page["total"], &page["comments"][0]["body"]), (&3.into(), &document("inside")));
    let step = json!({"transition": {"id": "11"}});
    assert_eq!(site.post("/rest/api/3/issue/IT-1/transitions", step).await.status, StatusCode::NO_CONTENT);
    let status = site.get("/rest/api/3/issue/IT-1?fields=status").await.ok();
    assert_eq!(status["fields"]["status"]["name"], "In progress");
}

#[tokio::test]
async fn permissions_differ_between_agent_and_customer() {
    let site = Site::cloud(1);
    let path = "/rest/api/3/mypermissions?permissions=EDIT_ISSUES,BROWSE_PROJECTS";
    let mine = async |site: &Site| {
        let all = site.get(path).await.ok()["permissions"].clone();
        ["EDIT_ISSUES", "BROWSE_PROJECTS"].map(|key| all[key]["havePermission"].as_bool().unwrap())
    };
    assert_eq!(mine(&site).await, [true, true]);
    assert_eq!(mine(&site.as_customer()).await, [false, true]);
    assert_eq!(site.get("/rest/api/3/mypermissions?permissions=FLY").await.status, StatusCode::BAD_REQUEST);
}
