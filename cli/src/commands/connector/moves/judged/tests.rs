//! What a lock may say, field by field.

use serde_json::{Value, json};

use super::*;

fn digest(of: &str) -> String {
    wherry_trust::keys::sha256(of.as_bytes()).to_string()
}

fn locked(name: &str, version: &str, approved: &[&str]) -> Value {
    let (release, wasm) = (digest(&format!("release {name} {version}")), digest(&format!("{name} {version}")));
    json!({ "version": version, "release": release, "wasm": wasm, "length": 7, "approved": approved })
}

/// What was signed here last: `http` 1.0.0 and `crm` 2.1.0 in `dev`.
fn last() -> Value {
    let connectors =
        json!({ "http": locked("http", "1.0.0", &["egress a.example"]), "crm": locked("crm", "2.1.0", &[]) });
    json!({ "v": 1, "environment": "dev", "version": 4, "mode": "held", "index": 9, "connectors": connectors })
}

/// What is to be signed: the same with `http` 1.1.0.
fn next() -> Value {
    let mut next = last();
    next["version"] = json!(5);
    next["connectors"]["http"] = locked("http", "1.1.0", &["egress a.example", "egress b.example"]);
    next
}

fn asked(action: Action, from: &str, to: &str) -> Asked {
    Asked {
        environment: "dev".parse().unwrap(),
        connector: "http".parse().unwrap(),
        action,
        version: None,
        from: Some(from.parse().unwrap()),
        to: to.parse().unwrap(),
        added: ["egress b.example".to_owned()].into(),
    }
}

fn upgrade() -> Asked {
    asked(Action::Upgrade, "1.0.0", "1.1.0")
}

fn lock(value: &Value) -> Lock {
    serde_json::from_value(value.clone()).unwrap()
}

fn with(base: Value, changes: &[(&str, Value)]) -> Value {
    let mut base = base;
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        base.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    base
}

fn judged(asked: &Asked, next: &Value, last: &Value) -> Result<Judged, String> {
    judge(asked, &lock(next), Some(&lock(last)))
}

#[test]
fn an_honest_lock_leaves_nothing_to_ask_for() {
    let judged = judged(&upgrade(), &next(), &last()).unwrap();
    assert_eq!((judged.since, judged.unasked), (Vec::new(), Vec::new()));
    let says = judged.says.join("\n");
    assert!(says.contains("lock 5 of dev: held, only operators move it"), "{says}");
    assert!(says.contains("connector http 1.1.0, sha256:") && says.contains("it may have egress a.example"), "{says}");
}

#[test]
fn a_lock_for_something_else_is_refused_field_by_field() {
    let http = |version: &str, approved: &[&str]| locked("http", version, approved);
    let cases = [
        ("/environment", json!("prod"), "its lock is for environment prod"),
        ("/connectors/http/version", json!("1.2.0"), "its lock has http 1.2.0"),
        ("/connectors/http/pinned", json!(true), "its lock pins http"),
        ("/connectors/http/approved", json!(["egress evil.example"]), "its lock lets http have egress evil.example"),
        ("/connectors", json!({ "crm": locked("crm", "2.1.0", &[]) }), "its lock has no connector http"),
        ("/trials", json!({ "http": http("1.3.0", &[]) }), "its lock tries 1.3.0 of http"),
    ];
    for (path, value, wanted) in cases {
        let refused = judged(&upgrade(), &with(next(), &[(path, value)]), &last()).unwrap_err();
        assert_eq!(refused, wanted, "{path}");
    }
    let named = Asked { version: Some("1.2.0".parse().unwrap()), ..upgrade() };
    assert!(judged(&named, &next(), &last()).is_err(), "another version than was named");
    let down = asked(Action::Upgrade, "1.1.0", "1.0.0");
    assert!(judged(&down, &with(last(), &[("/version", json!(5))]), &last()).is_err(), "down");
    let tried = json!({ "http": http("1.1.0", &[]) });
    let other = with(next(), &[("/connectors/http/wasm", json!(digest("other")))]);
    let refused = judged(&upgrade(), &other, &with(last(), &[("/trials", tried)])).unwrap_err();
    assert_eq!(refused, "its lock has other bytes as http 1.1.0");
}

