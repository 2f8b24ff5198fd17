//! Questions about what only the site knows.

use super::*;

#[test]
fn the_form_of_a_request_type_becomes_a_schema() {
    let field = |id: &str, required: bool, kind: &str| json!({ "fieldId": id, "name": "F", "required": required, "validValues": [], "jiraSchema": { "type": kind } });
    let form = json!({
        "requestTypeFields": [field("summary", true, "string"), field("customfield_1", false, "number")],
        "canRaiseOnBehalfOf": true, "canAddRequestParticipants": false,
    });
    let ran = bench("cloud")
        .on("GET", &format!("{DESK}/servicedesk/1/requesttype/25/field"), Reply::json(form))
        .discover("create", &json!({ "table": "Requests", "serviceDesk": 1, "requestType": "25" }));
    let schema = ran.output();
    assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["summary"]), &json!(false)));
    assert_eq!(schema["properties"]["customfield_1"], json!({ "type": "number", "title": "F" }));
    assert_eq!(schema["x-canRaiseOnBehalfOf"], true);
}

#[test]
fn desks_types_and_queues_are_listed() {
    let at = |path: &str| format!("{DESK}/{path}?limit=100&start=0");
    let desk = json!([{ "id": "1", "projectName": "IT help", "projectKey": "IT", "projectId": "1", "_links": {} }]);
    let types = || page(json!([{ "id": "10", "name": "Report", "description": "It broke", "icon": {} }]), true);
    let listed = json!([{ "id": "10", "name": "Report", "description": "It broke" }]);
    let ran = bench("cloud")
        .on("GET", &at("servicedesk"), page(desk, true))
        .on("GET", &at("servicedesk/1/requesttype"), types())
        .discover("create", &json!({ "table": "Requests" }));
    let expected = json!([{ "id": "1", "projectName": "IT help", "projectKey": "IT", "requestTypes": listed }]);
    assert_eq!(ran.output()["serviceDesks"], expected);
    let ran = bench("cloud")
        .on("GET", &at("servicedesk/1/requesttype"), types())
        .discover("create", &json!({ "table": "Requests", "serviceDesk": "1" }));
    assert_eq!(ran.output(), json!({ "requestTypes": listed }));
    let ran = bench("cloud")
        .on(
            "GET",
            &at("servicedesk/1/queue"),
            page(json!([{ "id": "10", "name": "All", "jql": "project = IT" }]), true),
        )
        .discover("query", &json!({ "table": "QueueRequests", "serviceDesk": "1" }));
    assert_eq!(ran.output()["queues"][0]["id"], "10");
    let ran = bench("cloud")
        .on("GET", "/rest/api/2/field", Reply::json(json!([{ "id": "summary", "name": "Summary", "custom": false }])))
        .discover("query", &json!({ "table": "Issues" }));
    assert_eq!(ran.output()["fields"][0]["name"], "Summary");
}

#[test]
fn a_question_that_cannot_be_used_says_how_to_ask() {
    for question in [json!({}), json!({ "table": "Customers" }), json!({ "table": "Requests", "requestType": "1" })] {
        let error = bench("cloud").discover("create", &question).error();
        assert_eq!((error.kind, error.code.as_ref()), (Kind::Config, "jira.question_invalid"), "{error}");
    }
}
