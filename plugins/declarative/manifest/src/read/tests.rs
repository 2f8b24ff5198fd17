//! Faults of manifests, each with its place.

use serde_json::{Value, json};

use super::*;

/// A manifest with one of everything.
pub(crate) fn full() -> Value {
    json!({
        "manifest": 1, "name": "acme", "version": "1.2.3", "title": "Acme", "description": "d", "license": "MIT",
        "base_path": "/api/v2/", "auth": ["none", {"id": "key", "type": "api_key", "header": "x-key"}],
        "options": {"desk": {"type": "string", "required": true}},
        "headers": {"X-Desk": "{{ options.desk }}"},
        "test": {"request": {"path": "/me"}, "expect": "user.id", "report": {"user": "user.name"}},
        "activities": [
            {"name": "ticket.query", "kind": "source", "side_effects": "read",
             "parameters": {"size": {"type": "integer", "default": 50}, "state": {"type": "string"}},
             "request": {"path": "/desks/{{ options.desk }}/tickets", "query": {"state": "{{ params.state }}"}},
             "records": "items", "fields": {"id": "id", "owner": "owner.name"},
             "paging": {"page": {"parameter": "p", "size_parameter": "n", "size": "{{ params.size }}"}, "total_at": "total"},
             "expand": {"request": {"path": "/tickets/{{ record.id }}"}, "into": "more", "on_missing": "skip"}},
            {"name": "ticket.create", "kind": "target", "side_effects": "keyed", "id": "id",
             "request": {"path": "/tickets", "json": {"subject": "{{ record.subject }}"}, "idempotency_header": "X-Key"}},
            {"name": "ping", "kind": "execute", "side_effects": "unsafe",
             "request": {"method": "POST", "path": "/ping", "form": {"key": "{{ key }}"}}}
        ],
        "errors": {"message_at": "message", "rules": [
            {"status": "4xx", "at": "code", "equals": 7, "kind": "data", "code": "bad", "message": "m"}]},
        "rate_limit": {"remaining": "X-Left", "reset": "X-Reset", "reset_is": "time"},
        "limits": {"pages": 10, "answer_bytes": 100000}
    })
}

fn faults(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut manifest = full();
    change(&mut manifest);
    let faults = read(&manifest).err().unwrap_or_default();
    faults.into_iter().map(|fault| format!("{}: {}", fault.path.join("."), fault.message)).collect()
}

fn assert_fault(change: impl FnOnce(&mut Value), place: &str, words: &str) {
    let found = faults(change);
    let fits = found.iter().any(|fault| fault.starts_with(&format!("{place}: ")) && fault.contains(words));
    assert!(fits, "wanted {place}: {words}, found {found:#?}");
}

#[test]
fn a_manifest_with_one_of_everything_is_read() {
    let manifest = read(&full()).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.base_path.as_str()), ("acme", "/api/v2"));
    assert_eq!(manifest.activities.len(), 3);
    assert_eq!(manifest.errors.rules[0].code, "acme.bad");
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let found = faults(|manifest| {
        manifest["nam"] = json!(1);
        manifest["version"] = json!("1.0");
        manifest["activities"][0]["kind"] = json!("sauce");
        manifest["activities"][1]["request"]["json"]["x"] = json!("{{ params.gone }}");
        manifest["errors"]["rules"][0]["status"] = json!(99);
    });
    let places: Vec<&str> = found.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    let wanted = ["nam", "version", "activities.0.kind", "activities.1.request.json.x", "errors.rules.0.status"];
    assert!(wanted.iter().all(|place| places.contains(place)), "{found:#?}");
}

#[test]
fn what_leads_elsewhere_or_carries_credentials_is_refused() {
    let request = |manifest: &mut Value, key: &str, value: Value| manifest["activities"][1]["request"][key] = value;
    for path in ["/../admin", "/a/%2e%2E/b", "//other.example/x", "/a?b=c", "/a b", "/a\\b"] {
        let found = faults(|manifest| request(manifest, "path", json!(path)));
        assert!(found.iter().any(|fault| fault.starts_with("activities.1.request.path")), "{path}: {found:?}");
    }
    for header in ["Authorization", "cookie", "Host", "Proxy-Authorization", "Transfer-Encoding"] {
        let place = format!("activities.1.request.headers.{header}");
        assert_fault(|manifest| request(manifest, "headers", json!({ header: "x" })), &place, "not set by connectors");
    }
    assert_fault(
        |manifest| request(manifest, "headers", json!({"x-a": "b\r\nx-c: d"})),
        "activities.1.request.headers.x-a",
        "no line breaks",
    );
    assert_fault(|manifest| manifest["auth"][1]["key"] = json!("hunter2"), "auth.1", "no secrets");
    assert_fault(|manifest| manifest["base_path"] = json!("/.."), "base_path", "elsewhere");
    assert_fault(
        |manifest| request(manifest, "idempotency_header", json!("Cookie")),
        "activities.1.request.idempotency_header",
        "not set by connectors",
    );
}