#[test]
fn what_nobody_asked_for_is_told_field_by_field() {
    let crm = |version: &str| locked("crm", version, &[]);
    let cases: [(&str, Value, &str); 11] = [
        ("/mode", json!("automatic"), "the environment is held no more: the controller moves its connectors"),
        ("/version", json!(4), "the number of the lock goes from 4 to 4"),
        ("/version", json!(2_000_000), "the number of the lock goes from 4 to 2000000"),
        ("/index", json!(8), "the number of the index goes from 9 to 8"),
        ("/connectors/crm", crm("2.0.0"), "connector crm goes from 2.1.0 to 2.0.0"),
        ("/connectors/crm", crm("2.2.0"), "connector crm goes from 2.1.0 to 2.2.0"),
        ("/connectors/crm/wasm", json!(digest("other")), "connector crm 2.1.0 is other bytes, "),
        ("/connectors/crm/pinned", json!(true), "connector crm is pinned"),
        ("/connectors/crm/approved", json!(["egress evil.example"]), "connector crm may have egress evil.example"),
        ("/connectors/spy", locked("spy", "1.0.0", &["egress evil.example"]), "new: connector spy 1.0.0, sha256:"),
        ("/trials", json!({ "crm": crm("2.2.0") }), "new: trial of connector crm 2.2.0, sha256:"),
    ];
    for (path, value, wanted) in cases {
        let judged = judged(&upgrade(), &with(next(), &[(path, value)]), &last()).unwrap();
        assert!(judged.unasked.len() == 1 && judged.unasked[0].starts_with(wanted), "{path}: {judged:?}");
    }
    let mut gone = next();
    gone["connectors"].as_object_mut().unwrap().remove("crm");
    assert_eq!(judged(&upgrade(), &gone, &last()).unwrap().unasked, ["gone: connector crm 2.1.0"]);
}

#[test]
fn what_the_controller_may_do_by_itself_is_told_and_not_asked_for() {
    let automatic = with(last(), &[("/mode", json!("automatic"))]);
    for (path, value) in [
        ("/connectors/crm", locked("crm", "2.2.0", &[])),
        ("/connectors/new", locked("new", "1.0.0", &["egress c.example"])),
        ("/trials", json!({ "crm": locked("crm", "2.2.0", &[]) })),
        ("/mode", json!("held")),
    ] {
        let next = with(next(), &[("/mode", json!("automatic")), (path, value)]);
        let judged = judged(&upgrade(), &next, &automatic).unwrap();
        assert_eq!((judged.since.len(), judged.unasked.len()), (1, 0), "{path}: {judged:?}");
    }
    let lowered = with(next(), &[("/mode", json!("automatic")), ("/connectors/crm", locked("crm", "2.0.0", &[]))]);
    assert_eq!(judged(&upgrade(), &lowered, &automatic).unwrap().unasked.len(), 1);
    // The connector itself went on, and a canary of it was settled, also where operators hold it.
    let later = asked(Action::Upgrade, "1.0.5", "1.1.0");
    let raised = with(next(), &[("/mode", json!("automatic"))]);
    let at = |judged: Judged| (judged.since.len(), judged.unasked.len());
    assert_eq!(at(judged(&later, &raised, &automatic).unwrap()), (1, 0));
    let tried = with(last(), &[("/trials", json!({ "http": locked("http", "1.0.5", &[]) }))]);
    assert_eq!(at(judged(&later, &next(), &tried).unwrap()), (1, 0));
    assert_eq!(at(judged(&later, &next(), &last()).unwrap()), (0, 1), "held, and nobody tried it");
    // Who says that it was another version brings no approval along.
    let more = with(next(), &[("/connectors/http/approved", json!(["egress evil.example"]))]);
    assert_eq!(judged(&later, &more, &automatic).unwrap().unasked, ["http may have egress evil.example"]);
}

