//! Projects that cannot be deployed: every fault at once, each in its place.

use anyhow::Result;
use serde_json::{Value, json};
use wherry_tests::world::{Connection, Operation, Project, World, desk::copy};

use super::state;

#[tokio::test]
async fn every_fault_of_a_project_is_found_at_once_and_nothing_is_deployed() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let before = state(&world).await?;
    let read = || Operation::from("desk", "query", json!({ "path": "/" }));
    let project = Project::named("broken")
        .variable("size", 1)
        .connection("desk", Connection::to("https://desk.example"))
        .connection("foreign", Connection::to("https://x.example").of("htp"))
        .connection("nowhere", Connection::to("file:///etc/passwd"))
        .connection("inside", Connection::to("https://user:password@x.example"))
        .operation("no-connection", Operation::from("dsk", "query", json!({})))
        .operation("no-activity", Operation::from("desk", "qury", json!({})))
        .operation("wrong-way", Operation::from("desk", "send", json!({})))
        .operation("no-variable", Operation::from("desk", "query", json!({ "path": "/{{ vars.siz }}" })))
        .operation("no-operation", read().set("on_success", "nothing"))
        .operation("one", read().set("on_success", "two"))
        .operation("two", read().set("on_failure", "one"))
        .operation("eager", read().set("retry", json!({ "attempts": 101 })))
        .operation("patient", read().set("timeout", "25h"))
        .operation("harmless", read().to("desk", "execute", json!({})).class("read"));
    let refused = world.try_to_deploy(&project).await?.refused(422, "project.invalid")?;
    let faults = refused["errors"].as_array().cloned().unwrap_or_default();
    let found = |path: &[&str], code: &str| {
        faults.iter().any(|fault| fault["code"] == code && fault["path"] == json!(path) && fault["message"].is_string())
    };
    for (path, code) in [
        (&["connections", "foreign", "connector"][..], "project.connector_unknown"),
        (&["connections", "nowhere", "url"], "project.url_invalid"),
        (&["connections", "inside", "url"], "project.url_invalid"),
        (&["operations", "no-connection", "source", "connection"], "project.connection_unknown"),
        (&["operations", "no-activity", "source", "activity"], "project.activity_unknown"),
        (&["operations", "wrong-way", "source", "activity"], "project.activity_unknown"),
        (&["operations", "no-variable", "source", "with", "path"], "project.variable_unknown"),
        (&["operations", "no-operation", "on_success"], "project.operation_unknown"),
        (&["operations", "one"], "project.operation_cycle"),
        (&["operations", "eager", "retry", "attempts"], "project.out_of_range"),
        (&["operations", "patient", "timeout"], "project.out_of_range"),
        (&["operations", "harmless", "target", "activity"], "project.activity_unknown"),
    ] {
        assert!(found(path, code), "no {code} at {path:?} in {faults:#?}");
    }
    let suggested = |name: &str| faults.iter().any(|fault| fault["suggestion"] == name);
    assert!(["http", "desk", "query", "vars.size"].into_iter().all(suggested), "{faults:#?}");
    assert_eq!(state(&world).await?, before);
    world.close().await
}

#[tokio::test]
async fn a_project_of_another_shape_or_with_a_claim_too_many_is_refused() -> Result<()> {
    let world = World::start().await?.with_desk().await?;
    let before = state(&world).await?;
    let good = world.desk().json().clone();
    for (pointer, value) in [
        ("/name", json!("a/b")),
        ("/colour", json!("red")),
        ("/connections/a:b", json!({ "connector": "http", "url": "https://x" })),
        ("/connections/desk/colour", json!("red")),
        ("/connections/desk/auth", json!({ "type": "basic", "username": "u", "password": "clear text" })),
        ("/operations/read/timeout", json!("soon")),
        ("/operations/read/source/with", json!([])),
    ] {
        let mut project = good.clone();
        put(&mut project, pointer, value);
        let path = "/v1/environments/prod/deployments";
        let refused = world.api.post(path, &json!({ "project": project })).await?.refused(422, "request.invalid")?;
        assert!(!refused["detail"].to_string().contains("clear text"), "{refused}");
    }
    // Sending with a key is keyed; to say that the copy only reads is to promise too much.
    let widened = world.desk().operation("copy", copy("send.keyed").class("read"));
    let refused = world.try_to_deploy(&widened).await?.refused(422, "project.invalid")?;
    assert_eq!(refused["errors"][0]["code"], "project.side_effects_widened", "{refused}");
    assert_eq!(state(&world).await?, before);
    world.close().await
}

/// Puts a value at a place whose last step may be new.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
}
