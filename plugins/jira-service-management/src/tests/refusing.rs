//! Parameters that cannot be used, and answers that say no.

use super::*;

fn wrong(params: Value) -> String {
    let error = bench("cloud").run("query", params).error();
    assert_eq!((error.kind, error.code.as_ref()), (Kind::Config, "connector.params_invalid"), "{error}");
    error.message
}

#[test]
fn parameters_that_do_not_fit_are_named_with_what_would() {
    for (params, expected) in [
        (json!({}), "missing field `table`"),
        (json!({ "table": "Request" }), "table: unknown variant `Request`"),
        (json!({ "table": "Requests", "serviceDeskId": "1" }), "unknown field `serviceDeskId`"),
        (json!({ "table": "Requests", "serviceDesk": "" }), "serviceDesk: invalid length 0"),
        (json!({ "table": "Requests", "requestStatus": "open" }), "requestStatus: unknown variant `open`"),
        (json!({ "table": "Requests", "jql": "x" }), "jql: the table Requests does not take it; it takes serviceDesk,"),
        (json!({ "table": "Requests", "requestType": "1" }), "the table Requests needs the parameter serviceDesk"),
        (json!({ "table": "Customers" }), "the table Customers needs the parameter serviceDesk"),
        (json!({ "table": "QueueRequests", "serviceDesk": 1 }), "the table QueueRequests needs the parameter queue"),
        (json!({ "table": "Issues", "jql": " " }), "the table Issues needs the parameter jql"),
        (json!({ "table": "Issues", "jql": "x", "pageSize": 5001 }), "pageSize: 5001 is not between 1 and 5000"),
        (json!({ "table": "RequestComments", "issue": [] }), "issue: 0 are named, 1 to 1000 are accepted"),
        (json!({ "table": "RequestComments", "public": false, "internal": false }), "nothing is left to read"),
        (
            json!({ "table": "Requests", "organization": 1, "ownership": ["OWNED_REQUESTS"] }),
            "the parameter organization needs ORGANIZATION among ownership",
        ),
    ] {
        let message = wrong(params.clone());
        assert!(message.contains(expected), "{params}: {message}");
    }
}

#[test]
fn filters_that_jira_heeds_only_together_are_sent_together() {
    let list = page(json!([]), true);
    let ran = bench("cloud").otherwise(move |_| Some(list.clone()));
    let params = json!({ "table": "Requests", "organization": 3 });
    let path = format!("GET {DESK}/request?limit=100&organizationId=3&requestOwnership=ORGANIZATION&start=0");
    assert_eq!(ran.run("query", params).calls(), [path]);
}

#[test]
fn ids_cannot_lead_to_another_path() {
    let ran = bench("cloud").otherwise(|_| Some(page(json!([]), true)));
    let ran = ran.run("query", json!({ "table": "Customers", "serviceDesk": "1/../../x?y" }));
    assert_eq!(ran.calls(), [format!("GET {DESK}/servicedesk/1%2F..%2F..%2Fx%3Fy/customer?limit=100&start=0")]);
}

#[test]
fn each_refusal_of_a_query_has_its_kind() {
    let denied = || Reply::status(401).header("x-seraph-loginreason", "AUTHENTICATION_DENIED");
    for (reply, kind, code) in [
        (refused(400, "bad jql of Ms Doe"), Kind::Config, "jira.query_refused"),
        (Reply::status(401), Kind::Auth, "http.unauthorized"),
        (denied(), Kind::Auth, "jira.login_denied"),
        (refused(403, "no"), Kind::Forbidden, "http.forbidden"),
        (refused(404, "no"), Kind::NotFound, "http.not_found"),
        (refused(410, "removed"), Kind::Config, "jira.removed"),
        (Reply::status(429).header("retry-after", "7"), Kind::Throttled, "http.throttled"),
        (Reply::status(500), Kind::Transient, "http.server_error"),
        (Reply::bytes("<html>login</html>"), Kind::Config, "http.html_answer"),
        (Reply::bytes(""), Kind::Data, "http.empty_answer"),
        (Reply::bytes(r#"{"values": ["#), Kind::Transient, "http.truncated_answer"),
        (Reply::json(json!({ "other": 1 })), Kind::Data, "http.records_missing"),
    ] {
        let ran =
            bench("cloud").otherwise(move |_| Some(reply.clone())).run("query", json!({ "table": "ServiceDesks" }));
        let error = ran.error();
        assert_eq!((error.kind, error.code.as_ref()), (kind, code), "{error}");
        assert!(!error.message.contains("Doe"), "{error}");
    }
}

#[test]
fn limits_say_how_long_to_wait_in_either_way() {
    // The bench's clock stands at 2001-09-09T01:46:40Z.
    let wait = |reply: Reply| {
        let ran =
            bench("cloud").otherwise(move |_| Some(reply.clone())).run("query", json!({ "table": "ServiceDesks" }));
        ran.error().retry_after.map(|wait| wait.as_secs())
    };
    assert_eq!(wait(Reply::status(429).header("retry-after", "7")), Some(7));
    assert_eq!(wait(Reply::status(429).header("x-ratelimit-reset", "2001-09-09T01:48Z")), Some(80));
    assert_eq!(wait(Reply::status(503).header("retry-after", "3")), Some(3));
    assert_eq!(wait(Reply::status(429)), None);
}

#[test]
fn a_query_waits_out_a_short_limit_in_either_way() {
    let list = format!("{DESK}/servicedesk?limit=100&start=0");
    let ran = bench("cloud")
        .on("GET", &list, Reply::status(429).header("retry-after", "7"))
        .on("GET", &list, Reply::status(429).header("x-ratelimit-reset", "2001-09-09T01:47Z"))
        .on("GET", &list, page(json!([]), true))
        .run("query", json!({ "table": "ServiceDesks" }));
    // 20 s to the full minute, of which 7 have passed.
    assert_eq!(ran.waits().iter().map(|wait| wait.as_secs()).collect::<Vec<_>>(), [7, 13]);
    assert!(ran.result().is_ok());
}