#[test]
fn promises_that_the_requests_cannot_keep_are_refused() {
    let at = |manifest: &mut Value, at: usize, key: &str, value: Value| manifest["activities"][at][key] = value;
    let effects = "activities.1.side_effects";
    assert_fault(|manifest| at(manifest, 1, "side_effects", json!("read")), effects, "changes something");
    assert_fault(
        |manifest| drop(manifest["activities"][1]["request"].as_object_mut().unwrap().remove("idempotency_header")),
        effects,
        "keyed needs",
    );
    assert_fault(|manifest| at(manifest, 1, "parallel", json!(4)), "activities.1", "no stable keys");
    assert_fault(
        |manifest| manifest["activities"][0]["request"]["method"] = json!("DELETE"),
        "activities.0.side_effects",
        "changes something",
    );
    assert_fault(|manifest| manifest["test"]["request"]["method"] = json!("POST"), "test", "changes nothing");
    assert_fault(
        |manifest| at(manifest, 2, "paging", json!({"link_header": true})),
        "activities.2.paging",
        "has no paging",
    );
}

#[test]
fn gaps_without_a_value_are_found() {
    let path =
        |path: &'static str| move |manifest: &mut Value| manifest["activities"][0]["request"]["path"] = json!(path);
    let place = "activities.0.request.path";
    assert_fault(path("/{{ params.gone }}"), place, "no such parameter");
    assert_fault(path("/{{ options.gone }}"), place, "no such option");
    assert_fault(path("/{{ record.id }}"), place, "no record");
    assert_fault(path("/{{ params.size"), place, "does not end");
    assert_fault(
        |manifest| manifest["test"]["request"]["path"] = json!("/{{ run.id }}"),
        "test.request.path",
        "no run",
    );
}

#[test]
fn paging_names_one_style_and_sizes_that_are_numbers() {
    let paging = |paging: Value| move |manifest: &mut Value| manifest["activities"][0]["paging"] = paging;
    let place = "activities.0.paging";
    assert_fault(paging(json!({})), place, "one of page, offset");
    assert_fault(paging(json!({"link_header": true, "next": {"from": "n"}})), "activities.0.paging.next", "not both");
    assert_fault(paging(json!({"offset": {"parameter": "o"}})), "activities.0.paging.offset", "needs size");
    assert_fault(
        paging(json!({"page": {"parameter": "p", "size": "{{ params.state }}"}})),
        "activities.0.paging.page.size",
        "type integer",
    );
    assert_fault(
        paging(json!({"page": {"parameter": "p", "size": 0}})),
        "activities.0.paging.page.size",
        "whole number",
    );
}

#[test]
fn rules_that_would_refuse_every_good_answer_are_refused() {
    let rule = json!({"status": 200, "kind": "data", "code": "x", "message": "m"});
    assert_fault(|manifest| manifest["errors"]["rules"][0] = rule, "errors.rules.0", "means success");
    let words = json!({"status": 200, "contains": "no", "kind": "data", "code": "x", "message": "m"});
    assert_fault(
        |manifest| manifest["errors"]["rules"][0] = words.clone(),
        "errors.rules.0",
        "belongs to one activity",
    );
    assert_eq!(faults(|manifest| manifest["activities"][1]["errors"] = json!([words])), [""; 0]);
    assert_fault(
        |manifest| manifest["errors"]["rules"][0]["code"] = json!("Bad.Code"),
        "errors.rules.0.code",
        "lower-case",
    );
}

#[test]
fn hostile_documents_end_in_faults_and_not_in_trouble() {
    assert!(read(&json!(null)).is_err() && read(&json!([])).is_err() && read(&json!("x")).is_err());
    let many: Vec<Value> = (0..300).map(|_| json!({"name": "x"})).collect();
    let found = faults(|manifest| manifest["activities"] = many.into());
    assert!(found.len() <= 100 && found.iter().any(|fault| fault.contains("at most 256")), "{}", found.len());
    let long = json!("x".repeat(9_000));
    assert_fault(
        |manifest| manifest["activities"][0]["request"]["path"] = long,
        "activities.0.request.path",
        "at most",
    );
    let mut names = serde_json::Map::new();
    names.extend((0..200).map(|at| (format!("p{at}"), json!({"type": "string"}))));
    assert_fault(|manifest| manifest["options"] = names.into(), "options", "at most 100");
    assert_fault(|manifest| manifest["activities"][1]["name"] = json!("ticket.query"), "activities.1", "already");
}

#[test]
fn defaults_must_fit_their_own_parameter() {
    let size = |size: Value| move |manifest: &mut Value| manifest["activities"][0]["parameters"]["size"] = size;
    let place = "activities.0.parameters.size.default";
    assert_fault(size(json!({"type": "integer", "default": "many"})), place, "type integer");
    assert_fault(size(json!({"type": "integer", "default": 1, "required": true})), place, "needs no default");
    assert_fault(size(json!({"type": "int"})), "activities.0.parameters.size.type", "one of string");
    assert_fault(size(json!({})), "activities.0.parameters.size", "needs type");
}

#[test]
fn the_descriptor_follows_from_the_manifest() {
    let described = read(&full()).unwrap().descriptor(&json!({"name": "declarative"}));
    assert_eq!(described["connection"]["configSchema"]["required"], json!(["desk"]));
    assert_eq!(described["connection"]["auth"][1], json!({"id": "key", "type": "api_key", "header": "x-key"}));
    let kinds: Vec<&Value> = described["activities"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["source", "target", "source"]);
    assert_eq!(described["activities"][0]["outputSchema"]["properties"], json!({"id": {}, "owner": {}}));
    assert_eq!(described["engine"]["name"], "declarative");
}
