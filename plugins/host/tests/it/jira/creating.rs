//! Records of every kind, in the box and against the look-alike, which counts what was created.

use wherry_domain::failure::FailureClass;
use wherry_host::ErrorKind;

use super::*;
use crate::support::Finished;

async fn create(sandbox: &Sandbox, params: Value, records: &[Value]) -> Finished {
    sandbox.invoke("create", &params).input(&[records]).on(&jira()).await
}

fn requests(count: usize) -> Vec<Value> {
    let record = |n| json!({ "requestFieldValues": { "summary": format!("Request {n}"), "customfield_10020": format!("r-{n}") } });
    (0..count).map(record).collect()
}

fn handover() -> Value {
    json!({ "table": "Requests", "serviceDesk": 2, "requestType": 22 })
}

#[tokio::test]
async fn requests_are_raised_and_refused_ones_say_why() {
    for flavour in ["cloud", "data-center"] {
        let sandbox = Sandbox::start(flavour, 3);
        let mut records = requests(3);
        records.insert(1, json!({ "requestFieldValues": { "summary": "", "customfield_10011": { "id": "1" } } }));
        records.push(json!({ "requestTypeId": 99, "requestFieldValues": { "summary": "x" } }));
        let finished = create(&sandbox, handover(), &records).await;
        let output = finished.output();
        assert_eq!(
            (&output["records"], &output["rejected"], &output["last"]["issueKey"]),
            (&json!(5), &json!(2), &json!("HR-3"))
        );
        assert_eq!(finished.acks(), [1, 2, 3, 4, 5]);
        let rejected = finished.rejections();
        assert_eq!(rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 4]);
        let (_, error) = &rejected[0];
        assert_eq!((error.code.as_str(), error.kind), ("jira.refused", ErrorKind::Data));
        let details = error.details.as_deref().unwrap();
        assert!(details.contains("sd.sandbox.error.400") && details.contains("Summary is required"), "{details}");
        let ledger = sandbox.ledger();
        assert_eq!((&ledger["created"], &ledger["duplicates"]), (&json!(3), &json!({})), "{flavour}");
    }
}

#[tokio::test]
async fn comments_participants_customers_and_organisations_are_created_on_both_flavours() {
    for (flavour, people) in [("cloud", "accountIds"), ("data-center", "usernames")] {
        let sandbox = Sandbox::start(flavour, 5);
        let table = |table: &str| json!({ "table": table });
        let comment = |public| json!({ "issueKey": "IT-2", "body": "Handed over.", "public": public });
        let done = create(&sandbox, table("RequestComments"), &[comment(true), comment(false)]).await;
        assert_eq!((&done.output()["rejected"], &sandbox.ledger()["comments"]), (&json!(0), &json!(2)));
        let new = json!({ "email": "grace@example.com", "displayName": "Grace Hopper", "serviceDeskId": 2 });
        let done = create(&sandbox, table("Customers"), &[new.clone(), new]).await;
        assert_eq!(done.rejections().len(), 1, "an address has one account");
        let grace = json!({ "table": "Customers", "serviceDesk": 2, "searchTerm": "grace" });
        let found = sandbox.invoke("query", &grace).on(&jira()).await.records();
        assert_eq!((found.len(), &found[0]["displayName"]), (1, &json!("Grace Hopper")));
        let id = found[0].get("accountId").or(found[0].get("name")).unwrap();
        let participants = json!({ "issueKey": "IT-2", people: [id] });
        assert_eq!(create(&sandbox, table("RequestParticipants"), &[participants]).await.output()["rejected"], 0);
        let read = json!({ "table": "RequestParticipants", "issue": "IT-2" });
        assert_eq!(sandbox.invoke("query", &read).on(&jira()).await.records()[0]["displayName"], "Grace Hopper");
        let organisation = json!({ "name": "Calm Seas", "serviceDeskId": "2" });
        assert_eq!(create(&sandbox, table("Organizations"), &[organisation]).await.output()["rejected"], 0);
        let read = json!({ "table": "Organizations", "serviceDesk": 2 });
        let names = sandbox.invoke("query", &read).on(&jira()).await.records();
        assert_eq!(names.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["Acme Ltd", "Calm Seas"]);
    }
}

#[tokio::test]
async fn a_limit_is_waited_out_and_nothing_is_created_twice() {
    let sandbox = Sandbox::start("cloud", 3);
    sandbox.misbehave(
        "/rest/servicedeskapi/request",
        &json!({ "method": "POST", "fault": "throttle", "skip": 2, "times": 2, "retry_after_s": 1 }),
    );
    let finished = create(&sandbox, handover(), &requests(5)).await;
    assert_eq!((&finished.output()["records"], &finished.output()["rejected"]), (&json!(5), &json!(0)));
    assert_eq!(finished.logs()[0], "Jira asks for patience");
    let ledger = sandbox.ledger();
    assert_eq!((&ledger["created"], &ledger["duplicates"]), (&json!(5), &json!({})));
}

#[tokio::test]
async fn a_limit_of_minutes_is_left_to_the_next_run() {
    let sandbox = Sandbox::start("cloud", 3);
    let rule = json!({ "method": "POST", "fault": "throttle", "skip": 1, "retry_after_s": 600 });
    sandbox.misbehave("/rest/servicedeskapi/request", &rule);
    let finished = create(&sandbox, handover(), &requests(2)).await;
    assert_eq!((finished.code().as_str(), finished.acks()), ("http.throttled", vec![1]));
    assert_eq!((finished.fault().class(), finished.fault().retry_after_ms()), (FailureClass::Retry, Some(600_000)));
}

#[tokio::test]
async fn answers_that_are_none_end_the_work_before_the_next_record() {
    for (fault, code) in [
        ("login", "http.html_answer"),
        ("empty", "http.answer_unexpected"),
        ("half", "egress.response_incomplete"),
        ("error", "http.server_error"),
    ] {
        let sandbox = Sandbox::start("cloud", 1);
        let rule = json!({ "method": "POST", "fault": fault, "skip": 1 });
        sandbox.misbehave("/rest/servicedeskapi/request", &rule);
        let finished = create(&sandbox, handover(), &requests(3)).await;
        assert_eq!((finished.code().as_str(), finished.acks()), (code, vec![1]), "{fault}");
        assert_eq!(sandbox.ledger()["created"], 1, "{fault}");
    }
}
