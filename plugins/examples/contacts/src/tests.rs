//! The connector on the bench: no network, no WebAssembly.

use wherry_sdk::testing::{Bench, Reply};

use super::*;

fn bench() -> Bench<Contacts> {
    Bench::new().options(json!({ "workspace": "north sea" }))
}

#[test]
fn pages_are_followed_until_the_last() {
    let page = |id: u64, last: bool| json!({ "contacts": [{ "id": id }], "next": format!("t{id}"), "is_last": last });
    let at = "/workspaces/north%20sea/contacts";
    let ran = bench()
        .on("GET", &format!("{at}?limit=2&state=active"), Reply::json(page(1, false)))
        .on("GET", &format!("{at}?after=t1&limit=2&state=active"), Reply::json(page(2, true)))
        .run("contact.query", json!({ "page_size": 2 }));
    assert_eq!(ran.records(), [json!({ "id": 1 }), json!({ "id": 2 })]);
    assert_eq!(ran.output(), json!({ "records": 2, "pages": 2, "complete": true }));
    assert_eq!(ran.logs()[0].2, json!({ "records": 2, "pages": 2 }));
}

#[test]
fn a_locked_contact_is_rejected_and_the_others_go_on() {
    let locked = Reply::json(json!({ "error": { "code": "contact_locked" } })).with_status(409);
    let ran = bench()
        .on("PUT", "/workspaces/north%20sea/contacts/1", locked)
        .on("PUT", "/workspaces/north%20sea/contacts/2", Reply::status(204))
        .input([json!({ "id": "1", "name": "A" }), json!({ "id": "2", "name": "B" }), json!({ "name": "no id" })])
        .run("contact.upsert", json!({}));
    let rejected: Vec<_> = ran.rejections().into_iter().map(|(row, error)| (row, error.code.into_owned())).collect();
    assert_eq!(rejected, [(0, "contacts.locked".to_owned()), (2, "connector.record_invalid".to_owned())]);
    assert_eq!((ran.acked(), ran.requests()[1].headers["idempotency-key"].as_str()), (3, "key-1"));
}

#[test]
fn the_fields_of_a_workspace_can_be_asked_for() {
    let fields = json!([{ "name": "vip", "type": "boolean" }]);
    let ran = bench()
        .on("GET", "/workspaces/north%20sea/fields", Reply::json(fields.clone()))
        .discover("contact.upsert", &json!({ "fields": true }));
    assert_eq!(ran.output(), fields);
}
