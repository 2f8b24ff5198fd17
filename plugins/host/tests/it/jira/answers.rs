//! Every way to be refused, the test of a connection, and questions.

use wherry_host::{Call, ConnectorFault, ErrorKind};

use super::*;
use crate::support::egress::ToServer;
use crate::support::{Finished, Invocation, invoke};

/// The code, and what kind of trouble the connector says it is.
fn trouble(finished: &Finished) -> (String, ErrorKind) {
    let ConnectorFault::Reported(error) = finished.fault() else { panic!("{finished:?}") };
    (finished.code(), error.kind)
}

fn desks() -> Value {
    json!({ "table": "ServiceDesks" })
}

fn test(invocation: Invocation) -> Invocation {
    invocation.task(|task| {
        (task.call, task.activity, task.has_output) = (Call::Test, String::new(), false);
    })
}

#[tokio::test]
async fn each_refusal_has_its_code_and_kind() {
    let sandbox = Sandbox::start("cloud", 5);
    let connector = jira();
    let agent = async |params: Value| trouble(&sandbox.invoke("query", &params).on(&connector).await);
    let wrong = sandbox.invoke_as("wrong", "query", &desks()).on(&connector).await;
    assert_eq!(trouble(&wrong), ("http.unauthorized".to_owned(), ErrorKind::Auth));
    let customer = sandbox.invoke_as_customer("query", &json!({ "table": "Organizations" })).on(&connector).await;
    assert_eq!(trouble(&customer), ("http.forbidden".to_owned(), ErrorKind::Forbidden));
    let forbidden = agent(json!({ "table": "Queues", "serviceDesk": 3 })).await;
    assert_eq!(forbidden, ("http.forbidden".to_owned(), ErrorKind::Forbidden));
    let missing = agent(json!({ "table": "Queues", "serviceDesk": 99 })).await;
    assert_eq!(missing, ("http.not_found".to_owned(), ErrorKind::NotFound));
    let jql = agent(json!({ "table": "Issues", "jql": "nonsense ~~ 5" })).await;
    assert_eq!(jql, ("jira.query_refused".to_owned(), ErrorKind::Config));
    for (fault, code, kind) in [
        ("throttle", "http.throttled", ErrorKind::Throttled),
        ("unavailable", "http.server_error", ErrorKind::Transient),
        ("error", "http.server_error", ErrorKind::Transient),
        ("login", "http.html_answer", ErrorKind::Config),
        ("empty", "http.empty_answer", ErrorKind::Data),
    ] {
        sandbox.misbehave("/rest/servicedeskapi/servicedesk", &json!({ "fault": fault, "retry_after_s": 90 }));
        assert_eq!(agent(desks()).await, (code.to_owned(), kind), "{fault}");
    }
    sandbox.misbehave("/rest/servicedeskapi/servicedesk", &json!({ "fault": "half" }));
    let half = sandbox.invoke("query", &desks()).on(&connector).await;
    assert_eq!(half.code(), "egress.response_incomplete");
}

#[tokio::test]
async fn a_wrong_login_on_data_center_speaks_of_the_captcha() {
    let sandbox = Sandbox::start("data-center", 1);
    let wrong = sandbox.invoke_as("wrong", "query", &desks()).on(&jira()).await;
    assert_eq!(trouble(&wrong), ("jira.login_denied".to_owned(), ErrorKind::Auth));
}

#[tokio::test]
async fn a_short_limit_is_waited_out_and_a_longer_one_is_left_to_the_next_attempt() {
    let sandbox = Sandbox::start("cloud", 5);
    let connector = jira();
    for fault in ["throttle", "unavailable"] {
        let rule = json!({ "fault": fault, "times": 2, "retry_after_s": 1 });
        sandbox.misbehave("/rest/servicedeskapi/servicedesk", &rule);
        assert_eq!(sandbox.invoke("query", &desks()).on(&connector).await.records().len(), 2, "{fault}");
    }
    let rule = json!({ "fault": "throttle", "times": 1, "retry_after_s": 90 });
    sandbox.misbehave("/rest/servicedeskapi/servicedesk", &rule);
    let first = sandbox.invoke("query", &desks()).on(&connector).await;
    assert_eq!(first.fault().retry_after_ms(), Some(90_000));
    assert_eq!(sandbox.invoke("query", &desks()).on(&connector).await.records().len(), 2);
}

#[tokio::test]
async fn a_test_of_the_connection_tells_network_authentication_and_permission_apart() {
    let connector = jira();
    for (flavour, version) in [("cloud", "1001.0.0-SNAPSHOT"), ("data-center", "9.12.0")] {
        let sandbox = Sandbox::start(flavour, 1);
        let good = test(sandbox.invoke("", &Value::Null)).on(&connector).await.output();
        let expected = json!({ "flavour": flavour, "version": version, "account": "Ada Lovelace",
                               "serviceDesks": ["IT help", "People and workplace"] });
        assert_eq!(good, expected);
        let wrong = test(sandbox.invoke_as("wrong", "", &Value::Null)).on(&connector).await;
        assert_eq!(trouble(&wrong).1, ErrorKind::Auth, "{flavour}");
        sandbox.misbehave("/rest/api/2/serverInfo", &json!({ "fault": "login" }));
        let page = test(sandbox.invoke("", &Value::Null)).on(&connector).await;
        assert_eq!(trouble(&page), ("http.html_answer".to_owned(), ErrorKind::Config));
    }
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let connection = json!({ "url": format!("http://{nobody}") }).to_string();
    let closed = invoke("", &Value::Null).egress(ToServer::new(&nobody)).task(|task| task.connection = connection);
    assert_eq!(test(closed).on(&connector).await.code(), "egress.connect_refused");
}

#[tokio::test]
async fn questions_about_forms_desks_and_queues_are_answered() {
    let sandbox = Sandbox::start("cloud", 1);
    let connector = jira();
    assert!(connector.has_discovery());
    let ask = async |question: Value| {
        sandbox.invoke("create", &question).task(|task| task.call = Call::Discover).on(&connector).await
    };
    let schema = ask(json!({ "table": "Requests", "serviceDesk": "1", "requestType": "10" })).await.output();
    assert_eq!(schema["required"], json!(["summary", "customfield_10011"]));
    let impact = &schema["properties"]["customfield_10011"]["properties"]["id"]["oneOf"];
    assert_eq!(impact[0], json!({ "const": "10101", "title": "Extensive / Widespread" }));
    let hardware = ask(json!({ "table": "Requests", "serviceDesk": 1, "requestType": 12 })).await.output();
    let model = &hardware["properties"]["customfield_10014"]["oneOf"][0]["properties"];
    assert_eq!(model["child"]["properties"]["id"]["oneOf"][1]["title"], "16 inch");
    let desks = ask(json!({ "table": "Requests" })).await.output();
    assert_eq!(desks["serviceDesks"][1]["requestTypes"].as_array().unwrap().len(), 4);
    let queues = ask(json!({ "table": "QueueRequests", "serviceDesk": 1 })).await.output();
    assert_eq!(queues["queues"][1]["name"], "Unassigned");
    assert_eq!(ask(json!({ "table": "Nothing" })).await.code(), "jira.question_invalid");
    assert_eq!(ask(json!({ "table": "Requests", "serviceDesk": 3 })).await.code(), "http.forbidden");
}
