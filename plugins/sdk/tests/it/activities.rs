//! Parameters, options, errors, records, state and log of an invocation.

use serde_json::json;
use wherry_sdk::Kind;
use wherry_sdk::host::Level;
use wherry_sdk::testing::{Bench, Reply};

use crate::connector::Trial;

fn bench() -> Bench<Trial> {
    Bench::new()
}

#[test]
fn a_wrong_parameter_or_option_is_named_with_its_place() {
    let wrong = bench().run("read", json!({ "inner": [{ "number": 1 }, { "number": "x" }] })).error();
    assert_eq!((wrong.kind, &*wrong.code), (Kind::Config, "connector.params_invalid"));
    assert!(wrong.message.contains("inner[1].number: invalid type"), "{wrong}");
    let misspelt = bench().run("read", json!({ "waht": "" })).error();
    assert!(misspelt.message.contains("unknown field `waht`, expected `what` or `inner`"), "{misspelt}");
    let option = bench().options(json!({ "count": -1 })).test().error();
    assert_eq!(option.code, "connector.connection_invalid");
    assert!(option.message.contains("options cannot be used: count: "), "{option}");
    assert_eq!(bench().url("ftp://h").test().error().code, "connector.connection_invalid");
}

#[test]
fn an_unknown_activity_is_answered_with_the_known_ones() {
    let error = bench().run("raed", json!({})).error();
    assert_eq!((error.kind, &*error.code), (Kind::Unsupported, "connector.activity_unknown"));
    assert!(error.message.contains("it has read, do, write"), "{error}");
}

#[test]
fn a_test_of_the_connection_sees_the_options() {
    let tested = bench().on("GET", "/base/me", Reply::json(json!({}))).url("https://h/base").test();
    assert_eq!(tested.output(), json!({ "status": 200, "count": 3 }));
}

#[test]
fn the_last_word_on_an_error_is_the_connectors() {
    assert_eq!(bench().cancelled_after(0).run("read", json!({})).error().code, "trial.stopped");
}

#[test]
fn batches_are_acknowledged_and_their_keys_are_stable_over_attempts() {
    let ran = bench()
        .on("POST", "/bulk", Reply::status(200))
        .input([json!(1), json!(2)])
        .first_row(40)
        .run("write", json!({}));
    assert_eq!(ran.requests()[0].json(), json!(["key-40", "key-41"]));
    assert_eq!((ran.acked(), ran.rejections()[0].0), (2, 1));
}

#[test]
fn a_failure_of_the_system_keeps_what_was_done_before_it() {
    let ran = bench()
        .on("POST", "/one", Reply::status(200))
        .on("POST", "/one", Reply::status(503).header("retry-after", "90"))
        .input([json!(1), json!(2), json!(3)])
        .run("write", json!({ "what": "one by one" }));
    assert_eq!((ran.acked(), ran.calls().len()), (1, 2));
    let error = ran.error();
    assert_eq!((error.kind, error.retry_after.map(|wait| wait.as_secs())), (Kind::Transient, Some(90)));
}

#[test]
fn a_secret_reaches_the_header_and_nothing_else() {
    let ran = bench()
        .on("POST", "/session", Reply::json(json!({ "token": "canary" })))
        .on("GET", "/items", Reply::json(json!([])))
        .run("do", json!({ "what": "sign in" }));
    assert_eq!(ran.requests()[1].headers["x-session"], "canary");
    let fields = json!({ "attempt": 1, "user": "x", "expires": null });
    assert_eq!(ran.logs()[0], (Level::Info, "signed in".to_owned(), fields));
    assert_eq!((ran.logs()[1].0, ran.counters()["sign_ins"]), (Level::Warn, 1));
    assert!(!format!("{:?}", ran.logs()).contains("canary"));
}

#[test]
fn state_outlives_the_run() {
    let ran = bench()
        .on("GET", "/items", Reply::json(json!([])))
        .state("n", json!(4))
        .state("old", json!(true))
        .run("do", json!({ "what": "remember" }));
    assert_eq!((ran.state("n"), ran.records()), (Some(json!(5)), vec![json!(["n"])]));
    let unreadable = bench().state("n", json!("text")).run("do", json!({ "what": "remember" }));
    assert_eq!(unreadable.error().code, "connector.state_invalid");
}
