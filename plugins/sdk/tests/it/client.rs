//! Requests of every kind, and answers of every kind.

use serde_json::{Value, json};
use wherry_sdk::Kind;
use wherry_sdk::testing::{Bench, Ran, Reply};

use crate::connector::Trial;

fn perform(what: &str, script: &[(&str, &str, Reply)]) -> Ran {
    let bench = script
        .iter()
        .fold(Bench::<Trial>::new(), |bench, (method, path, reply)| bench.on(method, path, reply.clone()))
        .file("blob-7", &[7; 3_000_000]);
    bench.run("do", json!({ "what": what }))
}

#[test]
fn segments_and_parameters_are_encoded() {
    let ran = perform("a/b", &[("GET", "/items/a%2Fb?q=1&q=2", Reply::json(json!({})))]);
    assert_eq!(ran.output(), json!({ "status": 200 }));
    let request = &ran.requests()[0];
    assert_eq!(
        (&*request.headers["accept"], &*request.headers["user-agent"]),
        ("application/json", "wherry-trial/2.1.0")
    );
    assert_eq!(perform("..", &[]).error().code, "http.path_invalid");
}

#[test]
fn forms_are_encoded() {
    let ran = perform("form", &[("POST", "/form", Reply::status(201))]);
    assert_eq!(ran.requests()[0].text(), "a%20b=c%26d&e=%C3%A4");
    assert_eq!(ran.requests()[0].headers["content-type"], "application/x-www-form-urlencoded");
}

#[test]
fn a_file_of_the_run_is_part_of_a_form() {
    let ran = perform("multipart", &[("POST", "/files", Reply::status(201))]);
    let body = &ran.requests()[0].body;
    assert!(body.len() > 3_000_000 && body.windows(20).any(|part| part == [7; 20]));
    assert!(ran.requests()[0].headers["content-type"].starts_with("multipart/form-data; boundary=wherry-"));
}

#[test]
fn soap_is_spoken() {
    let answer = "<E:Envelope xmlns:E='x'><E:Body><Result>&amp; yes</Result></E:Body></E:Envelope>";
    let ran = perform("soap", &[("POST", "/soap", Reply::bytes(answer))]);
    assert_eq!(ran.records(), [json!("& yes")]);
    let request = &ran.requests()[0];
    assert!(request.text().ends_with("<s:Body><Get>1 &lt; 2</Get></s:Body></s:Envelope>"), "{}", request.text());
    assert_eq!(
        (&*request.headers["soapaction"], &*request.headers["accept"]),
        ("\"Get\"", "text/xml, application/xml")
    );
}

#[test]
fn a_large_answer_becomes_a_file_without_being_whole_in_memory() {
    let content = vec![b'x'; 12 << 20];
    let ran = perform("download", &[("GET", "/file", Reply::bytes(content.clone()))]);
    let handle = ran.records()[0]["file"].as_str().unwrap().to_owned();
    assert_eq!(ran.file(&handle), Some(content));
    let refused = perform("download", &[("GET", "/file", Reply::status(404))]);
    assert_eq!(refused.error().code, "http.not_found");
}

#[test]
fn an_answer_beyond_its_limit_is_left() {
    let ran = perform("limited", &[("GET", "/items", Reply::bytes("x".repeat(11)))]);
    assert_eq!(ran.error().code, "http.answer_too_large");
}

#[test]
fn a_systems_own_error_body_outranks_the_status() {
    let own = Reply::json(json!({ "errorMessage": "no" })).with_status(500);
    let error = perform("x", &[("GET", "/items/x?q=1&q=2", own)]).error();
    assert_eq!((error.kind, &*error.code, error.details), (Kind::Data, "trial.refused", Some(json!({ "text": "no" }))));
    let plain = perform("x", &[("GET", "/items/x?q=1&q=2", Reply::bytes("down").with_status(500))]).error();
    assert_eq!(plain.code, "http.server_error");
}

#[test]
fn retry_hints_are_seconds_or_dates_and_at_most_a_day() {
    let wait = |value: &str| {
        let reply = Reply::status(429).header("Retry-After", value);
        perform("x", &[("GET", "/items/x?q=1&q=2", reply)]).error().retry_after.map(|wait| wait.as_secs())
    };
    assert_eq!((wait("70"), wait("9999999"), wait("soon")), (Some(70), Some(86_400), None));
    assert_eq!(wait("Sun, 09 Sep 2001 01:48:00 GMT"), Some(80));
}

#[test]
fn json_inside_a_record_stays_as_it_was_written_and_on_one_line() {
    let ran = perform("raw", &[("GET", "/items", Reply::bytes("{\n  \"n\": 1.50\n}"))]);
    assert_eq!(ran.batches(), [(2, None)]);
    assert_eq!(ran.records()[1], json!({ "n": 1.5 }));
}

#[test]
fn recorded_answers_can_be_played() {
    let recording = json!([{
        "method": "GET", "path": "/items?p=1", "status": 200, "headers": { "x": "y" }, "body": [{ "id": 1 }],
    }, { "method": "GET", "path": "/items?p=2", "body": "[]" }]);
    let ran = Bench::<Trial>::new().recorded(&recording.to_string()).run("read", json!({}));
    assert_eq!(ran.records(), [json!({ "id": 1 })]);
    assert_eq!(ran.unused(), [""; 0]);
}

#[test]
fn a_request_that_the_test_does_not_expect_is_named() {
    let error = perform("limited", &[("GET", "/other", Reply::json(Value::Null))]).error();
    assert!(error.message.contains("no answer to GET /items"), "{error}");
}
