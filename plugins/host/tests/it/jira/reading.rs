//! Every table, over more than one page, on both kinds of Jira.

use super::*;

/// The records of a table, and after how many requests' worth of pages they ended.
async fn read(sandbox: &Sandbox, params: Value) -> Vec<Value> {
    let finished = sandbox.invoke("query", &params).on(&jira()).await;
    let records = finished.records();
    assert_eq!(finished.output(), json!({ "table": params["table"], "records": records.len() }));
    records
}

fn distinct(records: &[Value], pointer: &str) -> usize {
    let mut all: Vec<_> = records.iter().map(|record| record.pointer(pointer).unwrap().to_string()).collect();
    all.sort();
    all.dedup();
    all.len()
}

#[tokio::test]
async fn requests_and_what_hangs_on_them_are_read_on_both_flavours() {
    for flavour in ["cloud", "data-center"] {
        let sandbox = Sandbox::start(flavour, 230);
        let requests = read(&sandbox, json!({ "table": "Requests", "serviceDesk": 1 })).await;
        assert_eq!((requests.len(), distinct(&requests, "/issueKey")), (230, 230), "{flavour}");
        let open = json!({ "table": "Requests", "serviceDesk": 1, "requestType": 11, "requestStatus": "OPEN_REQUESTS",
                           "pageSize": 7, "expand": ["requestType"] });
        let open = read(&sandbox, open).await;
        assert!(open.len() > 7 && open.iter().all(|request| request["requestTypeId"] == "11"));
        assert!(open.iter().all(|request| request["requestType"]["name"] == "Request access"));
        // Every fourth request has two comments, one of them internal; every tenth a participant; each two agreements.
        let comments = read(&sandbox, json!({ "table": "RequestComments", "serviceDesk": "1" })).await;
        assert_eq!((comments.len(), distinct(&comments, "/issueKey")), (116, 58), "{flavour}");
        let public = json!({ "table": "RequestComments", "issue": ["IT-1", "IT-5", "IT-2"], "internal": false });
        let public = read(&sandbox, public).await;
        assert_eq!(
            public.iter().map(|one| (&one["issueKey"], &one["public"])).collect::<Vec<_>>(),
            [(&json!("IT-1"), &json!(true)), (&json!("IT-5"), &json!(true)),]
        );
        let participants = read(&sandbox, json!({ "table": "RequestParticipants", "serviceDesk": "1" })).await;
        assert_eq!((participants.len(), distinct(&participants, "/issueKey")), (23, 23));
        let cycles = read(&sandbox, json!({ "table": "RequestSLACycles", "issue": ["IT-1", "IT-4"] })).await;
        assert_eq!((cycles.len(), distinct(&cycles, "/slaName")), (4, 2));
        assert!(cycles.iter().all(|cycle| cycle["goalDuration"]["millis"].is_i64()), "{cycles:?}");
        let one = read(&sandbox, json!({ "table": "Requests", "issue": "IT-7", "expand": ["sla"] })).await;
        assert_eq!((one.len(), &one[0]["issueKey"], &one[0]["sla"]["size"]), (1, &json!("IT-7"), &json!(2)));
    }
}

