//! Answers that a real Jira gave to somebody else become records with the right values. They are looked for in
//! `$WHERRY_SPECS`; `cargo xtask test` leaves these tests out, as skipped, where there are none.

use std::path::PathBuf;

use super::*;

/// A recorded answer.
fn recorded(name: &str) -> Vec<u8> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs");
    let specs = std::env::var_os("WHERRY_SPECS").map_or(PathBuf::from(beside), PathBuf::from);
    let file = specs.join("jira/recorded").join(format!("{name}.json"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("set WHERRY_SPECS: {}: {error}", file.display()))
}

#[test]
fn a_recorded_search_becomes_issues() {
    let answer = recorded("search_issues");
    let whole: Value = serde_json::from_slice(&answer).unwrap();
    let params = json!({ "table": "Issues", "jql": "project = EX", "texts": "documents" });
    let ran = bench("cloud").on("POST", "/rest/api/3/search/jql", Reply::bytes(answer)).run("query", params);
    let records = ran.records();
    assert_eq!(records, *whole["issues"].as_array().unwrap(), "records are the answer's own objects");
    let issue = &records[0];
    assert_eq!((&issue["id"], &issue["key"]), (&json!("10002"), &json!("ED-1")));
    assert_eq!(issue["fields"]["project"]["key"], "EX");
    assert_eq!(issue["fields"]["attachment"][0]["filename"], "debuglog.txt");
    assert_eq!(issue["fields"]["watcher"]["watchCount"], 1);
    assert!(ran.batches().iter().all(|(records, _)| *records == 1), "line feeds inside a record do not end it");
}

#[test]
fn recorded_people_become_users() {
    let answer = recorded("get_user");
    let ran = bench("cloud")
        .on("GET", "/rest/api/3/user/search?maxResults=1000&query=test&startAt=0", Reply::bytes(answer))
        .on("GET", "/rest/api/3/user/search?maxResults=1000&query=test&startAt=1000", Reply::json(json!([])))
        .run("query", json!({ "table": "Users", "searchTerm": "test" }));
    let [user] = ran.records().try_into().unwrap();
    assert_eq!(
        (&user["accountId"], &user["emailAddress"]),
        (&json!("5b10a2844c20165700ede21g"), &json!("testuser@example.com"))
    );
    assert_eq!((&user["displayName"], &user["active"]), (&json!("Test User"), &json!(true)));
}

#[test]
fn recorded_fields_are_described() {
    let answer = recorded("get_issue_fields");
    let ran = bench("cloud")
        .on("GET", "/rest/api/2/field", Reply::bytes(answer))
        .discover("query", &json!({ "table": "Issues" }));
    let described = ran.output();
    let ids: Vec<_> = described["fields"].as_array().unwrap().iter().map(|field| &field["id"]).collect();
    assert_eq!(ids, ["description", "summary"]);
    assert_eq!(described["fields"][1]["schema"]["type"], "string");
}
