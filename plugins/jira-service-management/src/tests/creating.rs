//! Records of every kind, what becomes of those that are refused, and patience.

use super::*;

fn made(body: Value) -> Reply {
    Reply::json(body).with_status(201)
}

fn codes(ran: &wherry_sdk::testing::Ran) -> Vec<(u64, String)> {
    ran.rejections().into_iter().map(|(row, error)| (row, error.code.into_owned())).collect()
}

#[test]
fn requests_are_raised_with_ids_as_texts_and_only_what_was_said() {
    let whole = json!({
        "serviceDeskId": 10, "requestTypeId": "25", "requestFieldValues": { "summary": "VPN" },
        "raiseOnBehalfOf": "a1", "requestParticipants": ["a2"], "channel": "wherry", "isAdfRequest": false,
    });
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/request"), made(json!({ "issueKey": "IT-1", "issueId": "10001" })))
        .on("POST", &format!("{DESK}/request"), made(json!({ "issueKey": "IT-2", "issueId": "10002" })))
        .input([whole.clone(), json!({ "requestFieldValues": { "summary": "short" } })])
        .run("create", json!({ "table": "Requests", "serviceDesk": 1, "requestType": 13 }));
    assert_eq!(
        ran.output(),
        json!({ "records": 2, "rejected": 0, "last": { "issueKey": "IT-2", "issueId": "10002" } })
    );
    let mut sent = whole;
    sent["serviceDeskId"] = json!("10");
    assert_eq!(ran.requests()[0].json(), sent);
    let defaults = json!({ "serviceDeskId": "1", "requestTypeId": "13", "requestFieldValues": { "summary": "short" } });
    assert_eq!((ran.requests()[1].json(), ran.acked()), (defaults, 2));
}

#[test]
fn comments_participants_and_organisations_are_created() {
    let person = json!({ "values": [] });
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/request/IT-1/comment"), made(json!({ "id": "77" })))
        .input([json!({ "issueKey": "IT-1", "body": "Done.", "public": false })])
        .run("create", json!({ "table": "RequestComments" }));
    assert_eq!(ran.requests()[0].json(), json!({ "body": "Done.", "public": false }));
    assert_eq!(ran.output()["last"], json!({ "id": "77" }));
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/request/IT-1/participant"), Reply::json(person))
        .input([json!({ "issueKey": "IT-1", "accountIds": ["a1"] }), json!({ "issueKey": "IT-1" })])
        .run("create", json!({ "table": "RequestParticipants" }));
    assert_eq!(ran.requests()[0].json(), json!({ "accountIds": ["a1"] }));
    assert_eq!(codes(&ran), [(1, "connector.record_invalid".to_owned())]);
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/organization"), made(json!({ "id": "3", "name": "Acme" })))
        .on("POST", &format!("{DESK}/servicedesk/1/organization"), Reply::status(204))
        .input([json!({ "name": "Acme", "serviceDeskId": 1 })])
        .run("create", json!({ "table": "Organizations" }));
    assert_eq!(ran.requests()[1].json(), json!({ "organizationId": 3 }));
    assert_eq!(ran.output()["last"]["id"], "3");
}

#[test]
fn customers_are_named_as_each_flavour_names_them_and_added_to_the_desk() {
    for (flavour, field, created, added) in [
        ("cloud", "displayName", json!({ "accountId": "a9" }), json!({ "accountIds": ["a9"] })),
        ("data-center", "fullName", json!({ "name": "amina" }), json!({ "usernames": ["amina"] })),
    ] {
        let ran = bench(flavour)
            .on("POST", &format!("{DESK}/customer"), made(created))
            .on("POST", &format!("{DESK}/servicedesk/1/customer"), Reply::status(204))
            .input([json!({ "email": "amina@example.com", "displayName": "Amina" })])
            .run("create", json!({ "table": "Customers", "serviceDesk": "1" }));
        assert_eq!(ran.requests()[0].json(), json!({ "email": "amina@example.com", field: "Amina" }));
        assert_eq!((ran.requests()[1].json(), codes(&ran).len()), (added, 0));
    }
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/servicedesk/2/customer"), Reply::status(204))
        .input([json!({ "accountId": "a1", "serviceDeskId": "2" }), json!({ "displayName": "nobody" })])
        .run("create", json!({ "table": "Customers" }));
    assert_eq!(ran.requests()[0].json(), json!({ "accountIds": ["a1"] }));
    assert_eq!(codes(&ran), [(1, "connector.record_invalid".to_owned())]);
}

#[test]
fn the_second_of_two_steps_says_that_the_first_stands() {
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/customer"), made(json!({ "accountId": "a9" })))
        .on("POST", &format!("{DESK}/servicedesk/1/customer"), refused(403, "no"))
        .input([json!({ "email": "amina@example.com" })])
        .run("create", json!({ "table": "Customers", "serviceDesk": "1" }));
    let (_, error) = &ran.rejections()[0];
    assert_eq!((error.code.as_ref(), error.kind), ("jira.half_created", Kind::Forbidden));
    assert_eq!(error.details.as_ref().unwrap()["created"], json!({ "accountId": "a9" }));
}

