//! Declarative connectors in the box: the engine with a manifest in it is a component like any other.

use serde_json::{Value, json};
use wherry_host::Call;

use crate::support::components::{host, wasm};
use crate::support::egress::ToServer;
use crate::support::invoke;
use crate::support::server::{Reply, Server};

/// What stands before the manifest, and how much room it has, written out: packages that exist depend on it.
const MARK: &[u8] = b"<wherry:declarative:manifest:v1>";
const NAME: usize = 32;
const ROOM: usize = 256 << 10;

fn packed(document: &str) -> Vec<u8> {
    let mut component = wasm("declarative");
    let places: Vec<usize> =
        (0..component.len() - MARK.len()).filter(|at| component[*at..].starts_with(MARK)).collect();
    assert_eq!(places.len(), 1, "the place for the manifest is there once");
    let start = places[0] + MARK.len() + NAME;
    assert_eq!(&component[places[0] + MARK.len()..start].trim_ascii(), b"declarative 1.0.0");
    assert!(component[start..start + ROOM].iter().all(|byte| *byte == b' '), "the room is there as a whole");
    component[start..start + document.len()].copy_from_slice(document.as_bytes());
    component
}

fn manifest() -> Value {
    json!({
        "manifest": 1, "name": "acme", "version": "2.1.0", "title": "Acme", "base_path": "/api",
        "auth": ["basic"], "options": {"desk": {"type": "string", "default": "main"}},
        "test": {"request": {"path": "/me"}, "expect": "id", "report": {"user": "name"}},
        "activities": [
            {"name": "ticket.query", "kind": "source", "side_effects": "read",
             "parameters": {"state": {"type": "string", "default": "open"}},
             "request": {"path": "/desks/{{ options.desk }}/tickets", "query": {"state": "{{ params.state }}"}},
             "records": "items", "fields": {"number": "id", "who": "owner.name"},
             "paging": {"token": {"parameter": "after", "from": "next"}}},
            {"name": "ticket.create", "kind": "target", "side_effects": "keyed", "id": "id",
             "request": {"path": "/tickets", "json": {"subject": "{{ record.subject }}"}, "idempotency_header": "x-key"}},
        ],
        "errors": {"rules": [{"status": 409, "kind": "data", "code": "taken", "message": "it is there"}]},
    })
}

fn document(manifest: &Value) -> String {
    json!({"engine": {"name": "declarative 1.0.0"}, "manifest": manifest}).to_string()
}

#[tokio::test]
async fn a_packed_manifest_is_a_connector_of_its_own() {
    let connector = host().load_wasm(&packed(&document(&manifest()))).unwrap();
    let descriptor = connector.describe().await.unwrap();
    assert_eq!((descriptor.name.as_str(), descriptor.version.to_string().as_str()), ("acme", "2.1.0"));
    let query = descriptor.activity("ticket.query").unwrap();
    assert_eq!(query.config_schema["properties"]["state"]["default"], "open");
    assert!(!connector.has_discovery());

    let server = Server::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/me") => Reply::json(&json!({"id": 7, "name": "ada"})),
        ("GET", path) if path.contains("after=t") => Reply::json(&json!({"items": [{"id": 2}]})),
        ("GET", _) => Reply::json(&json!({"items": [{"id": 1, "owner": {"name": "x"}}], "next": "t"})),
        _ if request.json()["subject"] == "twice" => Reply::text(409, "application/json", "{}"),
        _ => Reply::json(&json!({"id": "T-1"})),
    })
    .await;
    let connection = json!({"url": server.url(), "options": {"desk": "a b"}}).to_string();
    let at = |activity: &str, params: &Value| {
        let connection = connection.clone();
        invoke(activity, params).egress(ToServer::new(&server.authority)).task(|task| task.connection = connection)
    };
    let tested = at("", &json!({})).task(|task| task.call = Call::Test).on(&connector).await;
    assert_eq!(tested.output(), json!({"status": 200, "user": "ada"}));
    let read = at("ticket.query", &json!({"state": "new"})).on(&connector).await;
    assert_eq!(read.records(), [json!({"number": 1, "who": "x"}), json!({"number": 2, "who": null})]);
    let records = [json!({"subject": "once"}), json!({"subject": "twice"})];
    let written = at("ticket.create", &json!({})).input(&[&records]).on(&connector).await;
    assert_eq!(written.output(), json!({"records": 2, "rejected": 1, "dry_run": false, "ids": ["T-1"]}));
    assert_eq!(written.rejections()[0].1.code, "acme.taken");
    let paths = server.paths();
    assert_eq!(&paths[1..3], ["/api/desks/a%20b/tickets?state=new", "/api/desks/a%20b/tickets?after=t&state=new"]);
}

#[tokio::test]
async fn an_engine_without_a_manifest_or_with_a_broken_one_is_no_connector() {
    let run = async |component: &[u8]| {
        let connector = host().load_wasm(component).unwrap();
        assert!(connector.describe().await.is_err(), "nobody can publish it");
        invoke("q", &json!({})).on(&connector).await.code()
    };
    assert_eq!(run(&wasm("declarative")).await, "declarative.not_packed");
    assert_eq!(run(&packed("{")).await, "declarative.manifest_invalid");
    let mut bad = manifest();
    bad["activities"][1]["request"]["headers"] = json!({"authorization": "Bearer x"});
    assert_eq!(run(&packed(&document(&bad))).await, "declarative.manifest_invalid");
}
