//! The descriptor comes from the types.

use serde_json::json;
use wherry_sdk::descriptor::describe;

use crate::connector::Trial;

#[test]
fn documentation_defaults_and_limits_come_from_the_types() {
    let made = describe::<Trial>();
    assert_eq!(
        (&made["name"], &made["version"], &made["description"]),
        (&json!("trial"), &json!("2.1.0"), &json!("For tests."))
    );
    let count = &made["connection"]["configSchema"]["properties"]["count"];
    assert_eq!((&count["default"], &count["description"]), (&json!(3), &json!("How many.")));
    assert_eq!(made["connection"]["auth"], json!([{ "id": "none", "type": "none" }]));
    let read = &made["activities"][0];
    assert_eq!(read["title"], "Do a thing");
    assert_eq!(read["description"], "A first line that goes on.\n\nA second paragraph.");
    assert_eq!((&read["kind"], &read["sideEffects"]), (&json!("source"), &json!("read")));
    assert_eq!(read["configSchema"]["additionalProperties"], false);
    assert_eq!(read["configSchema"]["properties"]["what"]["default"], "");
    assert!(read["configSchema"]["title"].is_null(), "it is the activity's");
}

#[test]
fn an_activity_may_be_named_where_its_parameters_are_shared() {
    let made = describe::<Trial>();
    assert_eq!(
        (&made["activities"][1]["title"], &made["activities"][1]["description"]),
        (&json!("Do"), &json!("Something else."))
    );
    let write = &made["activities"][2];
    assert_eq!((&write["kind"], &write["maxParallel"]), (&json!("target"), &json!(4)));
    assert_eq!(write["inputSchema"]["properties"]["count"]["default"], 3);
}
