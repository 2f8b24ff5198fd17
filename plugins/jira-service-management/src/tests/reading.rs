//! Every table, page after page, and where a retry goes on.

use super::*;

#[test]
fn requests_are_read_as_they_are_page_after_page() {
    let first = Reply::bytes(r#"{"size":1,"isLastPage":false,"values":[{ "issueKey": "IT-2", "n": 1.50 }]}"#);
    let query = "expand=sla&expand=status&limit=100";
    let rest = "requestOwnership=ALL_ORGANIZATIONS&requestStatus=OPEN_REQUESTS&requestTypeId=25&searchTerm=vpn%20down&\
                serviceDeskId=1";
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/request?{query}&{rest}&start=0"), first)
        .on("GET", &format!("{DESK}/request?{query}&{rest}&start=1"), page(json!([{ "issueKey": "IT-1" }]), true))
        .run(
            "query",
            json!({
                "table": "Requests", "serviceDesk": 1, "requestType": "25", "requestStatus": "OPEN_REQUESTS",
                "ownership": ["ALL_ORGANIZATIONS"], "searchTerm": "vpn down", "expand": ["sla", "status"],
            }),
        );
    assert_eq!(ran.records(), [json!({ "issueKey": "IT-2", "n": 1.50 }), json!({ "issueKey": "IT-1" })]);
    assert_eq!(ran.output(), json!({ "table": "Requests", "records": 2 }));
    assert!(ran.unused().is_empty());
}

#[test]
fn a_retry_goes_on_behind_the_last_page() {
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/servicedesk?limit=2&start=0"), page(json!([{ "id": "1" }, { "id": "2" }]), false))
        .on("GET", &format!("{DESK}/servicedesk?limit=2&start=2"), Reply::status(503))
        .run("query", json!({ "table": "ServiceDesks", "pageSize": 2 }));
    assert_eq!((ran.error().code.as_ref(), ran.records().len()), ("http.server_error", 2));
    let cursor = ran.cursor().unwrap().to_owned();
    let again = bench("cloud")
        .on("GET", &format!("{DESK}/servicedesk?limit=2&start=2"), page(json!([{ "id": "3" }]), true))
        .cursor(&cursor)
        .run("query", json!({ "table": "ServiceDesks", "pageSize": 2 }));
    assert_eq!(again.records(), [json!({ "id": "3" })]);
}

#[test]
fn the_default_desk_of_the_connection_narrows_unless_the_activity_names_another() {
    let options = json!({ "flavour": "cloud", "serviceDesk": 7, "requestLanguage": "de-DE" });
    let ask = |params| {
        let list = page(json!([]), true);
        Bench::<JiraServiceManagement>::new()
            .options(options.clone())
            .otherwise(move |_| Some(list.clone()))
            .run("query", params)
    };
    let ran = ask(json!({ "table": "Organizations" }));
    assert_eq!(ran.calls(), [format!("GET {DESK}/servicedesk/7/organization?limit=100&start=0")]);
    assert_eq!(ran.requests()[0].headers["accept-language"], "de-DE");
    let ran = ask(json!({ "table": "Organizations", "serviceDesk": "8" }));
    assert_eq!(ran.calls(), [format!("GET {DESK}/servicedesk/8/organization?limit=100&start=0")]);
}

#[test]
fn what_belongs_to_something_carries_its_key() {
    let fields = json!({ "requestTypeFields": [{ "fieldId": "summary" }], "canRaiseOnBehalfOf": true });
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/servicedesk/1/requesttype/25/field"), Reply::json(fields))
        .run("query", json!({ "table": "RequestTypeFields", "serviceDesk": 1, "requestType": 25 }));
    assert_eq!(ran.records(), [json!({ "serviceDeskId": "1", "requestTypeId": "25", "fieldId": "summary" })]);
    let ran = bench("cloud")
        .on(
            "GET",
            &format!("{DESK}/servicedesk/1/queue/10/issue?limit=50&start=0"),
            page(json!([{ "key": "IT-1" }, {}]), true),
        )
        .run("query", json!({ "table": "QueueRequests", "serviceDesk": "1", "queue": "10", "pageSize": 50 }));
    let keys = json!({ "serviceDeskId": "1", "queueId": "10" });
    assert_eq!(ran.records(), [json!({ "serviceDeskId": "1", "queueId": "10", "key": "IT-1" }), keys]);
}

#[test]
fn operations_that_jira_calls_experimental_are_asked_for_as_such_and_others_are_not() {
    for (params, path, opts_in) in [
        (json!({ "table": "RequestTypes" }), "requesttype?limit=100&start=0", true),
        (json!({ "table": "RequestTypes", "serviceDesk": "1" }), "servicedesk/1/requesttype?limit=100&start=0", false),
        (
            json!({ "table": "Customers", "serviceDesk": "1", "searchTerm": "amina" }),
            "servicedesk/1/customer?limit=100&query=amina&start=0",
            true,
        ),
        (json!({ "table": "Queues", "serviceDesk": "1" }), "servicedesk/1/queue?limit=100&start=0", false),
    ] {
        let ran = bench("cloud")
            .on("GET", &format!("{DESK}/{path}"), page(json!([{ "id": "x" }]), true))
            .run("query", params);
        assert_eq!(ran.records().len(), 1, "{path}");
        assert_eq!(ran.requests()[0].headers.contains_key("x-experimentalapi"), opts_in, "{path}");
    }
}

#[test]
fn comments_are_read_of_the_requests_that_are_named() {
    let of = |key: &str| format!("{DESK}/request/{key}/comment?internal=false&limit=2&public=true");
    let ran = bench("cloud")
        .on("GET", &format!("{}&start=0", of("IT-1")), page(json!([{ "id": "1" }, { "id": "2" }]), false))
        .on("GET", &format!("{}&start=2", of("IT-1")), page(json!([{ "id": "3" }]), true))
        .on("GET", &format!("{}&start=0", of("IT-2")), page(json!([]), true))
        .run(
            "query",
            json!({ "table": "RequestComments", "issue": ["IT-1", "IT-2", "IT-1"], "internal": false, "pageSize": 2 }),
        );
    let ids: Vec<_> = ran.records().iter().map(|record| (record["issueKey"].clone(), record["id"].clone())).collect();
    assert_eq!(ids, ["1", "2", "3"].map(|id| (json!("IT-1"), json!(id))));
    assert!(ran.unused().is_empty());
}

#[test]
fn what_hangs_on_requests_is_read_of_all_that_are_found_and_a_retry_goes_on_behind_the_last() {
    let list = |start: u64| format!("{DESK}/request?limit=100&serviceDeskId=1&start={start}");
    let of = |key: &str| format!("{DESK}/request/{key}/participant?limit=100&start=0");
    let params = json!({ "table": "RequestParticipants", "serviceDesk": "1" });
    let keys = |keys: &[&str], last| page(keys.iter().map(|key| json!({ "issueKey": key })).collect(), last);
    let person = |name: &str| page(json!([{ "accountId": name }]), true);
    let ran = bench("cloud")
        .on("GET", &list(0), keys(&["IT-3", "IT-2"], false))
        .on("GET", &of("IT-3"), person("ada"))
        .on("GET", &of("IT-2"), refused(404, "gone"))
        .on("GET", &list(2), keys(&["IT-1", "IT-0"], true))
        .on("GET", &of("IT-1"), person("amina"))
        .on("GET", &of("IT-0"), Reply::status(500))
        .run("query", params.clone());
    assert_eq!(ran.error().code, "http.server_error");
    let expected = [("IT-3", "ada"), ("IT-1", "amina")].map(|(key, id)| json!({ "issueKey": key, "accountId": id }));
    assert_eq!((ran.records(), ran.counters()["requests_gone"]), (expected.to_vec(), 1));
    let cursor = ran.cursor().unwrap().to_owned();
    assert_eq!(cursor, r#"{"start":2,"after":"IT-1"}"#);
    let again = bench("cloud")
        .on("GET", &list(2), keys(&["IT-1", "IT-0"], true))
        .on("GET", &of("IT-0"), person("ada"))
        .cursor(&cursor)
        .run("query", params);
    assert_eq!(again.records(), [json!({ "issueKey": "IT-0", "accountId": "ada" })]);
}

#[test]
fn each_cycle_of_an_agreement_is_a_record() {
    let agreement = json!({
        "id": "1", "name": "Time to resolution",
        "completedCycles": [{ "breached": false }], "ongoingCycle": { "breached": true, "remainingTime": { "millis": -5 } },
    });
    let never = json!({ "id": "2", "name": "Time to first response", "completedCycles": [] });
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/request/IT-1/sla?limit=100&start=0"), page(json!([agreement, never]), true))
        .run("query", json!({ "table": "RequestSLACycles", "issue": "IT-1" }));
    let keys =
        |cycle: &str| json!({ "issueKey": "IT-1", "slaId": "1", "slaName": "Time to resolution", "cycle": cycle });
    let with = |mut keys: Value, more: Value| {
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        keys
    };
    let ongoing = with(keys("ongoing"), json!({ "breached": true, "remainingTime": { "millis": -5 } }));
    assert_eq!(ran.records(), [with(keys("completed"), json!({ "breached": false })), ongoing]);
}

#[test]
fn single_requests_are_read_by_key() {
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/request/IT-1?expand=comment"), Reply::json(json!({ "issueKey": "IT-1" })))
        .run("query", json!({ "table": "Requests", "issue": "IT-1", "expand": ["comment"] }));
    assert_eq!(ran.records(), [json!({ "issueKey": "IT-1" })]);
    let missing = bench("cloud")
        .on("GET", &format!("{DESK}/request/IT-1"), refused(404, "no"))
        .run("query", json!({ "table": "Requests", "issue": "IT-1" }));
    assert_eq!(missing.error().kind, Kind::NotFound);
}

#[test]
fn issues_come_by_tokens_on_cloud() {
    let issues = |key: &str| json!([{ "key": key }]);
    let path = "/rest/api/3/search/jql";
    let ran = bench("cloud")
        .on("POST", path, Reply::json(json!({ "issues": issues("IT-1"), "isLast": false, "nextPageToken": "t" })))
        .on("POST", path, Reply::json(json!({ "issues": issues("IT-2"), "isLast": true })))
        .run(
            "query",
            json!({ "table": "Issues", "jql": "project = IT", "fields": ["summary"], "expand": ["names", "changelog"],
                    "texts": "documents", "reconcileIssues": [10_000], "pageSize": 1 }),
        );
    assert_eq!(ran.records(), [json!({ "key": "IT-1" }), json!({ "key": "IT-2" })]);
    let first = json!({ "jql": "project = IT", "fields": ["summary"], "expand": "names,changelog", "maxResults": 1,
                        "reconcileIssues": [10_000] });
    assert_eq!(ran.requests()[0].json(), first);
    assert_eq!(ran.requests()[1].json()["nextPageToken"], "t");
}

#[test]
fn issues_come_by_offsets_on_data_center_and_as_plain_text() {
    let path = "/rest/api/2/search";
    let found =
        |start: u64| Reply::json(json!({ "startAt": start, "maxResults": 1, "total": 2, "issues": [{ "id": start }] }));
    let ran = bench("data-center")
        .on("POST", path, found(0))
        .on("POST", path, found(1))
        .run("query", json!({ "table": "Issues", "jql": "order by key", "expand": ["names"], "pageSize": 1 }));
    assert_eq!(ran.records(), [json!({ "id": 0 }), json!({ "id": 1 })]);
    let second =
        json!({ "jql": "order by key", "fields": ["*navigable"], "expand": ["names"], "startAt": 1, "maxResults": 1 });
    assert_eq!(ran.requests()[1].json(), second);
    let documents = json!({ "table": "Issues", "jql": "x", "texts": "documents" });
    assert!(bench("data-center").run("query", documents).error().message.starts_with("texts: "));
}

#[test]
fn people_are_read_until_a_page_is_empty_because_short_ones_are_not_the_last() {
    let at = |start: u64| format!("/rest/api/3/user/search?maxResults=1000&query=a&startAt={start}");
    let ran = bench("cloud")
        .on("GET", &at(0), Reply::json(json!([{ "accountId": "1" }])))
        .on("GET", &at(1000), Reply::json(json!([{ "accountId": "2" }])))
        .on("GET", &at(2000), Reply::json(json!([])))
        .run("query", json!({ "table": "Users", "searchTerm": "a" }));
    assert_eq!((ran.records().len(), ran.cursor()), (2, Some(r#"{"start":2000}"#)));
    for (flavour, path) in [
        ("cloud", "/rest/api/3/users/search?maxResults=1000&startAt=0"),
        ("data-center", "/rest/api/2/user/search?maxResults=1000&startAt=0&username=."),
    ] {
        let ran = bench(flavour).on("GET", path, Reply::json(json!([]))).run("query", json!({ "table": "Users" }));
        assert!(ran.result().is_ok(), "{:?}", ran.result());
    }
}

#[test]
fn the_flavour_is_asked_once_and_remembered_until_the_connection_leads_elsewhere() {
    let info = || Reply::json(json!({ "version": "9.12.0", "deploymentType": "Server" }));
    let users = json!({ "table": "Users" });
    let empty = || Reply::json(json!([]));
    let path = "/rest/api/2/user/search?maxResults=1000&startAt=0&username=.";
    let auto = || Bench::<JiraServiceManagement>::new();
    let ran = auto().on("GET", "/rest/api/2/serverInfo", info()).on("GET", path, empty()).run("query", users.clone());
    let kept = ran.state("site").unwrap();
    assert_eq!(kept, json!({ "url": "system.example/", "flavour": "data-center" }));
    let again = auto().state("site", kept.clone()).on("GET", path, empty()).run("query", users.clone());
    assert_eq!(again.calls().len(), 1);
    let moved = auto().url("https://other.example").state("site", kept).otherwise(|sent| {
        let info = json!({ "version": "1001", "deploymentType": "Cloud" });
        Some(Reply::json(if sent.path.ends_with("serverInfo") { info } else { json!([]) }))
    });
    assert_eq!(moved.run("query", users).calls()[1], "GET /rest/api/3/users/search?maxResults=1000&startAt=0");
}

#[test]
fn a_jira_that_ignores_where_a_page_begins_is_noticed_in_every_loop() {
    let people = || Reply::json(json!([{ "accountId": "a" }]));
    let ran = bench("cloud").otherwise(move |_| Some(people())).run("query", json!({ "table": "Users" }));
    assert_eq!((ran.error().code.as_ref(), ran.calls().len(), ran.records().len()), ("http.page_repeated", 2, 1));
    // A list, the requests of a list, and the comments of one request.
    let desks = || page(json!([{ "id": "1" }]), false);
    let ran = bench("cloud").otherwise(move |_| Some(desks())).run("query", json!({ "table": "ServiceDesks" }));
    assert_eq!((ran.error().code.as_ref(), ran.calls().len(), ran.records().len()), ("http.page_repeated", 2, 1));
    let ran = bench("cloud")
        .otherwise(|sent| {
            let comments = sent.path.contains("/comment");
            Some(if comments { page(json!([]), true) } else { page(json!([{ "issueKey": "IT-1" }]), false) })
        })
        .run("query", json!({ "table": "RequestComments" }));
    assert_eq!((ran.error().code.as_ref(), ran.calls().len()), ("http.page_repeated", 3), "{:?}", ran.calls());
    let ran = bench("cloud")
        .otherwise(|_| Some(page(json!([{ "id": "1", "body": "x" }]), false)))
        .run("query", json!({ "table": "RequestComments", "issue": ["IT-1"] }));
    assert_eq!((ran.error().code.as_ref(), ran.records().len()), ("http.page_repeated", 1));
}
