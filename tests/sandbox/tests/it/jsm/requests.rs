//! Requests: forms, validation, creation, and what a caller can recognise its own by.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_form_tells_which_fields_are_required_and_which_values_they_take() {
    let site = Site::cloud(1);
    let form = site.get(&format!("{DESK}/servicedesk/1/requesttype/10/field")).await.ok();
    let fields = form["requestTypeFields"].as_array().unwrap();
    let required: Vec<_> =
        fields.iter().filter(|field| field["required"] == true).map(|field| &field["fieldId"]).collect();
    assert_eq!(required, ["summary", "customfield_10011"]);
    let impact = fields.iter().find(|field| field["fieldId"] == "customfield_10011").unwrap();
    assert_eq!(impact["validValues"][1], json!({"value": "10102", "label": "Significant / Large", "children": []}));
    assert_eq!(impact["jiraSchema"]["customId"], 10_011);
    let hardware = site.get(&format!("{DESK}/servicedesk/1/requesttype/12?expand=field")).await.ok();
    let model = &hardware["fields"]["requestTypeFields"][2];
    assert_eq!(model["validValues"][0]["children"][0]["label"], "14 inch");
}

#[tokio::test]
async fn a_request_is_created_and_found_in_both_interfaces() {
    let site = Site::cloud(250);
    let wanted = json!({
        "serviceDeskId": "2",
        "requestTypeId": "22",
        "requestFieldValues": {
            "summary": "Badge does not open the lab",
            "description": "Since <today>",
            "priority": {"name": "High"},
            "labels": ["wherry"],
            "customfield_10020": "IT-6",
        },
        "requestParticipants": ["5b10a2844c20165700ed0004"],
        "raiseOnBehalfOf": "5b10a2844c20165700ed0003",
    });
    let answer = site.post(&format!("{DESK}/request"), wanted).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let created = answer.json();
    assert_eq!((&created["issueKey"], &created["issueId"]), (&"HR-1".into(), &"10250".into()));
    assert_eq!(created["reporter"]["displayName"], "Chiara Conti");
    assert_eq!(created["currentStatus"]["statusCategory"], "NEW");
    let values = created["requestFieldValues"].as_array().unwrap();
    assert_eq!(values[1]["renderedValue"]["html"], "<p>Since &lt;today&gt;</p>");
    let issue = site.get("/rest/api/3/issue/HR-1").await.ok();
    assert_eq!(issue["fields"]["customfield_10020"], "IT-6");
    assert_eq!(issue["fields"]["priority"]["name"], "High");
    assert_eq!(issue["fields"]["customfield_10001"]["requestType"]["name"], "Handed over from another desk");
    for jql in ["labels = wherry", "cf[10020] ~ \"IT-6\"", "'External reference' ~ 'IT-6'", "key = HR-1"] {
        let found = site.post("/rest/api/3/search/jql", json!({"jql": jql})).await.ok();
        assert_eq!(found["issues"][0]["key"], "HR-1", "{jql}");
    }
    let participants = site.get(&format!("{DESK}/request/HR-1/participant")).await.ok();
    assert_eq!(texts(&participants["values"], "displayName"), ["Dmitri Petrov"]);
}

#[tokio::test]
async fn every_fault_of_a_form_is_told_in_the_words_of_each_interface() {
    let site = Site::cloud(1);
    let values = json!({"customfield_10011": {"id": "1"}, "labels": ["two words"], "colour": "red"});
    let wanted = json!({"serviceDeskId": "1", "requestTypeId": "10", "requestFieldValues": values});
    let answer = site.post(&format!("{DESK}/request"), wanted).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let fault = answer.json();
    let message = fault["errorMessage"].as_str().unwrap();
    for part in ["summary: Summary is required", "customfield_10011: Option", "labels: ", "colour: "] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(fault["i18nErrorMessage"]["parameters"], json!(["colour", "customfield_10011", "labels", "summary"]));
    let issue =
        json!({"fields": {"project": {"key": "IT"}, "issuetype": {"name": "Incident"}, "summary": "", "colour": 1}});
    let answer = site.post("/rest/api/3/issue", issue).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let errors = &answer.json()["errors"];
    assert_eq!(errors["summary"], "You must specify a summary of the issue.");
    assert!(errors["colour"].as_str().unwrap().contains("cannot be set"));
    assert_eq!(site.ledger().await["changes"], 0);
}

