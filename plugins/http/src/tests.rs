//! The connector on the bench: which requests follow from which parameters.

use serde_json::{Value, json};
use wherry_sdk::Kind;
use wherry_sdk::testing::{Bench, Ran, Reply};

use super::*;

fn bench() -> Bench<Http> {
    Bench::new().url("https://h/api").otherwise(|_| Some(Reply::json(json!([]))))
}

fn send(activity: &str, params: Value, record: Value) -> Ran {
    bench().input([record]).run(activity, params)
}

fn rejection(params: Value, record: Value) -> Error {
    send("send", params, record).rejections().remove(0).1
}

#[test]
fn every_part_of_a_request_takes_fields_of_the_record() {
    let params = json!({
        "method": "PUT", "path": "/items/{{ record.id }}",
        "query": {"who": "{{ record.who }}", "n": ["{{ record.id }}", 2]},
        "headers": {"X-Id": "id-{{ record.id }}", "X-None": "{{ record.nothing }}"},
        "body": {"title": "{{ record.who }}"}, "idempotency_header": "Idempotency-Key",
    });
    let request = send("send", params, json!({"id": 7, "who": "a&b"})).requests().remove(0);
    assert_eq!((&*request.method, &*request.path), ("PUT", "/api/items/7?n=7&n=2&who=a%26b"));
    assert_eq!((&*request.headers["x-id"], &*request.headers["idempotency-key"]), ("id-7", "key-0"));
    assert!(!request.headers.contains_key("x-none"));
    assert_eq!((&*request.text(), &*request.headers["content-type"]), (r#"{"title":"a&b"}"#, "application/json"));
}

#[test]
fn a_record_cannot_smuggle_headers_or_leave_the_path() {
    let split = rejection(json!({"headers": {"x": "{{ record.v }}!"}}), json!({"v": "a\r\nEvil: 1"}));
    assert_eq!((&*split.code, split.kind), ("http.header_invalid", Kind::Data));
    let astray = rejection(json!({"path": "/x/{{ record.v }}"}), json!({"v": ".."}));
    assert_eq!((&*astray.code, astray.kind), ("http.template_missing", Kind::Data));
    let backslash = rejection(json!({"query": {"q": "{{ record.v }}"}}), json!({"v": {"an": "object"}}));
    assert_eq!((&*backslash.code, backslash.kind), ("http.params_invalid", Kind::Data));
}

#[test]
fn text_is_sent_as_text_where_the_header_says_so() {
    let params = json!({"headers": {"Content-Type": "text/plain"}, "body": "n={{ record.n }}"});
    let request = send("send", params, json!({"n": 1})).requests().remove(0);
    assert_eq!((&*request.text(), &*request.headers["content-type"]), ("n=1", "text/plain"));
    let own = send("send", json!({"headers": {"content-type": "application/vnd.x+json"}}), json!({"n": 1}));
    assert_eq!(own.requests()[0].headers["content-type"], "application/vnd.x+json");
}

#[test]
fn the_keyed_activity_needs_the_header_that_makes_its_promise_true() {
    let without = send("send.keyed", json!({}), json!(1)).error();
    assert_eq!(without.code, "http.params_invalid");
    assert!(without.message.contains("idempotency_header"), "{without}");
    let with = send("send.keyed", json!({"idempotency_header": "K"}), json!(1));
    assert_eq!(with.requests()[0].headers["k"], "key-0");
}

#[test]
fn paging_parameters_go_into_the_query_or_the_body() {
    let paging = json!({"page": {"parameter": "p", "size_parameter": "n", "size": 5, "in": "query"}});
    let ran = bench().run("query", json!({"path": "x", "query": {"q": "a b", "p": "replaced"}, "paging": paging}));
    assert_eq!(ran.calls(), ["GET /api/x?n=5&p=1&q=a%20b"]);
    let paging = json!({"cursor": {"parameter": "after", "from": "next", "in": "body"}});
    let params = json!({"method": "POST", "body": {"jql": "x"}, "records": "r", "paging": paging});
    let ran = Bench::<Http>::new()
        .on("POST", "/", Reply::json(json!({"r": [], "next": "t"})))
        .on("POST", "/", Reply::json(json!({"r": []})))
        .run("query", params);
    assert_eq!(ran.requests()[1].text(), r#"{"after":"t","jql":"x"}"#);
    let wrong = json!({"method": "POST", "body": [1], "paging": {"page": {"parameter": "p", "in": "body"}}});
    assert_eq!(bench().run("query", wrong).error().code, "http.params_invalid");
}

#[test]
fn mistakes_of_a_query_are_named_before_anything_is_sent() {
    for (params, code) in [
        (json!({"pth": "/x"}), "http.params_invalid"),
        (json!({"body": {}}), "http.params_invalid"),
        (json!({"method": "DELETE"}), "http.params_invalid"),
        (json!({"query": {"a": {"b": 1}}}), "http.params_invalid"),
        (json!({"headers": {"": "x"}}), "http.header_invalid"),
        (json!({"path": "/../x"}), "http.path_invalid"),
    ] {
        let ran = bench().run("query", params);
        assert_eq!((&*ran.error().code, ran.calls().len()), (code, 0));
    }
    assert_eq!(bench().options(json!({"tset_path": "/"})).test().error().code, "http.connection_invalid");
    assert_eq!(bench().cursor("{}").run("query", json!({})).error().code, "http.cursor_invalid");
    assert_eq!(bench().cancelled_after(0).run("query", json!({})).error().code, "http.cancelled");
    let large = Bench::<Http>::new().on("GET", "/", Reply::json(json!(["x".repeat(1 << 20)])));
    assert_eq!(large.run("query", json!({})).error().code, "http.record_too_large");
}

/// What a test says to an answer, with and without a path of its own.
fn tested(reply: &Reply) -> [Result<Value, (String, Kind)>; 2] {
    [json!({}), json!({"test_path": "/me"})].map(|options| {
        let reply = reply.clone();
        let ran = Bench::<Http>::new().options(options).otherwise(move |_| Some(reply.clone())).test();
        ran.result().as_ref().map(|_| ran.output()).map_err(|error| (error.code.to_string(), error.kind))
    })
}

#[test]
fn a_test_tells_who_refuses_and_why() {
    for (status, code, kind) in [
        (401, "http.unauthorized", Kind::Auth),
        (403, "http.forbidden", Kind::Forbidden),
        (407, "http.proxy_unauthorized", Kind::Config),
        (408, "http.server_error", Kind::Transient),
        (429, "http.throttled", Kind::Throttled),
        (500, "http.server_error", Kind::Transient),
        (502, "http.server_error", Kind::Transient),
        (503, "http.server_error", Kind::Transient),
        (302, "http.redirected", Kind::Config),
    ] {
        for found in tested(&Reply::status(status)) {
            assert_eq!(found, Err((code.to_owned(), kind)), "{status}");
        }
    }
}

#[test]
fn a_page_for_signing_in_is_no_answer_of_an_interface() {
    let login = "<!doctype html><title>Log in</title><form action=\"/login\"><input type=\"password\"></form>";
    for found in tested(&Reply::bytes(login).header("content-type", "text/html")) {
        assert_eq!(found, Err(("http.html_answer".to_owned(), Kind::Config)));
    }
    let bare = Bench::<Http>::new().otherwise(move |_| Some(Reply::bytes(login))).test().error();
    assert!(bare.message.contains("test_path"), "{bare}");
}

#[test]
fn whoever_answers_at_all_is_there_but_a_path_of_its_own_must_exist() {
    for status in [400, 404, 405] {
        let [without, with] = tested(&Reply::status(status));
        assert_eq!(without, Ok(json!({ "status": status })));
        assert!(with.is_err(), "{status}");
    }
    for good in [Reply::json(json!({})), Reply::status(204), Reply::bytes("pong")] {
        assert!(tested(&good).iter().all(Result::is_ok));
    }
}