#[test]
fn a_refused_record_is_rejected_with_jiras_own_code_and_the_others_go_on() {
    let input = ["IT-1", "IT-2", "IT-3", "IT-4"].map(|key| json!({ "issueKey": key, "body": "x", "public": true }));
    let at = |key: &str| format!("{DESK}/request/{key}/comment");
    let ran = bench("cloud")
        .on("POST", &at("IT-1"), refused(400, "Comment of Ms Doe is too long"))
        .on("POST", &at("IT-2"), refused(404, "no"))
        .on("POST", &at("IT-3"), refused(403, "no"))
        .on("POST", &at("IT-4"), made(json!({ "id": "1" })))
        .input(input.into_iter().chain([json!({ "issueKey": "IT-5", "body": "x" })]))
        .run("create", json!({ "table": "RequestComments" }));
    let expected = [(0, "jira.refused"), (1, "http.not_found"), (2, "http.forbidden"), (4, "connector.record_invalid")];
    assert_eq!(codes(&ran), expected.map(|(row, code)| (row, code.to_owned())));
    let (_, error) = &ran.rejections()[0];
    assert_eq!(error.details.as_ref().unwrap()["code"], "sd.error");
    assert!(!error.message.contains("Doe"));
    assert_eq!((ran.output()["rejected"].clone(), ran.acked()), (json!(4), 5));
}

#[test]
fn what_concerns_all_records_ends_the_work_and_what_was_done_is_acknowledged() {
    for (reply, kind, code) in [
        (Reply::status(401), Kind::Auth, "http.unauthorized"),
        (Reply::status(500), Kind::Transient, "http.server_error"),
        (Reply::bytes("<html>log in</html>"), Kind::Config, "http.html_answer"),
        (Reply::status(200), Kind::Transient, "http.answer_unexpected"),
    ] {
        let ran = bench("cloud")
            .on("POST", &format!("{DESK}/organization"), made(json!({ "id": "1" })))
            .otherwise(move |_| Some(reply.clone()))
            .input(["a", "b", "c"].map(|name| json!({ "name": name })))
            .run("create", json!({ "table": "Organizations" }));
        let error = ran.error();
        assert_eq!((error.kind, error.code.as_ref()), (kind, code), "{error}");
        assert_eq!((ran.acked(), ran.requests().len()), (1, 2), "{code}");
    }
}

#[test]
fn an_answer_that_breaks_off_behind_its_head_does_not_undo_what_was_created() {
    let ran = bench("cloud")
        .on("POST", &format!("{DESK}/organization"), made(json!({ "id": "1" })).breaking_off())
        .input([json!({ "name": "a" })])
        .run("create", json!({ "table": "Organizations" }));
    assert_eq!((ran.acked(), ran.output()["rejected"].clone()), (1, json!(0)));
}

#[test]
fn a_request_that_jira_wants_later_goes_out_again_and_too_long_a_wait_ends_the_work() {
    let path = format!("{DESK}/organization");
    let later = |seconds: &str| Reply::status(429).header("retry-after", seconds);
    let ran = bench("cloud")
        .on("POST", &path, later("0"))
        .on("POST", &path, later("0"))
        .on("POST", &path, made(json!({ "id": "1" })))
        .input([json!({ "name": "a" })])
        .run("create", json!({ "table": "Organizations" }));
    assert_eq!((ran.acked(), ran.counters()["throttled"], ran.output()["last"]["id"].clone()), (1, 2, json!("1")));
    let ran = bench("cloud")
        .on("POST", &path, later("600"))
        .input([json!({ "name": "a" })])
        .run("create", json!({ "table": "Organizations" }));
    assert_eq!((ran.error().kind, ran.error().retry_after.unwrap().as_secs(), ran.acked()), (Kind::Throttled, 600, 0));
    let stubborn = bench("cloud").otherwise(move |_| Some(later("0"))).input([json!({ "name": "a" })]);
    assert_eq!(stubborn.run("create", json!({ "table": "Organizations" })).requests().len(), 6);
}

#[test]
fn a_dry_run_checks_records_and_sends_nothing() {
    let ran = bench("cloud")
        .dry_run()
        .input([json!({ "name": "a" }), json!({ "nam": "b" })])
        .run("create", json!({ "table": "Organizations" }));
    assert_eq!((ran.calls().len(), codes(&ran).len(), ran.acked()), (0, 1, 2));
}

#[test]
fn parameters_of_another_table_are_refused_before_anything_is_sent() {
    for params in
        [json!({ "table": "RequestComments", "serviceDesk": 1 }), json!({ "table": "Customers", "requestType": 1 })]
    {
        let ran = bench("cloud").input([json!({})]).run("create", params);
        assert_eq!((ran.error().code.as_ref(), ran.acked()), ("connector.params_invalid", 0));
    }
}

#[test]
fn the_descriptor_says_what_records_look_like_and_how_many_may_work_at_once() {
    let descriptor = wherry_sdk::descriptor::describe::<JiraServiceManagement>();
    let create = &descriptor["activities"][1];
    assert_eq!(
        (&create["name"], &create["sideEffects"], &create["maxParallel"]),
        (&json!("create"), &json!("unsafe"), &json!(16))
    );
    let shapes = create["inputSchema"]["anyOf"].as_array().unwrap();
    assert_eq!(shapes.len(), 5);
    assert!(shapes[0]["properties"]["requestFieldValues"].is_object(), "{}", shapes[0]);
}
