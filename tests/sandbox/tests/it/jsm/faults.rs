//! Faults on demand, in the words of Jira, and the index that lags behind.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_throttled_caller_is_told_how_long_to_wait_in_the_words_of_each_flavour() {
    for (site, path) in [(Site::cloud(1), "/rest/api/3/myself"), (Site::data_center(1), "/rest/api/2/myself")] {
        let rule = json!([{"path": "/rest/", "fault": "throttle", "times": 1, "retry_after_s": 7}]);
        assert_eq!(site.put("/_sandbox/faults", rule).await.status, StatusCode::NO_CONTENT);
        let limited = site.get(path).await;
        assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            (&limited.headers["retry-after"], &limited.headers["x-ratelimit-remaining"]),
            (&"7".parse().unwrap(), &"0".parse().unwrap())
        );
        assert_eq!(limited.json()["errorMessages"], json!(["Rate limit exceeded."]));
        let own = if path.contains("/3/") { "ratelimit-reason" } else { "x-ratelimit-fillrate" };
        assert!(limited.headers.contains_key(own), "{own}");
        let after = site.get(path).await;
        assert_eq!((after.status, &after.headers["x-ratelimit-remaining"]), (StatusCode::OK, &"348".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_limit_may_say_when_it_ends_and_nothing_else() {
    let rule = json!([{"path": "/rest/", "fault": "reset", "times": 1, "retry_after_s": 7}]);
    let site = Site::cloud(1);
    site.put("/_sandbox/faults", rule.clone()).await.ok();
    let before = jiff::Timestamp::now();
    let limited = site.get("/rest/api/3/myself").await;
    assert_eq!((limited.status, limited.headers.get("retry-after")), (StatusCode::TOO_MANY_REQUESTS, None));
    let reset: jiff::Timestamp = limited.headers["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!((6..=7).contains(&(reset.as_second() - before.as_second())), "{reset}");
    let own = Site::data_center(1);
    own.put("/_sandbox/faults", rule).await.ok();
    let limited = own.get("/rest/api/2/myself").await;
    assert_eq!(limited.headers.get("retry-after"), None);
    assert_eq!(limited.headers["x-ratelimit-interval-seconds"], "7");
}

#[tokio::test]
async fn an_issue_without_a_reference_that_comes_twice_is_noticed() {
    let site = Site::cloud(1);
    let wanted = |summary: &str| json!({"serviceDeskId": "1", "requestTypeId": "13", "requestFieldValues": {"summary": summary}});
    for summary in ["a", "b", "a"] {
        site.post(&format!("{DESK}/request"), wanted(summary)).await.ok();
    }
    let twice = site.ledger().await["duplicates"].clone();
    assert_eq!(twice.as_object().unwrap().values().collect::<Vec<_>>(), [2], "{twice}");
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_its_effect() {
    let site = Site::cloud(1);
    let rule = json!([{"path": "/rest/servicedeskapi/request", "method": "POST", "fault": "error", "when": "after", "times": 1}]);
    site.put("/_sandbox/faults", rule).await.ok();
    let wanted = json!({"serviceDeskId": "1", "requestTypeId": "13", "requestFieldValues": {"summary": "x"}});
    let lost = site.post(&format!("{DESK}/request"), wanted).await;
    assert_eq!(lost.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(lost.json()["errorMessage"].is_string());
    assert_eq!(site.ledger().await["created"], 1);
}

#[tokio::test]
async fn a_page_for_signing_in_is_html_with_a_good_status() {
    let site = Site::cloud(1);
    site.put("/_sandbox/faults", json!([{"path": "/rest/api", "fault": "login"}])).await.ok();
    let page = site.get("/rest/api/3/myself").await;
    assert_eq!(
        (page.status, page.headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html;charset=UTF-8")
    );
}

#[tokio::test]
async fn the_index_lags_and_named_issues_are_found_all_the_same() {
    let site = Site::cloud(1);
    site.put("/_sandbox/settings", json!({"index_lag_ms": 3_600_000})).await.ok();
    let wanted = json!({"serviceDeskId": "1", "requestTypeId": "13", "requestFieldValues": {"summary": "fresh"}});
    let id = site.post(&format!("{DESK}/request"), wanted).await.ok()["issueId"].as_str().unwrap().to_owned();
    let search = async |more: Value| {
        let mut body = json!({"jql": "summary ~ fresh"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        site.post("/rest/api/3/search/jql", body).await.ok()["issues"].as_array().unwrap().len()
    };
    assert_eq!(search(json!({})).await, 0);
    assert_eq!(search(json!({"reconcileIssues": [id.parse::<u64>().unwrap()]})).await, 1);
    assert_eq!(site.get(&format!("/rest/api/3/issue/{id}")).await.status, StatusCode::OK);
}