#[tokio::test]
async fn bodies_that_are_not_as_described_are_refused() {
    let site = Site::cloud(1);
    let path = format!("{DESK}/request");
    for wrong in [
        json!({"serviceDeskId": 1, "requestTypeId": "10"}),
        json!({"serviceDeskId": "1"}),
        json!({"serviceDeskId": "1", "requestTypeId": "20", "requestFieldValues": {"summary": "x"}}),
        json!({"serviceDeskId": "1", "requestTypeId": "13", "requestFieldValues": {"summary": "x"}, "more": 1}),
        json!([]),
    ] {
        let answer = site.post(&path, wrong.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let plain = site.send("POST", &path, None, &[("content-type", "text/plain")]).await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let behind_closed_doors =
        json!({"serviceDeskId": "3", "requestTypeId": "30", "requestFieldValues": {"summary": "x"}});
    assert_eq!(site.post(&path, behind_closed_doors).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn creating_twice_makes_two_and_the_ledger_names_what_they_share() {
    let site = Site::cloud(1);
    let wanted = json!({
        "serviceDeskId": "2",
        "requestTypeId": "22",
        "requestFieldValues": {"summary": "x", "customfield_10020": "IT-1"},
    });
    for _ in 0..2 {
        site.post(&format!("{DESK}/request"), wanted.clone()).await.ok();
    }
    let ledger = site.ledger().await;
    assert_eq!((&ledger["created"], &ledger["duplicates"]), (&2.into(), &json!({"IT-1": 2})));
    assert_eq!(texts(&ledger["entries"], "issue"), ["HR-1", "HR-2"]);
    let summary = site.get("/_sandbox/ledger?summary=true").await.ok();
    assert_eq!((&summary["created"], &summary["entries"]), (&2.into(), &json!([])));
}

#[tokio::test]
async fn who_sees_which_requests_depends_on_why() {
    let site = Site::cloud(100);
    let count = async |query: &str| site.get(&format!("{DESK}/request?limit=100&{query}")).await.ok()["size"].clone();
    assert_eq!(count("").await, 100, "by organisation");
    assert_eq!(count("requestOwnership=OWNED_REQUESTS").await, 0);
    assert_eq!(count("requestOwnership=ORGANIZATION&organizationId=1").await, 50);
    assert_eq!(count("requestOwnership=APPROVER").await, 20);
    assert_eq!(count("requestOwnership=OWNED_REQUESTS&requestOwnership=ALL_ORGANIZATIONS").await, 100);
    assert_eq!(count("serviceDeskId=1&requestTypeId=12").await, 20);
    assert_eq!(count("searchTerm=vpn").await, 13);
    assert_eq!(count("requestStatus=CLOSED_REQUESTS").await, 40);
}

#[tokio::test]
async fn a_request_shows_as_much_as_is_asked_for() {
    let site = Site::cloud(10);
    let bare = site.get(&format!("{DESK}/request/IT-1")).await.ok();
    let full = site
        .get(&format!(
            "{DESK}/request/10000?expand=participant,status,sla,requestType,serviceDesk,attachment,action,comment"
        ))
        .await
        .ok();
    for (name, size) in [("participants", 0), ("status", 1), ("sla", 2), ("attachments", 0), ("comments", 1)] {
        assert!(bare.get(name).is_none());
        assert_eq!(full[name]["size"], size, "{name}");
    }
    assert_eq!(full["serviceDesk"]["projectKey"], "IT");
    assert_eq!(full["requestType"]["name"], "Report a problem");
    assert_eq!(full["requestFieldValues"][3]["value"]["value"], "Extensive / Widespread");
    assert_eq!(full["sla"]["values"][0]["ongoingCycle"]["breached"], true);
}
