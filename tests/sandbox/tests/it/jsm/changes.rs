//! What callers do to requests of the desk.

use serde_json::json;

use super::*;

#[tokio::test]
async fn comments_are_public_or_internal_and_listed_by_either() {
    let site = Site::cloud(2);
    let path = format!("{DESK}/request/IT-2/comment");
    let public = site.post(&path, json!({"body": "We are on it."})).await;
    assert_eq!((public.status, &public.json()["public"]), (StatusCode::CREATED, &json!(true)));
    site.post(&path, json!({"body": "Cable again", "public": false})).await.ok();
    let bodies = async |query: &str| {
        let page = site.get(&format!("{path}?{query}")).await.ok();
        texts(&page["values"], "body")
    };
    assert_eq!(bodies("").await, ["We are on it.", "Cable again"]);
    assert_eq!(bodies("internal=false").await, ["We are on it."]);
    assert_eq!(bodies("public=false").await, ["Cable again"]);
    let rendered = site.get(&format!("{path}?expand=renderedBody")).await.ok();
    assert_eq!(rendered["values"][0]["renderedBody"]["html"], "<p>We are on it.</p>");
    assert_eq!(site.post(&path, json!({"body": " "})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.ledger().await["comments"], 2);
}

#[tokio::test]
async fn steps_of_the_workflow_lead_to_a_status_and_into_the_history() {
    let site = Site::cloud(1);
    let (steps, path) = (format!("{DESK}/request/IT-1/transition"), format!("{DESK}/request/IT-1/status"));
    let offered = site.get(&steps).await.ok();
    assert_eq!(texts(&offered["values"], "id"), ["11", "21", "31", "41"]);
    let answer = site.post(&steps, json!({"id": "31", "additionalComment": {"body": "Done."}})).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let history = site.get(&path).await.ok();
    assert_eq!(texts(&history["values"], "status"), ["Resolved", "Waiting for support"]);
    assert_eq!(site.post(&steps, json!({"id": "11"})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(texts(&site.get(&steps).await.ok()["values"], "name"), ["Reopen issue"]);
    let sla = site.get(&format!("{DESK}/request/IT-1/sla/2")).await.ok();
    assert_eq!(sla["completedCycles"].as_array().unwrap().len(), 1);
    let found = site.post("/rest/api/3/search/jql", json!({"jql": "resolved >= -1h", "fields": ["resolution"]})).await;
    assert_eq!(found.ok()["issues"][0]["fields"]["resolution"]["name"], "Done");
}

#[tokio::test]
async fn participants_come_and_go_and_nobody_is_there_twice() {
    let site = Site::cloud(1);
    let path = format!("{DESK}/request/IT-1/participant");
    let both = json!({"accountIds": ["5b10a2844c20165700ed0003", "5b10a2844c20165700ed0004"]});
    for _ in 0..2 {
        assert_eq!(site.post(&path, both.clone()).await.ok()["size"], 2);
    }
    let one = json!({"accountIds": ["5b10a2844c20165700ed0003"]});
    let left = site.send("DELETE", &path, Some(&one), &[]).await.ok();
    assert_eq!(texts(&left["values"], "displayName"), ["Dmitri Petrov"]);
    assert_eq!(site.post(&path, json!({"accountIds": ["nobody"]})).await.status, StatusCode::BAD_REQUEST);
    let center = Site::data_center(1);
    assert_eq!(center.post(&path, json!({"usernames": ["chiara"]})).await.ok()["size"], 1);
}

#[tokio::test]
async fn files_take_two_steps_and_a_temporary_one_serves_once() {
    let site = Site::cloud(1);
    let body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"log.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nfirst line\r\n--x--\r\n";
    let account = site.account.clone().unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", account.user, account.token)));
    let request = Request::post(format!("{DESK}/servicedesk/1/attachTemporaryFile"))
        .header("authorization", basic)
        .header("x-atlassian-token", "no-check")
        .header("content-type", "multipart/form-data; boundary=x");
    let answer = site.sandbox.clone().router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let kept: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let wanted =
        json!({"temporaryAttachmentIds": [kept["temporaryAttachments"][0]["temporaryAttachmentId"]], "public": true});
    let path = format!("{DESK}/request/IT-1/attachment");
    let attached = site.post(&path, wanted.clone()).await;
    assert_eq!(attached.status, StatusCode::CREATED);
    assert_eq!(attached.json()["attachments"]["values"][0]["size"], 10);
    assert_eq!(site.post(&path, wanted).await.status, StatusCode::BAD_REQUEST);
    let issue = site.get("/rest/api/3/issue/IT-1?fields=attachment").await.ok();
    let id = issue["fields"]["attachment"][0]["id"].as_str().unwrap().to_owned();
    let redirect = site.get(&format!("/rest/api/3/attachment/content/{id}")).await;
    assert_eq!(redirect.status, StatusCode::SEE_OTHER);
    let content = site.get(&format!("/rest/api/3/attachment/content/{id}?redirect=false")).await;
    assert_eq!(content.bytes, b"first line");
}

#[tokio::test]
async fn an_approval_is_decided_once() {
    let site = Site::cloud(2);
    let path = format!("{DESK}/request/IT-2/approval");
    let all = site.get(&path).await.ok();
    let id = all["values"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("{path}/{id}");
    let decide = || site.post(&one, json!({"decision": "approve"}));
    assert_eq!(decide().await.ok()["finalDecision"], "approved");
    assert_eq!(decide().await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get(&format!("{DESK}/request/IT-1/approval")).await.ok()["size"], 0);
}

#[tokio::test]
async fn customers_and_organisations_are_created_once_and_joined() {
    let site = Site::cloud(1);
    let customer =
        site.post(&format!("{DESK}/customer"), json!({"email": "gil@example.com", "displayName": "Gil"})).await;
    assert_eq!(customer.status, StatusCode::CREATED);
    let id = customer.json()["accountId"].clone();
    let again = site.post(&format!("{DESK}/customer"), json!({"email": "gil@example.com"})).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    let made = site.post(&format!("{DESK}/organization"), json!({"name": "Coldwater"})).await.ok();
    assert_eq!(made["id"], "3");
    let members = format!("{DESK}/organization/3/user");
    assert_eq!(site.post(&members, json!({"accountIds": [id]})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(texts(&site.get(&members).await.ok()["values"], "displayName"), ["Gil"]);
    let of_desk = format!("{DESK}/servicedesk/2/organization");
    assert_eq!(site.post(&of_desk, json!({"organizationId": 3})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(texts(&site.get(&of_desk).await.ok()["values"], "name"), ["Acme Ltd", "Coldwater"]);
    assert_eq!(site.delete(&format!("{DESK}/organization/3")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&members).await.status, StatusCode::NOT_FOUND);
}