#[tokio::test]
async fn desks_types_fields_people_and_queues_are_read_on_both_flavours() {
    for (flavour, id) in [("cloud", "/accountId"), ("data-center", "/name")] {
        let sandbox = Sandbox::start(flavour, 120);
        let count = async |params: Value| read(&sandbox, params).await.len();
        assert_eq!(count(json!({ "table": "ServiceDesks", "pageSize": 1 })).await, 2);
        assert_eq!(count(json!({ "table": "RequestTypes", "pageSize": 4 })).await, 9);
        assert_eq!(count(json!({ "table": "RequestTypes", "serviceDesk": 2, "pageSize": 3 })).await, 4);
        assert_eq!(count(json!({ "table": "RequestTypes", "serviceDesk": 2, "searchTerm": "building" })).await, 1);
        assert_eq!(count(json!({ "table": "Organizations", "pageSize": 1 })).await, 2);
        assert_eq!(count(json!({ "table": "Organizations", "serviceDesk": 2 })).await, 1);
        let fields = read(&sandbox, json!({ "table": "RequestTypeFields", "serviceDesk": 1, "requestType": 10 })).await;
        assert_eq!(
            (fields.len(), &fields[3]["fieldId"], &fields[3]["required"]),
            (6, &json!("customfield_10011"), &json!(true))
        );
        assert_eq!((&fields[3]["serviceDeskId"], &fields[3]["requestTypeId"]), (&json!("1"), &json!("10")));
        let customers = read(&sandbox, json!({ "table": "Customers", "serviceDesk": 1, "pageSize": 2 })).await;
        assert_eq!((customers.len(), distinct(&customers, id)), (5, 5), "{flavour}");
        let users = read(&sandbox, json!({ "table": "Users", "searchTerm": "a" })).await;
        assert!(users.len() > 2 && distinct(&users, id) == users.len());
        let queues = read(&sandbox, json!({ "table": "Queues", "serviceDesk": 1, "pageSize": 2 })).await;
        assert_eq!((queues.len(), &queues[0]["name"]), (3, &json!("All open")));
        let open =
            read(&sandbox, json!({ "table": "QueueRequests", "serviceDesk": 1, "queue": 10, "pageSize": 50 })).await;
        assert_eq!((open.len(), distinct(&open, "/key"), &open[0]["queueId"]), (72, 72, &json!("10")));
        let issues = json!({ "table": "Issues", "jql": "project = IT ORDER BY key", "pageSize": 50, "fields": ["summary", "description"] });
        let issues = read(&sandbox, issues).await;
        assert_eq!((issues.len(), distinct(&issues, "/key")), (120, 120), "{flavour}");
        assert!(issues[0]["fields"]["description"].is_string(), "{}", issues[0]);
    }
}

#[tokio::test]
async fn texts_of_issues_are_documents_where_they_are_asked_for() {
    let sandbox = Sandbox::start("cloud", 3);
    let params = json!({ "table": "Issues", "jql": "project = IT", "texts": "documents" });
    let issues = read(&sandbox, params).await;
    assert_eq!((issues.len(), &issues[0]["fields"]["description"]["type"]), (3, &json!("doc")));
    let unbounded = json!({ "table": "Issues", "jql": "ORDER BY created" });
    let finished = sandbox.invoke("query", &unbounded).on(&jira()).await;
    assert_eq!(finished.code(), "jira.query_refused");
}

#[tokio::test]
async fn a_retry_goes_on_where_the_first_attempt_broke_off() {
    for (flavour, path, params) in [
        ("cloud", "/rest/servicedeskapi/request", json!({ "table": "Requests", "serviceDesk": 1, "pageSize": 50 })),
        ("cloud", "/rest/api/2/search/jql", json!({ "table": "Issues", "jql": "project = IT", "pageSize": 50 })),
        ("data-center", "/rest/api/2/search", json!({ "table": "Issues", "jql": "project = IT", "pageSize": 50 })),
        (
            "cloud",
            "/rest/servicedeskapi/request/IT-50/comment",
            json!({ "table": "RequestComments", "serviceDesk": 1 }),
        ),
    ] {
        let sandbox = Sandbox::start(flavour, 230);
        let whole = read(&sandbox, params.clone()).await;
        let skip = if path.ends_with("comment") { 0 } else { 3 };
        sandbox.misbehave(path, &json!({ "fault": "unavailable", "skip": skip, "times": 1, "retry_after_s": 90 }));
        let connector = jira();
        let first = sandbox.invoke("query", &params).on(&connector).await;
        assert_eq!((first.code().as_str(), first.fault().retry_after_ms()), ("http.server_error", Some(90_000)));
        let cursor = first.cursor().unwrap();
        let second = sandbox.invoke("query", &params).task(|task| task.cursor = Some(cursor)).on(&connector).await;
        let both = [first.records(), second.records()].concat();
        assert!(!first.records().is_empty() && both == whole, "{path}: {} and {}", first.records().len(), whole.len());
    }
}