#[test]
fn each_move_has_its_own_form() {
    let pinned = |version: &str, pinned: bool| {
        let mut http = locked("http", version, &["egress a.example"]);
        http["pinned"] = json!(pinned);
        with(last(), &[("/version", json!(5)), ("/connectors/http", http)])
    };
    let none = |judged: Result<Judged, String>| judged.map(|judged| judged.unasked.is_empty());
    let pin = asked(Action::Pin, "1.0.0", "1.0.0");
    assert_eq!(none(judged(&pin, &pinned("1.0.0", true), &last())), Ok(true));
    assert!(judged(&pin, &pinned("1.0.0", false), &last()).is_err(), "not pinned");
    assert!(judged(&asked(Action::Pin, "1.0.0", "1.1.0"), &pinned("1.1.0", true), &last()).is_err(), "moved");
    let unpin = asked(Action::Unpin, "1.0.0", "1.0.0");
    assert_eq!(none(judged(&unpin, &pinned("1.0.0", false), &pinned("1.0.0", true))), Ok(false), "one number twice");
    assert!(judged(&unpin, &pinned("1.0.0", true), &last()).is_err(), "still pinned");
    // A pin that brings an approval along.
    let mut spoilt = pinned("1.0.0", true);
    spoilt["connectors"]["http"]["approved"] = json!(["egress a.example", "egress evil.example"]);
    let told = judged(&pin, &spoilt, &last()).unwrap().unasked;
    assert_eq!(told, ["connector http may have egress evil.example"]);

    let rollback = asked(Action::Rollback, "1.0.0", "0.9.0");
    assert_eq!(none(judged(&rollback, &pinned("0.9.0", true), &last())), Ok(true));
    assert!(judged(&rollback, &pinned("0.9.0", false), &last()).is_err(), "a rollback pins");
    let tries = json!({ "http": locked("http", "1.1.0", &[]) });
    let tried = with(last(), &[("/trials", tries.clone())]);
    let back = asked(Action::Rollback, "1.0.0", "1.0.0");
    assert_eq!(none(judged(&back, &pinned("1.0.0", false), &tried)), Ok(true), "a canary is taken back");

    let canary = asked(Action::Canary, "1.0.0", "1.1.0");
    let trying = with(last(), &[("/version", json!(5)), ("/trials", tries)]);
    assert_eq!(none(judged(&canary, &trying, &last())), Ok(true));
    assert!(judged(&canary, &next(), &last()).is_err(), "everyone's at once");
    assert!(judged(&upgrade(), &trying, &last()).is_err(), "a canary that nobody asked for");
    let settled = with(trying, &[("/connectors/http", locked("http", "1.0.5", &[]))]);
    assert_eq!(none(judged(&asked(Action::Canary, "1.0.5", "1.1.0"), &settled, &last())), Ok(false));
}

#[test]
fn a_connector_that_is_new_is_told_with_what_it_may_have() {
    let new = Asked { connector: "spy".parse().unwrap(), from: None, to: "1.0.0".parse().unwrap(), ..upgrade() };
    let next =
        with(last(), &[("/version", json!(5)), ("/connectors/spy", locked("spy", "1.0.0", &["egress c.example"]))]);
    let judged = judged(&new, &next, &last()).unwrap();
    assert_eq!((judged.since.len(), judged.unasked.len()), (0, 0), "{judged:?}");
    assert!(judged.says[1].ends_with("; it may have egress c.example"), "{judged:?}");
}

#[test]
fn without_a_lock_before_all_of_it_is_told() {
    let judged =
        judge(&upgrade(), &lock(&with(next(), &[("/connectors/crm/approved", json!(["a\u{1b}[2J"]))])), None).unwrap();
    assert_eq!(judged.says.len(), 3);
    let says = judged.says.join("\n");
    assert!(says.contains("connector crm 2.1.0, sha256:") && says.contains("it may have a\\u{1b}[2J"), "{says}");
    assert!(judge(&upgrade(), &lock(&with(next(), &[("/environment", json!("prod"))])), None).is_err());
}

#[test]
fn ways_to_authenticate_count_where_they_were_agreed_to() {
    let http = |value: Value, approved: &[&str]| with(value, &[("/connectors/http/approved", json!(approved))]);
    let judged = |old: &[&str], new: &[&str]| judged(&upgrade(), &http(next(), new), &http(last(), old));
    // Locks of before they counted agree to any.
    assert_eq!(judged(&["egress a.example"], &["auth basic", "egress a.example"]).unwrap().unasked, [""; 0]);
    assert_eq!(
        judged(&["auth basic"], &["auth basic", "auth bearer"]).unwrap_err(),
        "its lock lets http have auth bearer"
    );
    assert_eq!(judged(&["auth basic"], &[]).unwrap().unasked, ["http may authenticate in any way"]);
}
