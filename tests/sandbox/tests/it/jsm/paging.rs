//! Every style of paging, to its end.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn the_desk_pages_by_start_and_limit_until_the_last_page_says_so() {
    let site = Site::cloud(250);
    let (mut keys, mut start) = (Vec::new(), 0);
    loop {
        let path = format!("{DESK}/request?serviceDeskId=1&requestStatus=OPEN_REQUESTS&start={start}&limit=40");
        let page = site.get(&path).await.ok();
        keys.extend(texts(&page["values"], "issueKey"));
        start += page["size"].as_u64().unwrap();
        let next = page["_links"].get("next").and_then(Value::as_str);
        assert_eq!(page["isLastPage"].as_bool().unwrap(), next.is_none());
        match next {
            None => break,
            Some(next) => assert!(next.ends_with(&format!("start={start}&limit=40")), "{next}"),
        }
    }
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len()), (150, 150));
    assert_eq!(keys[0], "IT-248", "the newest is first");
}

#[tokio::test]
async fn a_desk_page_holds_a_hundred_at_most_and_nonsense_is_refused() {
    let site = Site::cloud(250);
    let page = site.get(&format!("{DESK}/request?limit=1000")).await.ok();
    assert_eq!((&page["size"], &page["limit"]), (&100.into(), &100.into()));
    for wrong in ["start=-1", "limit=many", "requestStatus=SOME", "requestOwnership=MINE", "requestTypeId=10"] {
        assert_eq!(site.get(&format!("{DESK}/request?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn cloud_searches_go_on_by_token_and_a_token_outlives_changes() {
    let site = Site::cloud(250);
    let (mut keys, mut token) = (BTreeSet::new(), String::new());
    for nth in 0.. {
        let path = format!("/rest/api/3/search/jql?jql=project%3DIT&maxResults=60&fields=summary{token}");
        let page = site.get(&path).await.ok();
        assert!(page.get("total").is_none() && page.get("startAt").is_none());
        keys.extend(texts(&page["issues"], "key"));
        if nth == 1 {
            assert_eq!(site.delete("/rest/api/3/issue/IT-250").await.status, StatusCode::NO_CONTENT);
        }
        match page.get("nextPageToken").and_then(Value::as_str) {
            Some(next) => token = format!("&nextPageToken={next}"),
            None => {
                assert_eq!(page["isLast"], true);
                break;
            }
        }
    }
    assert_eq!(keys.len(), 250);
    let stale = site.get("/rest/api/3/search/jql?jql=project%3DIT&nextPageToken=bm9uZQ").await;
    assert_eq!(stale.status, StatusCode::BAD_REQUEST);
    assert!(stale.json()["errorMessages"][0].as_str().unwrap().contains("next page token"));
}

#[tokio::test]
async fn cloud_searches_without_fields_give_ids_and_refuse_to_list_everything() {
    let site = Site::cloud(300);
    let page = site.get("/rest/api/3/search/jql?jql=project%3DIT&maxResults=5000").await.ok();
    assert_eq!(page["issues"].as_array().unwrap().len(), 300);
    assert!(page["issues"][0].get("fields").is_none());
    let unbounded = site.get("/rest/api/3/search/jql?jql=ORDER%20BY%20created").await;
    assert_eq!(unbounded.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/rest/api/3/search?jql=project%3DIT").await.status, StatusCode::GONE);
    let count = site.post("/rest/api/3/search/approximate-count", serde_json::json!({"jql": "project = IT"})).await;
    assert_eq!(count.ok()["count"], 300);
}

#[tokio::test]
async fn data_center_searches_go_on_by_offset_and_tell_the_total() {
    let site = Site::data_center(250);
    let mut keys = BTreeSet::new();
    for start in (0..250).step_by(100) {
        let path = format!("/rest/api/2/search?jql=project%3DIT%20ORDER%20BY%20key&startAt={start}&maxResults=100");
        let page = site.get(&path).await.ok();
        assert_eq!((&page["total"], &page["startAt"]), (&250.into(), &start.into()));
        assert_eq!(page["issues"][0]["key"], format!("IT-{}", start + 1));
        keys.extend(texts(&page["issues"], "key"));
    }
    assert_eq!(keys.len(), 250);
    assert_eq!(site.get("/rest/api/2/search/jql?jql=project%3DIT").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hundred_thousand_issues_are_there_at_once_and_every_page_is_another() {
    let site = Site::cloud(100_000);
    let page = site
        .get("/rest/api/3/search/jql?jql=project%3DIT%20ORDER%20BY%20created&maxResults=100&fields=*all")
        .await
        .ok();
    assert_eq!(page["issues"][99]["key"], "IT-100");
    let path = "/rest/api/3/search/jql?jql=project%3DIT%20AND%20key%20%3E%20IT-99999&fields=created";
    let last = site.get(path).await.ok();
    assert_eq!(last["issues"][0]["fields"]["created"], "2025-03-01T17:32:33.000+0000");
}

#[tokio::test]
async fn people_are_a_plain_list_that_ends_with_an_empty_page() {
    let site = Site::cloud(1);
    let page = site.get("/rest/api/3/user/search?query=.&maxResults=5").await.ok();
    assert_eq!(page.as_array().unwrap().len(), 5);
    assert_eq!(site.get("/rest/api/3/user/search?query=.&startAt=10").await.ok(), serde_json::json!([]));
    let found = site.get("/rest/api/3/user/search?query=chiara").await.ok();
    assert_eq!(texts(&found, "emailAddress"), ["chiara@example.com"]);
}
