//! A connector made with the kit, the one that the guide explains, in the box.

use serde_json::{Value, json};
use wherry_host::Call;

use crate::support::components::contacts;
use crate::support::egress::ToServer;
use crate::support::server::{Reply, Server};
use crate::support::{Invocation, invoke};

fn at(server: &Server, activity: &str, params: &Value) -> Invocation {
    let connection = json!({"url": server.url(), "options": {"workspace": "w"}}).to_string();
    invoke(activity, params).egress(ToServer::new(&server.authority)).task(|task| task.connection = connection)
}

#[tokio::test]
async fn it_describes_what_its_types_say() {
    let descriptor = contacts().describe().await.unwrap();
    let query = descriptor.activity("contact.query").unwrap();
    assert_eq!(
        (query.title.as_str(), query.description.as_str()),
        ("Query contacts", "Reads contacts, oldest change first.")
    );
    assert_eq!(query.config_schema["properties"]["page_size"]["default"], 100);
    assert_eq!(query.config_schema["properties"]["state"]["default"], "active");
    assert_eq!(descriptor.connection.config_schema["required"], json!(["workspace"]));
    assert!(descriptor.activity("contact.upsert").unwrap().input_schema.is_some());
}

#[tokio::test]
async fn it_reads_pages_and_writes_records() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" if request.path.contains("after") => Reply::json(&json!({"contacts": [{"id": "2"}], "is_last": true})),
        "GET" => Reply::json(&json!({"contacts": [{"id": "1"}], "next": "t", "is_last": false})),
        _ if request.path.ends_with("/9") => {
            Reply::text(409, "application/json", r#"{"error": {"code": "contact_locked"}}"#)
        }
        _ => Reply::status_only(204),
    })
    .await;
    let connector = contacts();
    let read = at(&server, "contact.query", &json!({})).on(&connector).await;
    assert_eq!(read.records(), [json!({"id": "1"}), json!({"id": "2"})]);
    assert_eq!(read.batches().len(), 1, "small pages travel together");
    assert_eq!(read.logs(), ["contacts read"]);
    let records = [json!({"id": "9", "name": "locked"}), json!({"id": "a/b", "name": "free"})];
    let written = at(&server, "contact.upsert", &json!({})).input(&[&records]).on(&connector).await;
    assert_eq!(written.output(), json!({"records": 2, "rejected": 1}));
    assert_eq!(written.rejections()[0].1.code, "contacts.locked");
    assert_eq!(server.paths().last().unwrap(), "/workspaces/w/contacts/a%2Fb");
}

#[tokio::test]
async fn it_names_the_field_that_is_wrong() {
    let server = Server::start(|_| Reply::status(200)).await;
    let finished = at(&server, "contact.query", &json!({"page_size": "many"})).on(&contacts()).await;
    assert_eq!(finished.code(), "connector.params_invalid");
    assert!(finished.fault().to_string().contains("page_size: invalid type"), "{:?}", finished.fault());
    assert!(server.paths().is_empty());
}

#[tokio::test]
async fn it_answers_questions() {
    let server = Server::start(|_| Reply::json(&json!([{"name": "vip"}]))).await;
    let connector = contacts();
    assert!(connector.has_discovery());
    let ask = async |question: Value| {
        at(&server, "contact.upsert", &question).task(|task| task.call = Call::Discover).on(&connector).await
    };
    assert_eq!(ask(json!({"fields": true})).await.output(), json!([{"name": "vip"}]));
    assert_eq!(ask(json!({})).await.code(), "contacts.question_unknown");
    assert_eq!(server.paths(), ["/workspaces/w/fields"]);
}
